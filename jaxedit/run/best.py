"""Which checkpoints of a stage are kept: the last ones, and the best by the figures beside each.

A figure in which one bit has changed would make another checkpoint the best one, and the next save
would delete the true one: figures count only as they were written.
"""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from jaxedit.host import atomic, manifests
from jaxedit.run import damage, sharding

_FIGURES = "metrics/metrics"  # Orbax's file of them, below the folder of a checkpoint


class Manager(ocp.CheckpointManager):
    """Orbax's manager of a folder of checkpoints; damaged figures count as not measured.

    Attributes:
      doubtful: step -> in which way its figures are damaged.
    """

    def __init__(self, folder: pathlib.Path, options: ocp.CheckpointManagerOptions):
        self.doubtful: dict[int, str] = {}  # ahead of Orbax, which reads the figures at once
        super().__init__(folder, options=options)

    def reload(self) -> None:
        """Looks again which checkpoints are on disk, with which figures."""
        self.doubtful.clear()
        super().reload()

    def metrics(self, step: int) -> Any:
        """Returns the figures of a checkpoint on disk; None where it has none, or damaged ones.

        Raises:
          UserError: they cannot be read just now.
        """
        folder = pathlib.Path(self.directory) / str(step)

        def read() -> Any:
            if found := manifests.damages(folder, [_FIGURES]):
                raise damage.Damaged(found[0])
            return super(Manager, self).metrics(step)

        try:
            return damage.retry(read)
        except Exception as error:  # those of before manifests are just read, whatever they are
            if damage.is_passing(error):
                raise damage.cannot_read_now(folder, damage.first_line(error)) from error
            self.doubtful[step] = damage.first_line(error)
            return None

    def attach(self, step: int, figures: Mapping[str, float]) -> None:
        """Writes the figures of a checkpoint that was saved before it was measured."""
        path = pathlib.Path(self.directory) / str(step) / _FIGURES
        if sharding.is_first_process():
            path.parent.mkdir(exist_ok=True)
            atomic.write_text(path, json.dumps(figures))
            manifests.add(path.parents[1], _FIGURES)
        sharding.barrier("figures_attached")
        self.reload()


def options(
    best: tuple[str, str] | None, keep_last: int, keep_best: int
) -> dict[str, Any]:
    """Returns the options of Orbax that say which checkpoints stay.

    Args:
      best: (figure, "min" or "max") that decides which is the best; None where nothing does.
      keep_last: how many of the last stay, 1 at least.
      keep_best: how many of the best.
    """
    metric, direction = best or ("", "max")
    worst = -math.inf if direction == "max" else math.inf
    # Without it Orbax writes no metrics. Checkpoints of old may lack this one.
    figure = lambda metrics: metrics.get(metric, worst)
    latest = checkpoint_managers.LatestN(max(1, keep_last))
    policies = checkpoint_managers.AnyPreservationPolicy([
        latest,
        checkpoint_managers.BestN(
            get_metric_fn=figure,
            # Orbax keeps the last in this order: ascending keeps the largest.
            reverse=direction == "min",
            n=keep_best,
            keep_checkpoints_without_metrics=False,
        ),
    ])
    return {
        "preservation_policy": policies if best and keep_best else latest,
        "best_fn": figure,
        "best_mode": direction,
    }


def measured(
    best: tuple[str, str] | None, figures: Mapping[str, float | None] | None
) -> dict[str, float] | None:
    """Returns the finite figures, or None where that of the best checkpoint is not one."""
    finite = {k: float(v) for k, v in (figures or {}).items() if v is not None and math.isfinite(v)}
    return finite if best and best[0] in finite else None
