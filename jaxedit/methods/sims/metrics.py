"""Measures of SIMS: power spectra, which show grid artefacts, what is copied, what is made up.

Qi et al., CVPR 2018, section 6, compare mean power spectra by eye; the distance is ours.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from jaxedit.data import classes as classes_lib
from jaxedit.errors import UserError
from jaxedit.metrics import base, by_segmenter
from jaxedit.metrics.image import l1, to_255

_LUMA = (0.299, 0.587, 0.114)
_NOT_PASTED = "it is not told what was pasted where, or nothing that counts was asked for"
CLOSE = 2 / 255  # of [0, 1]: what differs by less in every channel was copied


def power(images: np.ndarray) -> np.ndarray:
    """Returns |FFT|^2 of the luma of each picture, the mean frequency in the middle, float64.

    Args:
      images: (B, H, W, 3) in 0..255.
    """
    luma = np.asarray(images, np.float64) @ np.asarray(_LUMA)
    return np.abs(np.fft.fftshift(np.fft.fft2(luma), axes=(-2, -1))) ** 2


def log_radial(spectrum: np.ndarray) -> np.ndarray:
    """Returns log10 of the mean of a spectrum (H, W) in rings of one pixel, min(H, W) / 2 of them.

    Rings are counted in cycles per side, so of a picture that is not square they are ellipses.
    """
    height, width = spectrum.shape
    side = min(height, width)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    y, x = (y - height // 2) * (side / height), (x - width // 2) * (side / width)
    rings = np.floor(np.hypot(x, y) + 0.5).astype(np.int64).ravel()
    total = np.bincount(rings, spectrum.ravel())
    with np.errstate(divide="ignore"):
        return np.log10(total / np.maximum(np.bincount(rings), 1))[: side // 2]


def copied(prediction: np.ndarray, canvas: np.ndarray, epsilon: float = CLOSE) -> np.ndarray:
    """Returns the share of pixels of each picture that are those of its canvas, float64 (B,).

    Args:
      prediction: (B, H, W, 3) in [0, 1].
      canvas: like it; black pixels are missing and count as not copied.
      epsilon: a pixel counts as copied if no channel differs by more.
    """
    present = np.asarray(canvas).sum(-1) > 0
    close = (np.abs(np.asarray(prediction, np.float64) - canvas) <= epsilon).all(-1)
    return (present & close).mean((1, 2))


def judged(name: str, classes: int) -> dict[str, Callable[[base.Keys], base.Metric]]:
    """Returns figure -> maker of what a judge measures: layouts followed, likeness to photographs.

    Figures `_by_segmenter` are against the layout that was asked for, `_of_canvas_by_segmenter`
    against the one that the network was shown, rewritten to the shapes that were pasted. The judge
    is read when a maker is called, so a run can be used where it is not.

    Args:
      name, classes: of the judge, see `by_segmenter.load`.
    """
    judge = functools.cache(lambda: by_segmenter.load(name, classes))

    def agreement(target: str, suffix: str) -> Callable[[base.Keys], base.Metric]:
        return lambda keys: by_segmenter.LayoutAgreement(
            judge().network, judge().variables, base.Keys(keys.prediction, target), suffix
        )

    return {
        "mean_iou_by_segmenter": agreement("label", "_by_segmenter"),
        "mean_iou_of_canvas_by_segmenter": agreement("layout", "_of_canvas_by_segmenter"),
        "frechet_segmenter": lambda keys: by_segmenter.frechet_distance(
            judge().network, judge().variables, keys
        ),
    }


class CopyRate(base.MeanMetric):
    """`copied`, of predictions in [-1, 1] and the batch's canvas in [0, 1]."""

    def __init__(self, prediction: str = "prediction", canvas: str = "canvas"):
        super().__init__("copy_rate", "share of pixels copied from the canvas", False)
        self._prediction, self._canvas = prediction, canvas

    def values(self, outputs, batch):
        values = copied((outputs[self._prediction] + 1) / 2, batch[self._canvas])
        return values, np.ones(len(values), bool)


class MissingL1(base.MeanMetric):
    """The mean absolute error where the canvas is empty: of what the network had to make up.

    It says something where canvas and photograph belong together, as simulated canvases do.
    """

    def __init__(self, keys: base.Keys = base.PLAIN_KEYS, presence: str = "presence"):
        title = "L1 where the canvas is empty, on the [-1, 1] scale"
        super().__init__("l1_missing", title, False, "no canvas is empty anywhere")
        self.keys, self._presence = keys, presence

    def values(self, outputs, batch):
        prediction, target, _ = self.keys.read(outputs, batch)
        missing = 1 - batch[self._presence]
        base.check(prediction, target, missing)
        values = l1(prediction, target, missing)
        return values, base.has_value(values, prediction, target)


