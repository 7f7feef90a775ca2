"""What a metric is: measured per sample, added up in a stream, merged over processes.

    rows = metric.measure(outputs, batch)                once per batch, the expensive part
    everything.add(rows)                                 one accumulator for all samples,
    bins[0].add(select(rows, in_bin_0))                  and one per group of samples
    merged = metric.new().merge(gather(everything.state()))
    merged.result()                                      name -> figure

A metric sees all outputs of a system and the whole batch that they were made from: captions, the
source picture, a second mask. Which keys it reads, it is told when it is made (`Keys`).

Conventions: images are NumPy float32 (B, H, W, C) in [-1, 1], masks float or bool (B, H, W, 1);
padding samples are left out before. Rows are arrays with the samples as first axis. A figure that
cannot be had is NaN, and `notes` says why; it is never a silent stand-in.
"""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxedit.errors import UserError

Rows = dict[str, np.ndarray]
AccumulatorState = dict[str, np.ndarray]
Outputs = Mapping[str, np.ndarray]
Batch = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Keys:
    """Where a metric that compares a picture with its truth finds the two.

    Attributes:
      prediction: key of the outputs.
      target: key of the batch.
      region: key of the batch for the mask (B, H, W, 1) of the pixels that count in figures of a
        region (`psnr_hole`); None where there is none.
    """

    prediction: str = "prediction"
    target: str = "target"
    region: str | None = None

    def read(self, outputs: Outputs, batch: Batch) -> tuple[np.ndarray, np.ndarray,
                                                            np.ndarray | None]:
        """Returns (prediction, target, region); the region is None where the batch has none."""
        region = None if self.region is None else batch.get(self.region)
        return outputs[self.prediction], batch[self.target], region


PLAIN_KEYS = Keys()


class Metric(abc.ABC):
    """One measurement that yields one or more named figures.

    Attributes:
      names: the figures' names, as the user asked for them.
      titles: name -> what it is, with its scale, for tables.
      higher_is_better: name -> bool.
    """

    names: tuple[str, ...]
    titles: Mapping[str, str]
    higher_is_better: Mapping[str, bool]

    def prepare(self, batch: Batch) -> Rows:
        """Returns what `measure` can reuse for every system that is measured on `batch`."""
        del batch
        return {}

    @abc.abstractmethod
    def measure(self, outputs: Outputs, batch: Batch, prepared: Rows | None = None) -> Rows:
        """Returns one row per sample.

        Args:
          outputs: what a system made of the batch: output key -> array, samples first.
          batch: what it was made from, and the truth.
          prepared: what `prepare(batch)` returned, to save its work.

        Raises:
          UserError: shapes or ranges that this metric cannot measure.
        """

    @abc.abstractmethod
    def new(self) -> Accumulator:
        """Returns an empty accumulator."""


class Accumulator(abc.ABC):
    """Adds up the rows of one metric over one group of samples.

    Attributes:
      metric: the metric.
      count: the number of samples added.
    """

    def __init__(self, metric: Metric):
        self.metric = metric
        self.count = 0

    @abc.abstractmethod
    def add(self, rows: Rows) -> None:
        """Adds rows that `metric.measure` returned, all or a selection of them."""

    def update(self, outputs: Outputs, batch: Batch) -> None:
        """Measures a batch and adds its rows."""
        self.add(self.metric.measure(outputs, batch))

    @abc.abstractmethod
    def state(self) -> AccumulatorState:
        """Returns what was added so far, as arrays that can be sent to another process."""

    @abc.abstractmethod
    def merge(self, states: Sequence[AccumulatorState]) -> Accumulator:
        """Returns a new accumulator that holds what `states` hold together, in their order.

        What this accumulator itself holds is not part of it, unless its state is in `states`.
        """

    @abc.abstractmethod
    def result(self) -> dict[str, float]:
        """Returns name -> figure; NaN where it cannot be had (see `notes`)."""

    def counts(self) -> dict[str, int]:
        """Returns name -> the number of samples that the figure rests on."""
        return dict.fromkeys(self.metric.names, self.count)

    def notes(self) -> dict[str, str]:
        """Returns name -> why a figure is NaN, or what its reader must know."""
        return {}


