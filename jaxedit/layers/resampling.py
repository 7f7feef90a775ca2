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


def resize_bicubic(x: jax.Array, size: tuple[int, int], a: float = -0.75) -> jax.Array:
    """Resizes (B, H, W, C) to (B, *size, C) bicubically, without a low-pass filter.

    As `torch.nn.functional.interpolate(mode="bicubic", align_corners=False)`: four taps per axis
    of Keys' kernel (1981) with parameter `a`, those beyond the border being the border's.
    """
    rows, columns = (_cubic(x.shape[axis], size[axis - 1], a) for axis in (1, 2))
    x = jnp.einsum("Hh,bhwc->bHwc", rows.astype(x.dtype), x, precision=lax.Precision.HIGHEST)
    return jnp.einsum("Ww,bhwc->bhWc", columns.astype(x.dtype), x, precision=lax.Precision.HIGHEST)


def _cubic(length: int, new: int, a: float) -> np.ndarray:
    """Returns the (new, length) matrix whose rows hold the four weights of every new sample."""
    position = (np.arange(new) + 0.5) * (length / new) - 0.5
    low = np.floor(position).astype(int)
    matrix = np.zeros((new, length), np.float32)
    for tap in range(-1, 3):
        far = np.abs(position - (low + tap))
        near = ((a + 2) * far - (a + 3)) * far**2 + 1
        outer = a * (((far - 5) * far + 8) * far - 4)
        index = np.clip(low + tap, 0, length - 1)
        np.add.at(matrix, (np.arange(new), index), np.where(far <= 1, near, outer))
    return matrix


def average_pool(x: jax.Array, size: int = 2) -> jax.Array:
    """Returns means over `size` x `size` cells; height and width must be multiples of `size`."""
    batch, height, width, channels = x.shape
    if height % size or width % size:
        raise ValueError(f"A {height} x {width} map does not divide into cells of {size} pixels")
    cells = x.reshape(batch, height // size, size, width // size, size, channels)
    return cells.mean((2, 4))


def adaptive_average_pool(x: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Returns (B, *size, C), means over windows that cover (B, H, W, C), as PyTorch has them.

    Window i of n along an axis of L pixels is floor(i L / n) to ceil((i + 1) L / n), so windows
    may share pixels, and a larger size repeats them.
    """
    rows = jnp.asarray(_windows_of_pool(x.shape[1], size[0]), x.dtype)
    columns = jnp.asarray(_windows_of_pool(x.shape[2], size[1]), x.dtype)
    x = jnp.einsum("Hh,bhwc->bHwc", rows, x, precision=lax.Precision.HIGHEST)
    return jnp.einsum("Ww,bhwc->bhWc", columns, x, precision=lax.Precision.HIGHEST)


def _windows_of_pool(length: int, new: int) -> np.ndarray:
    """Returns the (new, length) matrix whose rows take the mean over a window each."""
    starts = np.arange(new) * length // new
    ends = -(-np.arange(1, new + 1) * length // new)
    pixels = np.arange(length)
    inside = (pixels >= starts[:, None]) & (pixels < ends[:, None])
    return inside / (ends - starts)[:, None]


def resize_nearest(x: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Resizes (B, H, W, C) to (B, *size, C) by the pixels at floor(i L / n), as PyTorch does."""
    rows, columns = (
        np.arange(new) * length // new for length, new in zip(x.shape[1:3], size, strict=True)
    )
    return x[:, rows][:, :, columns]


def max_pool(x: jax.Array, size: int = 2) -> jax.Array:
    """Returns maxima over `size` x `size` cells; what does not fill a cell is left out."""
    window = (1, size, size, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")


def average_pool_same(x: jax.Array) -> jax.Array:
    """Returns means over 3 x 3 windows at every second pixel, with TensorFlow's SAME padding.

    On even sides there is padding at the bottom and right only; it is not averaged in.
    (B, H, W, C) -> (B, ceil(H / 2), ceil(W / 2), C).
    """
    for axis in (1, 2):
        before, within, after = _windows(x, axis, 0.0)
        length = x.shape[axis]
        starts = 2 * np.arange(within.shape[axis]) - length % 2
        counts = np.minimum(starts + 3, length) - np.maximum(starts, 0)
        counts = counts.reshape([-1 if n == axis else 1 for n in range(x.ndim)])
        x = (before + within + after) / jnp.asarray(counts, x.dtype)
    return x


def max_pool_same(x: jax.Array) -> jax.Array:
    """Returns maxima over the windows of `average_pool_same`."""
    for axis in (1, 2):
        before, within, after = _windows(x, axis, -jnp.inf)
        x = jnp.maximum(jnp.maximum(before, within), after)
    return x


def _windows(x: jax.Array, axis: int, filling: float) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns first, second and third element of every window of three along `axis`.

    Slices and sums: XLA's own windows have slow gradients on CPU.
    """
    odd = x.shape[axis] % 2
    pairs = (x.shape[axis] + 1) // 2
    widths = [(0, 0, 0)] * x.ndim
    widths[axis] = (odd, 2, 0)
    x = lax.pad(x, jnp.asarray(filling, x.dtype), widths)
    shape = list(x.shape)
    shape[axis : axis + 1] = [pairs + 1, 2]
    x = x.reshape(shape)
    part = lambda start, which: lax.index_in_dim(
        lax.slice_in_dim(x, start, start + pairs, axis=axis), which, axis + 1, keepdims=False
    )
    return part(0, 0), part(0, 1), part(1, 0)
