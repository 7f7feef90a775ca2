"""What iEdit's parts that train one network by one loss have in common: AdamW and averages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import optax

from jaxedit.methods import one_network
from jaxedit.methods.iedit import optimization

PyTree = Any


class OneNetwork(one_network.OneNetwork):
    """Trains `networks()`' only network with what `config.optim` says."""

    def optimizers(self, total_steps: int) -> dict[str, optax.GradientTransformation]:
        return {self.trained: optimization.adamw(self.config.optim, total_steps)}

    def averages(self, params: Mapping[str, PyTree]) -> dict[str, PyTree]:
        return dict(params) if self.config.optim.ema else {}

    def averaged(self, before: PyTree, params: PyTree, step: jax.Array) -> PyTree:
        return optimization.average(before, params, self.config.optim.ema, step)
