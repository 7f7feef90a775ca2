"""Continuing what is known smoothly over what is not, as a membrane that is held at its edge.

The values inside solve Laplace's equation, about: each is the mean of its four neighbours. Added to
a filling, such a continuation of what the filling lacks at the edge takes the seam away and leaves
its gradients nearly as they are (Perez et al., "Poisson Image Editing", 2003, section 2, where it
is the correction of a cloned source).

The solution is found from coarse to fine, in time that grows with the number of pixels; a direct
solver of the same equations takes minutes and gigabytes for a hole of some megapixels. From it, the
result differs by about half a hundredth of what the values spread over.

It stands here twice: `continued` for one picture of any size in memory, `continued_batch` for a
network, traced and differentiable. Where sides can be halved evenly both give the same values.
"""

from __future__ import annotations

import math

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_SMALLEST = 8  # pixels of a side, below which a picture is not halved again
_SWEEPS = 24  # at every size
_WIDTH = 40  # pixels: of the widest hole that the sweeps of one size can fill well on their own
_TINY = 1e-6  # share of a pixel that is known, below which its mean means nothing


def continued(values: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Returns the values with what is unknown continued from around it.

    From coarse to fine: what is found at half the size is where the sweeps at this size begin.

    Args:
      values: float32 (H, W, C); what they are where `unknown` has no influence.
      unknown: bool (H, W), True where values are wanted. Something must be known.
    """
    if not unknown.any():
        return np.array(values, np.float32)
    known = ~unknown
    values = np.where(known[..., None], values, 0).astype(np.float32)
    height, width = unknown.shape
    if _is_halved(height, width):
        size = ((width + 1) // 2, (height + 1) // 2)
        shrink = lambda x: cv2.resize(x, size, interpolation=cv2.INTER_AREA)
        weight = shrink(known.astype(np.float32))
        means = shrink(values).reshape(*weight.shape, -1) / np.maximum(weight, _TINY)[..., None]
        start = continued(means, weight <= 0)
        start = cv2.resize(start, (width, height), interpolation=cv2.INTER_LINEAR)
        start = start.reshape(values.shape)
    else:
        start = np.broadcast_to(values[known].mean(0), values.shape)
    values = before = np.where(known[..., None], values, start)
    for factor in _factors(height, width):
        padded = np.pad(values, ((1, 1), (1, 1), (0, 0)), mode="edge")
        mean = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
        moved = before + factor * (mean / 4 - before)
        before, values = values, np.where(unknown[..., None], moved, values)
    return values


def continued_batch(values: jax.Array, unknown: jax.Array) -> jax.Array:
    """Returns the values with what is unknown continued from around it; zero where nothing is.

    Linear in the values, so that its gradient is exact at no further cost than its own.

    Args:
      values: (B, H, W, C) float32; what they are where `unknown` has no influence, if finite.
      unknown: (B, H, W, 1), 1 where values are wanted and 0 elsewhere.
    """
    known = 1 - unknown
    values = values * known
    height, width = values.shape[1:3]
    if _is_halved(height, width):
        weight = _halved(known)
        means = _halved(values) / jnp.maximum(weight, _TINY)
        start = continued_batch(means, (weight <= 0).astype(values.dtype))
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

    return lax.scan(sweep, (start, start), _factors(height, width))[0][1]


def _is_halved(height: int, width: int) -> bool:
    return min(height, width) >= 2 * _SMALLEST


def _factors(height: int, width: int) -> np.ndarray:
    """Returns how far each sweep goes: Jacobi's iteration, accelerated by Chebyshev's."""
    radius = math.cos(math.pi / min(_WIDTH, height, width))  # of the iteration's spectrum
    factors = [1.0]
    for sweep in range(_SWEEPS - 1):
        factors.append(1 / (1 - radius**2 * (factors[-1] / 4 if sweep else 0.5)))
    return np.array(factors, np.float32)


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
