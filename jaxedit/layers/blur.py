"""Gaussian blur."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def gaussian_blur(x: jax.Array, size: int, deviation: float) -> jax.Array:
    """Blurs every channel; outside of the image counts as zero.

    Args:
      x: (B, H, W, C).
      size: odd number of taps per axis; their weights sum to 1.
      deviation: the Gaussian's standard deviation in pixels.

    Returns:
      (B, H, W, C).
    """
    if size % 2 == 0:
        raise ValueError(f"A blur needs an odd number of taps, not {size}")
    rows = _toeplitz(x.shape[1], size, deviation).astype(x.dtype)
    columns = _toeplitz(x.shape[2], size, deviation).astype(x.dtype)
    x = jnp.einsum("Hh,bhwc->bHwc", rows, x, precision=lax.Precision.HIGHEST)
    return jnp.einsum("Ww,bhwc->bhWc", columns, x, precision=lax.Precision.HIGHEST)


def _toeplitz(length: int, size: int, deviation: float) -> np.ndarray:
    """Returns the (length, length) matrix of a zero-padded 1-D convolution."""
    taps = np.exp(-np.square(np.arange(size) - size // 2) / (2 * deviation**2))
    taps /= taps.sum()
    offset = np.arange(length)[:, None] - np.arange(length)[None, :] + size // 2
    inside = (offset >= 0) & (offset < size)
    return np.where(inside, taps[np.clip(offset, 0, size - 1)], 0.0).astype(np.float32)
