"""A smooth continuation inside of a network: traced, batched and differentiable.

What it is, and the same for one picture in memory, is in `host/membrane.py`. Where sides can be
halved evenly both give the same values.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from jaxedit.host import membrane


def continued(values: jax.Array, unknown: jax.Array) -> jax.Array:
    """Returns the values with what is unknown continued from around it; zero where nothing is.

    Linear in the values, so that its gradient is exact at no further cost than its own.

    Args:
      values: (B, H, W, C) float32; what they are where `unknown` has no influence, if finite.
      unknown: (B, H, W, 1), 1 where values are wanted and 0 elsewhere.
    """
    known = 1 - unknown
    values = values * known
    height, width = values.shape[1:3]
    if membrane.is_halved(height, width):
        weight = _halved(known)
        means = _halved(values) / jnp.maximum(weight, membrane.TINY)
        start = continued(means, (weight <= 0).astype(values.dtype))
        start = _doubled(start)[:, :height, :width]
    else:
        count = known.sum((1, 2), keepdims=True)
        start = values.sum((1, 2), keepdims=True) / jnp.maximum(count, 1)
    start = values + start * unknown

    def sweep(carry: tuple[jax.Array, jax.Array], factor: jax.Array):
        before, now = carry
        padded = jnp.pad(now, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
        mean = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2]
        mean = (mean + padded[:, 1:-1, 2:]) / 4
        moved = before + factor * (mean - before)
        return (now, values + moved * unknown), None

    return lax.scan(sweep, (start, start), membrane.factors(height, width))[0][1]


def _halved(x: jax.Array) -> jax.Array:
    """Returns the means over 2 x 2 pixels; beyond an odd edge there is nothing, which counts as 0.

    Means and their weights are then small by the same share, which their ratio does not show.
    """
    batch, height, width, channels = x.shape
    x = jnp.pad(x, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
    return x.reshape(batch, (height + 1) // 2, 2, (width + 1) // 2, 2, channels).mean((2, 4))


def _doubled(x: jax.Array) -> jax.Array:
    batch, height, width, channels = x.shape
    return jax.image.resize(x, (batch, 2 * height, 2 * width, channels), "bilinear")
