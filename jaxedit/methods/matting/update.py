"""DPT's and MatteFormer's training step: three alphas, one loss, one clipped update."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxedit.layers import spectral
from jaxedit.method import Batch, State, Sums
from jaxedit.methods.matting import colour, objectives
from jaxedit.optim import clipping, gradients

PyTree = Any
NETWORK = "network"


def initial_variables(network: nn.Module, rng: jax.Array) -> tuple[PyTree, PyTree]:
    """Returns (params, stats) of a fresh network; stats: `batch_stats` and `spectral`. Pure."""
    # No parameter depends on the size of the picture.
    image, trimap = jnp.zeros((1, 64, 64, 3)), jnp.zeros((1, 64, 64, 3))
    variables = dict(network.init(rng, image, trimap, train=False))
    return variables.pop("params"), variables


def training_step(
    state: State,
    batch: Batch,
    rng: jax.Array,
    *,
    network: nn.Module,
    optimizer: optax.GradientTransformation,
    settings: objectives.Settings,
    accumulate: int = 1,
    axis_name: str | None = None,
) -> tuple[State, Sums]:
    """Returns the state after one training step and what to log. Pure.

    Args:
      state: `params`, `stats` and `opt` under the name `network`.
      batch: `image`, `foreground` and `background` (B, H, W, 3) in [-1, 1], `trimap` labels and
        `alpha` in [0, 1], both (B, H, W, 1).
      rng: for stochastic depth and for the draws of self-guided refinement.
      network: a `MattingNetwork`.
      optimizer: from `optimization.create`.
      settings: terms of the loss and where they count.
      accumulate: number of micro-batches, whose normalisation is then their own.
      axis_name: the mapped axis under pmap; gradients are averaged over it.
    """

    def run(params, carried, part):
        stats, key = carried
        key, now = jax.random.split(key)

        def total(params):
            alphas, after = forward(network, params, stats, part, jax.random.fold_in(now, 0))
            value, terms = objectives.loss(
                alphas, **_targets(part), step=state.step, rng=jax.random.fold_in(now, 1),
                settings=settings,
            )
            return value, (terms | {"total": value}, after)

        (_, (terms, after)), gradient = jax.value_and_grad(total, has_aux=True)(params)
        return (terms, (after, key)), gradient

    params = state.params[NETWORK]
    (terms, (stats, _)), gradient = gradients.accumulate(
        run, params, (state.stats[NETWORK], rng), dict(batch), accumulate
    )
    gradient = gradients.synchronise(gradient, axis_name)
    updates, opt = optimizer.update(gradient, state.opt[NETWORK], params)
    sums: Sums = {f"loss/{name}": _once(value) for name, value in terms.items()}
    sums["grad_norm/network"] = _once(gradients.norm(gradient))
    limit = clipping.limit(opt)
    if limit is not None:
        sums["grad_limit/network"] = _once(limit)
    return state.replace(
        params={NETWORK: optax.apply_updates(params, updates)},
        stats={NETWORK: gradients.synchronise(stats, axis_name)},
        opt={NETWORK: opt},
    ), sums


def forward(
    network: nn.Module, params: PyTree, stats: PyTree, batch: Batch, rng: jax.Array
) -> tuple[dict[str, jax.Array], PyTree]:
    """Returns (alphas by head, statistics afterwards) of a forward pass in training mode."""
    vectors = spectral.iterate(params, stats[spectral.COLLECTION])
    variables = {"params": params, **stats, spectral.COLLECTION: vectors}
    alphas, changed = network.apply(
        variables, colour.normalise(batch["image"]), colour.one_hot(batch["trimap"]),
        train=True, mutable=["batch_stats"], rngs={"drop_path": rng},
    )
    return alphas, {**stats, spectral.COLLECTION: vectors, **changed}


def _targets(batch: Batch) -> dict[str, jax.Array]:
    """Returns what the losses compare with; colours normalised, as they are published."""
    return {
        "alpha": batch["alpha"],
        "unknown": (batch["trimap"] == 1).astype(jnp.float32),
        **{k: colour.normalise(batch[k]) for k in ("image", "foreground", "background")},
    }


def _once(value: jax.Array) -> tuple[jax.Array, jax.Array]:
    return value, jnp.ones((), jnp.float32)
