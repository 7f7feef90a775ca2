"""What the three trainable parts of SIMS share: one network each, Adam, rates by epochs.

The parts are trained one after the other, never end to end (Qi et al., CVPR 2018): `align_method`,
`order_method` and `synthesis_method` fill in network, loss and data.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import optax

from jaxedit.method import Batch, Method, State, Sums
from jaxedit.optim import gradients, schedules

PyTree = Any
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


class Part(Method):
    """A part of SIMS that trains the network `self.name`."""

    name: str
    needs_no_network: bool = False  # whether `predict` reads no parameters

    @property
    def network(self) -> nn.Module:
        """Returns the network that is trained."""
        return self.networks()[self.name]

    @property
    def size(self) -> tuple[int, int]:
        """Returns height and width of training pictures."""
        return tuple(self.config.image_size)

    @property
    def dtype(self) -> jnp.dtype:
        """Returns the dtype of the computation."""
        return DTYPES[self.config.precision.compute]

    def optimizers(self, total_steps: int) -> dict[str, optax.GradientTransformation]:
        """Returns Adam with the rates that `config.optim` describes."""
        optim = self.config.optim
        b1, b2 = optim.betas
        return {self.name: optax.adam(schedule(optim, total_steps), b1=b1, b2=b2, eps=optim.eps)}

    @abc.abstractmethod
    def example(self) -> tuple[jax.Array, ...]:
        """Returns what the network is called with, for its variables; small."""

    @abc.abstractmethod
    def loss(
        self, params: PyTree, frozen: Mapping[str, PyTree], batch: Batch, rng: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Returns (what is minimised, what is logged under `loss/`), scalars. Pure."""

    def variables(self, rng: jax.Array, spec: Mapping[str, jax.ShapeDtypeStruct]) -> State:
        del spec  # no parameter depends on the size of the picture
        params = self.network.init(rng, *self.example())["params"]
        return State(step=jnp.zeros((), jnp.int32), params={self.name: params})

    def averages(self, params: Mapping[str, PyTree]) -> dict[str, PyTree]:
        return dict(params) if self.config.optim.ema else {}

    def trained(self, state: State) -> dict[str, PyTree]:
        """Returns the network's variables as predictions use them: averaged where they are."""
        return {"params": state.ema.get(self.name, state.params[self.name])}

    def update(
        self, state: State, batch: Batch, rng: jax.Array, *, phase: str
    ) -> tuple[State, Sums]:
        del phase  # there is one

        def run(params, key, part):
            key, now = jax.random.split(key)
            (total, terms), gradient = jax.value_and_grad(self.loss, has_aux=True)(
                params, state.frozen, part, now
            )
            return (terms | {"loss/total": total}, key), gradient

        params = state.params[self.name]
        (terms, _), gradient = gradients.accumulate(
            run, params, rng, dict(batch), self.config.train.accumulate
        )
        gradient = gradients.synchronise(gradient, self.axis_name)
        optimizer = self.optimizers(self.config.train.steps)[self.name]
        updates, opt = optimizer.update(gradient, state.opt[self.name], params)
        params = optax.apply_updates(params, updates)
        terms |= {f"grad_norm/{self.name}": gradients.norm(gradient)}
        state = state.replace(params={self.name: params}, opt={self.name: opt})
        if self.config.optim.ema:
            average = optax.incremental_update(
                params, state.ema[self.name], step_size=1 - self.config.optim.ema
            )
            state = state.replace(ema={self.name: average})
        return state, {name: (value, jnp.ones((), jnp.float32)) for name, value in terms.items()}


def schedule(optim: ml_collections.ConfigDict, total_steps: int) -> optax.Schedule:
    """Returns step (from 0) -> rate.

    `epochs`, as published: start * growth^(epoch - 1), at most `lr` up to epoch `drop_epoch` and at
    most `lr_late` after it; epochs count from 1. `constant`, `cosine`: see `schedules.warmed_up`.

    Args:
      optim: schedule, lr, lr_start, growth, drop_epoch (0: never), lr_late, steps_per_epoch and
        warmup.
      total_steps: of the stage.
    """
    if optim.schedule == "epochs":

        def rate(step):
            epoch = step // optim.steps_per_epoch
            late = (epoch >= optim.drop_epoch) & (optim.drop_epoch > 0)
            most = jnp.where(late, optim.lr_late, optim.lr)
            # Beyond a hundred epochs the growing rate would leave float32 long before it matters.
            return jnp.minimum(optim.lr_start * optim.growth ** jnp.minimum(epoch, 400.0), most)

        return rate
    return schedules.warmed_up(optim.schedule, optim.lr, optim.warmup, total_steps)
