"""How well label maps agree: mean IoU and pixel accuracy, from one confusion matrix of a whole set.

A ratio of sums, not a mean of ratios: classes that a picture lacks say nothing about it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxedit.errors import UserError
from jaxedit.metrics import base


def confusion(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """Returns how often each class was taken for which, int64 (classes, classes): [truth, found].

    Args:
      truth: int, any shape; pixels outside of 0..classes - 1 (-1, 255) do not count.
      prediction: int, like `truth`; where it names no class, the pixel is missed by all: it counts
        in no column, see `intersection_over_union`.
      classes: how many there are.
    """
    return _counts(truth, prediction, classes)[:, :classes]


def intersection_over_union(counts: np.ndarray) -> np.ndarray:
    """Returns the IoU of each class, float64 (classes,); NaN for one that occurs nowhere.

    Args:
      counts: (classes, classes), or (classes, classes + 1) with a last column of pixels for which
        no class was predicted.
    """
    counts = np.asarray(counts, np.float64)
    agreed = np.diagonal(counts)
    union = counts.sum(1) + counts[:, : len(counts)].sum(0) - agreed
    return np.where(union > 0, agreed / np.maximum(union, 1), np.nan)


def mean_iou(counts: np.ndarray) -> float:
    """Returns the mean of `intersection_over_union` over the classes that occur."""
    values = intersection_over_union(counts)
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def pixel_accuracy(counts: np.ndarray) -> float:
    """Returns the share of pixels with a class whose class was found."""
    counts = np.asarray(counts, np.float64)
    total = counts.sum()
    return float(np.trace(counts) / total) if total else float("nan")


def _counts(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """Returns `confusion` with a last column for predictions of no class."""
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    if truth.shape != prediction.shape:
        raise UserError(
            f"Label maps of {truth.shape} and {prediction.shape} cannot be compared: scale the "
            "prediction to the truth's size, by the nearest pixel."
        )
    known = (truth >= 0) & (truth < classes)
    found = np.where((prediction >= 0) & (prediction < classes), prediction, classes)[known]
    width = classes + 1
    numbers = truth[known].astype(np.int64) * width + found
    return np.bincount(numbers, minlength=classes * width).reshape(classes, width)


class SegmentationMetric(base.Metric):
    """`mean_iou` and `pixel_accuracy` of label maps (B, H, W), with or without a last axis of one.

    Attributes:
      classes: how many there are.
      keys: `prediction` of the outputs is compared with `target` of the batch.
    """

    def __init__(
        self, classes: int, keys: base.Keys, suffix: str = "", named: Sequence[str] = ()
    ):
        """Args:
          classes, keys: as above.
          suffix: added to the figures' names, to tell comparisons with several truths apart.
          named: the classes' names, for a figure `iou/NAME` of each beside the two.
        """
        self.classes, self.keys = classes, keys
        each = tuple(f"iou{suffix}/{name}" for name in named)
        self.names = (f"mean_iou{suffix}", f"pixel_accuracy{suffix}", *each)
        titles = ("mean IoU", "pixel accuracy", *(f"IoU of {name}" for name in named))
        self.titles = dict(zip(self.names, titles, strict=True))
        self.higher_is_better = dict.fromkeys(self.names, True)

    def label_maps(self, prediction: np.ndarray) -> np.ndarray:
        """Returns the label maps that are compared; here the predictions are such already."""
        return prediction

    def measure(
        self, outputs: base.Outputs, batch: base.Batch, prepared: base.Rows | None = None
    ) -> base.Rows:
        del prepared
        prediction, truth, _ = self.keys.read(outputs, batch)
        prediction = self.label_maps(prediction)
        prediction, truth = (
            array[..., 0] if array.ndim == 4 and array.shape[-1] == 1 else array
            for array in (np.asarray(prediction), np.asarray(truth))
        )
        pairs = zip(truth, prediction, strict=True)
        return {"counts": np.stack([_counts(*pair, self.classes) for pair in pairs])}

    def new(self) -> SegmentationAccumulator:
        return SegmentationAccumulator(self)


class SegmentationAccumulator(base.Accumulator):
    """The confusion matrix of all samples."""

    def __init__(self, metric: SegmentationMetric):
        super().__init__(metric)
        self.counts_of_pixels = np.zeros((metric.classes, metric.classes + 1), np.int64)

    def add(self, rows: base.Rows) -> None:
        self.count += len(rows["counts"])
        self.counts_of_pixels += rows["counts"].sum(0)

    def state(self) -> base.AccumulatorState:
        return {"counts": self.counts_of_pixels, "count": np.array(self.count, np.int64)}

    def merge(self, states: Sequence[base.AccumulatorState]) -> SegmentationAccumulator:
        merged = SegmentationAccumulator(self.metric)
        for state in states:
            merged.counts_of_pixels += state["counts"]
            merged.count += int(state["count"])
        return merged

    def result(self) -> dict[str, float]:
        counts = self.counts_of_pixels
        figures = (mean_iou(counts), pixel_accuracy(counts), *intersection_over_union(counts))
        return {
            name: float(figure) for name, figure in zip(self.metric.names, figures, strict=False)
        }

    def notes(self) -> dict[str, str]:
        if self.counts_of_pixels.any():
            occur = int(np.isfinite(intersection_over_union(self.counts_of_pixels)).sum())
            name, classes = self.metric.names[0], self.metric.classes
            partly = f"{name}: over the {occur} of {classes} classes that occur"
            return {name: partly} if occur < classes else {}
        return {name: f"{name}: absent: no pixel of the truth has a class"
                for name in self.metric.names}
