"""Running sums of what a training step logs, and the guard against values that are not finite."""

from __future__ import annotations

import collections
import dataclasses
import math
from typing import Any

import jax

from jaxedit.errors import NonFiniteLoss

# The loss of a phase is looked at this many phases later, so that the device never waits for it.
_LAG = 2


@dataclasses.dataclass
class RunningSums:
    """Adds up `Sums` on the host between log lines, and refuses what is not finite."""

    totals: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    waiting: collections.deque = dataclasses.field(default_factory=collections.deque)

    def add(self, step: int, phase: str, sums: Any) -> None:
        """Takes the device `Sums` of one phase; reads those of an earlier phase.

        Raises:
          NonFiniteLoss: a value is NaN or infinite; the message names step, phase and term.
        """
        self.waiting.append((step, phase, sums))
        while len(self.waiting) > _LAG:
            self._take()

    def check_all(self) -> None:
        """Reads everything that is still waiting; raises like `add`."""
        while self.waiting:
            self._take()

    def drain(self) -> dict[str, float]:
        """Returns name -> mean since the last call."""
        self.check_all()
        values = {k: total / weight for k, (total, weight) in self.totals.items() if weight}
        self.totals = {}
        return values

    def to_json(self) -> dict[str, list[float]]:
        """Returns the sums since the last log line, for a checkpoint."""
        return {name: list(pair) for name, pair in self.totals.items()}

    def restore(self, totals: dict[str, list[float]]) -> None:
        """Takes back what `to_json` returned."""
        self.totals = {k: list(v) for k, v in totals.items()}

    def _take(self) -> None:
        step, phase, sums = self.waiting.popleft()
        for name, (value, weight) in sorted(jax.device_get(sums).items()):
            value, weight = float(value), float(weight)
            if not math.isfinite(value):
                raise NonFiniteLoss(
                    f"Step {step}, phase {phase!r}: {name} is {value}. Training stopped; the last "
                    "good checkpoint is kept. Lower the learning rate, look at the input data, or "
                    "resume with precision.compute='float32' in a new --workdir."
                )
            total = self.totals.setdefault(name, [0.0, 0.0])
            total[0] += value
            total[1] += weight
