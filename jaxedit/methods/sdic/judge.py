"""How well the judge (`models/judge.py`) reads attributes off portraits, and what it learns by."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.methods.sdic.attributes import BINARY, NAMES
from jaxedit.metrics import base


class Agreement(base.Metric):
    """How well attributes are read off held-out renders, whose attributes are known.

    `error_NAME` is the mean absolute error as a share of the range, `r2_NAME` the share of the
    variance that is explained, `right_NAME` of what is there or not the share that is told right
    at the threshold one half; `error` is the mean of all errors.
    """

    def __init__(self, keys: base.Keys):
        self.keys = keys
        between = [name for name in NAMES if name not in BINARY]
        self.titles = {"error": "mean absolute error of all attributes, share of the range"}
        self.titles |= {f"error_{name}": f"{name}: mean absolute error" for name in NAMES}
        self.titles |= {f"r2_{name}": f"{name}: R squared" for name in between}
        self.titles |= {f"right_{name}": f"{name}: share told right" for name in BINARY}
        self.names = tuple(self.titles)
        self.higher_is_better = {n: not n.startswith("error") for n in self.names}

    def measure(self, outputs, batch, prepared=None):
        del prepared
        prediction, target, _ = self.keys.read(outputs, batch)
        return {"prediction": np.asarray(prediction, np.float64),
                "target": np.asarray(target, np.float64)}

    def new(self) -> AgreementAccumulator:
        return AgreementAccumulator(self)


class AgreementAccumulator(base.Accumulator):
    """Keeps all pairs: a hundred bytes a sample."""

    def __init__(self, metric: Agreement):
        super().__init__(metric)
        self._pairs = np.zeros((0, 2, len(NAMES)))

    def add(self, rows: base.Rows) -> None:
        pairs = np.stack([rows["prediction"], rows["target"]], 1)
        self._pairs = np.concatenate([self._pairs, pairs])
        self.count = len(self._pairs)

    def state(self) -> base.AccumulatorState:
        return {"pairs": self._pairs}

    def merge(self, states: Sequence[base.AccumulatorState]) -> AgreementAccumulator:
        merged = AgreementAccumulator(self.metric)
        merged._pairs = np.concatenate([merged._pairs, *(state["pairs"] for state in states)])
        merged.count = len(merged._pairs)
        return merged

    def result(self) -> dict[str, float]:
        if not self.count:
            return dict.fromkeys(self.metric.names, float("nan"))
        prediction, target = self._pairs[:, 0], self._pairs[:, 1]
        off = np.abs(prediction - target)
        found = {"error": float(off.mean())}
        for place, name in enumerate(NAMES):
            found[f"error_{name}"] = float(off[:, place].mean())
            if name in BINARY:
                right = (prediction[:, place] > 0.5) == (target[:, place] > 0.5)
                found[f"right_{name}"] = float(right.mean())
                continue
            spread = np.square(target[:, place] - target[:, place].mean()).sum()
            left = np.square(off[:, place]).sum()
            found[f"r2_{name}"] = float(1 - left / spread) if spread else float("nan")
        return found


def mean_error(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Returns the mean squared error of attributes (B, attributes)."""
    return jnp.mean(jnp.square(prediction - target))