class Filled(base.MeanMetric):
    """The share of pixels in which something was pasted, of a system that hands on `presence`."""

    def __init__(self):
        super().__init__("filled", "share of pixels with something pasted", True, _NOT_PASTED)

    def values(self, outputs, batch):
        del batch
        if "presence" not in outputs:
            return _nothing(outputs)
        values = np.mean(outputs["presence"] > 0, axis=(1, 2, 3))
        return values, np.ones(len(values), bool)


class Followed(base.MeanMetric):
    """The share of labelled pixels in which something of the class asked for was pasted.

    Asked for is the batch's `label`, pasted the system's `layout` where its `presence` is. No judge
    has a say. With `classes`, pixels count in which one of these was asked for.
    """

    def __init__(self, classes: Sequence[int] = ()):
        what = "pixels of objects" if classes else "labelled pixels"
        super().__init__(
            "followed_objects" if classes else "followed",
            f"share of {what} with the class asked for pasted", True, _NOT_PASTED,
        )
        self._classes = tuple(classes)

    def values(self, outputs, batch):
        if "layout" not in outputs:
            return _nothing(outputs)
        asked = batch["label"]
        counted = (asked >= 0) & (asked != classes_lib.UNLABELLED)
        if self._classes:
            counted &= np.isin(asked, self._classes)
        right = counted & (outputs["layout"] == asked) & (outputs["presence"][..., 0] > 0)
        count = counted.sum((1, 2))
        return right.sum((1, 2)) / np.maximum(count, 1), count > 0


def _nothing(outputs: base.Outputs) -> tuple[np.ndarray, np.ndarray]:
    count = len(next(iter(outputs.values())))
    return np.zeros(count), np.zeros(count, bool)


class SpectrumDistance(base.Metric):
    """The mean difference of two sets' mean power spectra, in decades (log10), over all rings."""

    names = ("spectrum_distance",)
    titles = {"spectrum_distance": "distance of log10 radial power spectra"}
    higher_is_better = {"spectrum_distance": False}

    def __init__(self, keys: base.Keys = base.PLAIN_KEYS):
        self.keys = keys

    def measure(self, outputs, batch, prepared=None):
        del prepared
        prediction, target, _ = self.keys.read(outputs, batch)
        base.check(prediction, target, None)
        return {"prediction": power(to_255(prediction)), "target": power(to_255(target))}

    def new(self) -> SpectrumAccumulator:
        return SpectrumAccumulator(self)


class SpectrumAccumulator(base.Accumulator):
    """Sums of the power spectra of predictions and of targets."""

    def __init__(self, metric: SpectrumDistance):
        super().__init__(metric)
        self._sums: dict[str, np.ndarray] = {}

    def add(self, rows: base.Rows) -> None:
        count = len(rows["target"])
        self.count += count
        self._add({name: spectra.sum(0) for name, spectra in rows.items()} if count else {})

    def state(self) -> base.AccumulatorState:
        return {**self._sums, "count": np.array(self.count, np.int64)}

    def merge(self, states: Sequence[base.AccumulatorState]) -> SpectrumAccumulator:
        merged = SpectrumAccumulator(self.metric)
        for state in states:
            merged.count += int(state["count"])
            merged._add({name: value for name, value in state.items() if name != "count"})
        return merged

    def result(self) -> dict[str, float]:
        if not self.count:
            return {"spectrum_distance": float("nan")}
        lines = [log_radial(self._sums[name] / self.count) for name in ("prediction", "target")]
        with np.errstate(invalid="ignore"):
            return {"spectrum_distance": float(np.mean(np.abs(lines[0] - lines[1])))}

    def notes(self) -> dict[str, str]:
        return {} if self.count else {
            "spectrum_distance": "spectrum_distance: absent: no samples"
        }

    def _add(self, sums: dict[str, np.ndarray]) -> None:
        for name, value in sums.items():
            held = self._sums.get(name)
            if held is not None and held.shape != value.shape:
                raise UserError(
                    f"Power spectra of {held.shape} and {value.shape} pixels cannot be averaged: "
                    "measure pictures of one size."
                )
            self._sums[name] = value if held is None else held + value
