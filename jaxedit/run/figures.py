"""Figures of an evaluation: a table that fills up batch by batch, and what becomes of it."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxedit import metrics
from jaxedit.errors import UserError

ALL = "all"
MODEL = "model"
Figures = dict[str, dict[str, dict[str, float | None]]]
Samples = dict[str, dict[str, dict[str, int]]]


class Table:
    """System x group x metric, added up over batches, merged over processes.

    Args:
      measures: the metrics.
      systems: names, in order.
      groups: names of groups of samples, in order, without `ALL`.
    """

    def __init__(
        self, measures: Sequence[metrics.Metric], systems: Sequence[str],
        groups: Sequence[str] = (),
    ):
        self.measures = list(measures)
        self.systems = list(systems)
        self.groups = [*groups, ALL]
        self._counts = np.zeros(len(self.groups), np.int64)
        self._cells = {s: {g: [m.new() for m in measures] for g in self.groups} for s in systems}

    def add(
        self, outputs: Mapping[str, Mapping[str, np.ndarray]], batch: Mapping[str, Any],
        count: int, labels: Sequence[str | None] = (),
    ) -> None:
        """Measures what every system made of a batch of `count` samples.

        Args:
          outputs: system -> what it made of the batch; others than the table's are not looked at.
          batch: what it was made from, and the truth.
          count: number of samples.
          labels: the group of each sample; may be left out where there are no groups.
        """
        members = {g: np.asarray([label == g for label in labels], bool) for g in self.groups}
        members[ALL] = np.ones(count, bool)
        self._counts += [int(members[g].sum()) for g in self.groups]
        if not count:
            return
        for position, metric in enumerate(self.measures):
            prepared = metric.prepare(batch)  # the same for every system
            for system, cells in self._cells.items():
                rows = metric.measure(outputs[system], batch, prepared)
                for group, chosen in members.items():
                    if chosen.any():
                        cells[group][position].add(metrics.select(rows, chosen))

    def counts(self) -> dict[str, int]:
        """Returns group -> number of samples, over all processes."""
        total = sum(s["counts"] for s in metrics.gather({"counts": self._counts}))
        return {group: int(n) for group, n in zip(self.groups, total, strict=True)}

    def figures(self) -> tuple[Figures, Samples, list[str]]:
        """Returns what was measured, over all processes.

        Returns:
          (system -> group -> figure name -> value or None, the same -> the number of samples that
          the value rests on, notes).
        """
        result: Figures = {}
        samples: Samples = {}
        said: dict[str, list[tuple[str, str]]] = {}  # system -> (figure, what is said of it)
        endless: list[str] = []
        for system, by_group in self._cells.items():
            result[system], samples[system] = {}, {}
            for group, accumulators in by_group.items():
                values: dict[str, float | None] = {}
                counts: dict[str, int] = {}
                for metric, accumulator in zip(self.measures, accumulators, strict=True):
                    merged = metric.new().merge(metrics.gather(accumulator.state()))
                    found = merged.result()
                    values |= {name: _finite(found.get(name)) for name in metric.names}
                    counts |= merged.counts()
                    if group == ALL:
                        said.setdefault(system, []).extend(merged.notes().items())
                        endless += [
                            f"{name} of {system!r} has no mean over {ALL}: it is infinite, as "
                            "where a sample is equal to the truth."
                            for name in metric.names if np.isinf(found.get(name) or 0)
                        ]
                result[system][group], samples[system][group] = values, counts
        # A baseline without a figure that another system has, a blank cell says as well.
        had = {name for groups in result.values() for name, value in groups[ALL].items()
               if value is not None}
        notes = (
            note for number, of_system in enumerate(said.values()) for name, note in of_system
            if number == 0 or name not in had
        )
        return result, samples, list(dict.fromkeys([*notes, *endless]))


@dataclasses.dataclass
class Result:
    """What an evaluation found.

    Attributes:
      table: system -> group -> metric -> value; None where a figure cannot be had.
      counts: group -> number of samples.
      samples: system -> group -> metric -> the number of samples that the value rests on; fewer
        than the group has where some have no such value, as a picture without a hole.
      metrics: metric names, in order.
      titles: metric -> what it is, with its scale.
      higher_is_better: metric -> direction.
      absent: lines that say which metrics are missing, and how to get them.
      notes: what a reader of a figure must know, or why a figure is missing.
      source: what was measured on, as the configuration names it.
      place: the same with absolute paths, see `sources.place`.
      split: which part of it: "eval" (held out), "train", "all", or "mixed" where joined sources
        differ.
      best: (figure, "min" or "max") that decides which checkpoint is the best, or None.
      ceilings: systems that were given the truth.
      grids: name -> uint8 (H, W, 3) picture.
      name: of the evaluation.
      curves: title, parameter, x, y and systems: name -> [[parameter, x, y], ...].
      seconds: state -> wall-clock seconds that `predict` took for a sample, in batches, without the
        first batch, which compiles; {} where there is one batch. No part of the file of figures.
      path: the file of figures, where one is written.
    """

    table: Figures
    counts: dict[str, int]
    samples: Samples
    metrics: list[str]
    titles: dict[str, str]
    higher_is_better: dict[str, bool]
    absent: list[str]
    notes: list[str]
    source: str
    place: str
    grids: dict[str, np.ndarray]
    name: str = ""
    split: str = "mixed"
    best: tuple[str, str] | None = None
    ceilings: tuple[str, ...] = ()
    curves: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    path: pathlib.Path | None = None

    def scalars(self) -> dict[str, float]:
        """Returns the model's figures over all samples, and per group as `metric/group`."""
        values = {}
        for group, row in self.table[MODEL].items():
            for name, value in row.items():
                if value is not None:
                    values[name if group == ALL else f"{name}/{group}"] = value
        return values

    def to_json(self, step: int, stage: str = "") -> dict[str, Any]:
        """Returns the content of evaluation.json."""
        return {
            "stage": stage,
            "name": self.name,
            "source": self.source,
            "place": self.place,
            "split": self.split,
            "step": step,
            "count": self.counts[ALL],
            "groups": list(self.counts),
            "counts": self.counts,
            "systems": list(self.table),
            "ceilings": list(self.ceilings),
            "best": list(self.best) if self.best else None,
            "metrics": self.metrics,
            "titles": self.titles,
            "higher_is_better": self.higher_is_better,
            "table": self.table,
            "samples": self.samples,
            "curves": self.curves,
            "absent": self.absent,
            "notes": self.notes,
        }


def check_different(systems: Sequence[str]) -> None:
    """Raises UserError where two systems of an evaluation have one name."""
    twice = sorted({name for name in systems if systems.count(name) > 1})
    if twice:
        raise UserError(
            f"Two systems of an evaluation are called {twice[0]!r}: a stage in evaluate.compare "
            "must not be named like an output or a baseline of the method."
        )


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
