"""The scale that takes latents to the deviation 1 that diffusion expects, measured in training.

Rombach et al. (2022), appendix G: 1 / the standard deviation of all values of the latents of one's
own training pictures. The autoencoder changes while it trains, so that what counts is the last
hundred batches or so: a decaying mean, exact from the first step.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

_DECAY = 0.99  # of a step
_SMALLEST = 1e-6  # variance, of an autoencoder that says nothing yet

Measured = dict[str, jax.Array]


def start() -> Measured:
    """Returns the state before the first batch: sums of the weights, of values and of squares."""
    return {name: jnp.zeros((), jnp.float32) for name in ("weight", "value", "square")}


def measure(before: Measured, latents: jax.Array, axis_name: str | None = None) -> Measured:
    """Returns the state after a batch of latents, of any shape."""
    now = {"weight": jnp.ones(()), "value": latents.mean(), "square": jnp.square(latents).mean()}
    if axis_name is not None:
        now = jax.lax.pmean(now, axis_name)
    return {name: _DECAY * before[name] + (1 - _DECAY) * now[name] for name in before}


def scale(measured: Measured) -> jax.Array:
    """Returns 1 / deviation, (); 1 before the first batch."""
    weight = jnp.maximum(measured["weight"], 1e-12)
    mean = measured["value"] / weight
    variance = measured["square"] / weight - jnp.square(mean)
    return jnp.where(measured["weight"] > 0, jax.lax.rsqrt(jnp.maximum(variance, _SMALLEST)), 1.0)
