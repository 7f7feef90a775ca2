"""What methods that train one network by one loss have in common: the step, with its average."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxedit.method import Batch, Method, State, Sums
from jaxedit.optim import gradients

PyTree = Any


class OneNetwork(Method):
    """Trains `networks()`' only network by `loss`, of which nothing is drawn."""

    def loss(
        self, state: State, params: PyTree, batch: Batch
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Returns the loss of a batch, and what to log: means over its samples. Pure."""
        raise NotImplementedError(type(self))

    def averaged(self, before: PyTree, params: PyTree, step: jax.Array) -> PyTree:
        """Returns the averages after a step, of a method that has `averages`. Pure."""
        raise NotImplementedError(type(self))

    def bounded(self, params: PyTree) -> PyTree:
        """Returns parameters after a step, within their bounds; by default as they are. Pure."""
        return params

    @property
    def trained(self) -> str:
        """Returns the name of the network."""
        return next(iter(self.networks()))

    def update(
        self, state: State, batch: Batch, rng: jax.Array, *, phase: str
    ) -> tuple[State, Sums]:
        del rng, phase  # nothing is drawn, and there is one phase
        name = self.trained

        def run(params, carried, part):
            loss = lambda params: self.loss(state, params, part)
            (_, terms), gradient = jax.value_and_grad(loss, has_aux=True)(params)
            return (terms, carried), gradient

        (terms, _), gradient = gradients.accumulate(
            run, state.params[name], (), dict(batch), self.config.train.accumulate
        )
        gradient = gradients.synchronise(gradient, self.axis_name)
        optimizer = self.optimizers(self.config.train.steps)[name]
        updates, opt = optimizer.update(gradient, state.opt[name], state.params[name])
        params = {name: self.bounded(optax.apply_updates(state.params[name], updates))}
        state = state.replace(params=params, opt={name: opt})
        if state.ema:
            state = state.replace(ema=self.averaged(dict(state.ema), params, state.step))
        terms = {**terms, f"grad_norm/{name}": gradients.norm(gradient)}
        return state, {key: (value, jnp.ones(())) for key, value in terms.items()}
