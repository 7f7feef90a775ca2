"""Changing the size of feature maps: upsampling, resizing and pooling, each as PyTorch defines it.

All functions take and return NHWC maps and keep the dtype.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def upsample_nearest(x: jax.Array, factor: int = 2) -> jax.Array:
    """Repeats every pixel `factor` times along both axes."""
    batch, height, width, channels = x.shape
    x = jnp.broadcast_to(
        x[:, :, None, :, None], (batch, height, factor, width, factor, channels)
    )
    return x.reshape(batch, height * factor, width * factor, channels)


def upsample_bilinear(x: jax.Array, *, align_corners: bool) -> jax.Array:
    """Doubles height and width, bilinearly.

    Args:
      x: (B, H, W, C).
      align_corners: True keeps the corner pixels where they are; False keeps pixel areas.
    """
    return _double(_double(x, 1, align_corners), 2, align_corners)


def _double(x: jax.Array, axis: int, align_corners: bool) -> jax.Array:
    """Doubles one axis: every new row is a blend of a row with the one before or after it."""
    length = x.shape[axis]
    if align_corners:
        # Row 2j lies j/(2n-1) before row j, row 2j+1 lies (n-1-j)/(2n-1) after it.
        before = np.arange(length) / (2 * length - 1)
        after = before[::-1]
    else:
        before = after = np.full(length, 0.25)
    weight_shape = [1] * x.ndim
    weight_shape[axis] = length
    before, after = (jnp.asarray(w.reshape(weight_shape), x.dtype) for w in (before, after))
    part = lambda start, stop: lax.slice_in_dim(x, start, stop, axis=axis)
    previous = jnp.concatenate([part(0, 1), part(0, length - 1)], axis)
    following = jnp.concatenate([part(1, length), part(length - 1, length)], axis)
    even = x + before * (previous - x)
    odd = x + after * (following - x)
    shape = list(x.shape)
    shape[axis] *= 2
    return jnp.stack([even, odd], axis + 1).reshape(shape)


def resize_bilinear(
    x: jax.Array, size: tuple[int, int], *, align_corners: bool
) -> jax.Array:
    """Resizes (B, H, W, C) to (B, *size, C) bilinearly, without a low-pass filter.

    As `torch.nn.functional.interpolate(mode="bilinear")`: two taps per axis, also when shrinking.
    """
    rows = _interpolation(x.shape[1], size[0], align_corners)
    columns = _interpolation(x.shape[2], size[1], align_corners)
    x = jnp.einsum("Hh,bhwc->bHwc", rows.astype(x.dtype), x, precision=lax.Precision.HIGHEST)
    return jnp.einsum("Ww,bhwc->bhWc", columns.astype(x.dtype), x, precision=lax.Precision.HIGHEST)


def _interpolation(length: int, new: int, align_corners: bool) -> np.ndarray:
    """Returns the (new, length) matrix whose rows hold the two weights of every new sample."""
    if align_corners:
        scale = (length - 1) / (new - 1) if new > 1 else 0.0
        position = np.arange(new) * scale
    else:
        position = np.maximum((np.arange(new) + 0.5) * (length / new) - 0.5, 0.0)
    low = np.minimum(position.astype(int), length - 1)
    high = np.minimum(low + 1, length - 1)
    fraction = position - low
    matrix = np.zeros((new, length), np.float32)
    np.add.at(matrix, (np.arange(new), low), 1.0 - fraction)
    np.add.at(matrix, (np.arange(new), high), fraction)
    return matrix


def average_pool(x: jax.Array, size: int = 2) -> jax.Array:
    """Returns means over `size` x `size` cells; height and width must be multiples of `size`."""
    batch, height, width, channels = x.shape
    if height % size or width % size:
        raise ValueError(f"A {height} x {width} map does not divide into cells of {size} pixels")
    cells = x.reshape(batch, height // size, size, width // size, size, channels)
    return cells.mean((2, 4))


def max_pool(x: jax.Array, size: int = 2) -> jax.Array:
    """Returns maxima over `size` x `size` cells; what does not fill a cell is left out."""
    window = (1, size, size, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")