class MeanMetric(Metric):
    """A metric whose figure is the mean of one value per sample.

    Attributes:
      undefined: when a sample has no value, for `notes`.
    """

    def __init__(self, name: str, title: str, higher_is_better: bool, undefined: str = ""):
        self.undefined = undefined
        self.names = (name,)
        self.titles = {name: title}
        self.higher_is_better = {name: higher_is_better}

    @abc.abstractmethod
    def values(self, outputs: Outputs, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """Returns (values, defined), both (B,): a float and whether this sample has one."""

    def measure(self, outputs: Outputs, batch: Batch, prepared: Rows | None = None) -> Rows:
        del prepared
        values, defined = self.values(outputs, batch)
        return {"value": np.asarray(values, np.float64), "defined": np.asarray(defined, bool)}

    def new(self) -> MeanAccumulator:
        return MeanAccumulator(self)


class PairMetric(MeanMetric):
    """A mean of one comparison per sample: of a predicted picture with its truth.

    Attributes:
      keys: where the two are found.
    """

    def __init__(self, name: str, title: str, higher_is_better: bool, undefined: str = "",
                 keys: Keys = PLAIN_KEYS):
        super().__init__(name, title, higher_is_better, undefined)
        self.keys = keys

    @abc.abstractmethod
    def compare(
        self, prediction: np.ndarray, target: np.ndarray, region: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns (values, defined) as `values` does.

        Args:
          prediction: (B, H, W, C).
          target: like `prediction`.
          region: (B, H, W, 1), set where figures of a region count; None where there is none.
        """

    def values(self, outputs: Outputs, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        pair = self.keys.read(outputs, batch)
        check(*pair)
        return self.compare(*pair)


class MeanAccumulator(Accumulator):
    """The mean over the samples that have a value: float64, rounded once.

    It keeps the values, eight bytes a sample, so that their sum does not depend on how they came in
    batches, or from processes.
    """

    def __init__(self, metric: Metric):
        super().__init__(metric)
        self._parts: list[np.ndarray] = []

    def add(self, rows: Rows) -> None:
        self.count += len(rows["value"])
        self._parts.append(np.asarray(rows["value"], np.float64)[rows["defined"]])

    def state(self) -> AccumulatorState:
        return {"values": self._values(), "count": np.array(self.count, np.int64)}

    def merge(self, states: Sequence[AccumulatorState]) -> MeanAccumulator:
        merged = MeanAccumulator(self.metric)
        for state in states:
            merged._parts.append(np.asarray(state["values"], np.float64))
            merged.count += int(state["count"])
        return merged

    def result(self) -> dict[str, float]:
        (name,) = self.metric.names
        values = self._values()
        return {name: _sum(values) / len(values) if len(values) else float("nan")}

    def counts(self) -> dict[str, int]:
        (name,) = self.metric.names
        return {name: len(self._values())}

    def notes(self) -> dict[str, str]:
        (name,) = self.metric.names
        if self.count == 0:
            return {name: f"{name}: absent: no samples"}
        values = self._values()
        if not len(values):
            return {name: f"{name}: absent: undefined for all {self.count} samples, "
                    f"because {self.metric.undefined}"}
        total = _sum(values)
        if np.isnan(total):
            return {name: f"{name}: not a number, because some predictions are not finite"}
        if np.isinf(total):
            return {name: f"{name}: infinite, because some predictions equal their target "
                    "exactly (or are not finite)"}
        return {}

    def _values(self) -> np.ndarray:
        self._parts = [np.concatenate([np.zeros(0), *self._parts])]
        return self._parts[0]


def _sum(values: np.ndarray) -> float:
    """Returns the sum of float64 values, rounded once; NaN and infinity as NumPy has them."""
    if not np.isfinite(values).all():
        return float(np.sum(values))
    return math.fsum(values)


def select(rows: Rows, index: np.ndarray | Sequence[int]) -> Rows:
    """Returns the rows of some samples: `index` is boolean (B,) or a list of positions."""
    index = np.asarray(index)
    if index.size == 0:
        index = index.astype(np.int64)
    return {key: values[index] for key, values in rows.items()}


def has_value(values: np.ndarray, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Returns for each sample (B,) whether its value counts.

    A NaN that the pictures do not explain means that this sample has no such value; one that they
    do explain has to show.
    """
    finite = np.all(np.isfinite(prediction) & np.isfinite(target), axis=(1, 2, 3))
    return ~(np.isnan(values) & finite)


def check(prediction: np.ndarray, target: np.ndarray, mask: np.ndarray | None) -> None:
    """Refuses arrays that are no batch of images in [-1, 1] with its truth.

    Raises:
      UserError: the shapes differ or are no images, or the range is that of 8-bit values.
    """
    if prediction.ndim != 4 or prediction.shape != target.shape:
        raise UserError(
            f"Metrics compare images (batch, height, width, channels) of one shape; got a "
            f"prediction {prediction.shape} and a target {target.shape}."
        )
    if mask is not None and mask.shape != (*prediction.shape[:3], 1):
        raise UserError(
            f"The mask has shape {mask.shape}; {(*prediction.shape[:3], 1)} fits the images."
        )
    for what, images in (("prediction", prediction), ("target", target)):
        largest = np.max(np.abs(images), initial=0.0, where=np.isfinite(images))
        if not np.issubdtype(images.dtype, np.floating) or largest > 2.0:
            raise UserError(
                f"The {what} is {images.dtype} with values up to {largest:g}; metrics take floats "
                "in [-1, 1]. Divide 8-bit values by 127.5 and subtract 1."
            )
