"""How a method wants to be measured, part of the contract (`method.py`): `Evaluation`, `Curve`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from jaxedit.host import levels
from jaxedit.metrics import Keys, Metric


@dataclasses.dataclass(frozen=True)
class Curve:
    """One figure against another, while a number that `predict` takes is varied.

    Attributes:
      title: what it shows, for example "distortion and success of an edit, over its strength".
      parameter: key of the inputs that is varied: float32, one number per sample.
      values: what it takes, in order.
      x: a figure of the evaluation's metrics, over all samples, for the horizontal axis.
      y: one for the vertical axis.
      systems: which systems are drawn; a baseline finds the number in its batch.
    """

    title: str
    parameter: str
    values: tuple[float, ...]
    x: str
    y: str
    systems: tuple[str, ...] = ("model",)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How a method wants to be measured. All callables run on the host, on NumPy arrays.

    Attributes:
      task: the name of the task whose outputs are measured.
      prediction: the output key that is compared with `target`.
      target: the batch key that holds the truth.
      metrics: names of metrics in `jaxedit.metrics` or in `own`, and metrics that are made already
        (see `metrics.create`).
      region: the batch key of the mask where figures of a region count, such as `psnr_hole`.
      own: figure -> maker, of metrics that only this paper knows; one of those that it yields.
      systems: name -> another output key that is measured in the place of `prediction`, as a system
        of its own beside the model ("encoder alone"); or output key -> the one in its place, where
        metrics read several.
      groups: ordered group labels; every table has a column group for each and one for `all`.
      group: batch -> one label per sample, each in `groups`, or None for none of them.
      baselines: name -> function from an input batch to an array like `prediction`.
      best: (metric name, "min" or "max"), the figure by which the best checkpoint is kept; a name
        may be `metric/group`. None keeps none.
      ceilings: names of baselines that were given the truth: they stand in the table, and nobody is
        told that the model is behind them.
      curves: figures over a number that `predict` takes, measured at the end of a run.
      prepare: batch -> the inputs of the task, where they are not called as in the batch. They are
        padded as the task needs, and outputs cut and finished, as commands do.
      finish: (outputs, batch) -> outputs that are measured, beyond what the task's own does.
      picture: arrays like `prediction` -> uint8 (N, H, W, 1 or 3), for the picture grid.
      absent: lines that say which baselines are missing, and how to get them.
    """

    task: str
    prediction: str
    target: str
    metrics: tuple[str | Metric, ...]
    region: str | None = None
    own: Mapping[str, Callable[[Keys], Metric]] = dataclasses.field(default_factory=dict)
    systems: Mapping[str, str | Mapping[str, str]] = dataclasses.field(default_factory=dict)
    groups: tuple[str, ...] = ()
    group: Callable[[Mapping[str, np.ndarray]], list[str | None]] | None = None
    baselines: Mapping[str, Callable[[Mapping[str, np.ndarray]], np.ndarray]] = dataclasses.field(
        default_factory=dict
    )
    best: tuple[str, str] | None = None
    ceilings: tuple[str, ...] = ()
    curves: tuple[Curve, ...] = ()
    prepare: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]] | None = None
    finish: Callable[[Mapping, Mapping], Mapping[str, np.ndarray]] | None = None
    picture: Callable[[np.ndarray], np.ndarray] = levels.of_picture
    absent: tuple[str, ...] = ()
