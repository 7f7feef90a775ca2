"""Progressive refinement: a finer prediction replaces a coarser one where that is uncertain.

Coarse-to-fine fusion of MGMatting (Yu et al., 2021) as MatteFormer (Park et al., 2022, section 3)
uses it: where the coarser alpha is neither 0 nor 1, widened by an ellipse, the finer alpha counts.
The bands are computed at 640 x 640 pixels whatever the size of the image, so that their width
scales with it. Everything here is pure and may be traced, the sizes of the ellipses included.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

BAND_SIDE = 640
"""Side in pixels of the square at which unknown bands are computed."""

INFERENCE_SIZES = (15, 7)
"""Ellipses around the unknown pixels of os8 and of the fused os4 at inference."""

TRAINING_LIMITS = (30, 15)
"""In training ellipses are drawn from 1 to just below these, in the same order."""

_LOWEST, _HIGHEST = 1 / 255, 1 - 1 / 255


def ellipse(size: int) -> np.ndarray:
    """Returns OpenCV's elliptic structuring element, (size, size) uint8 of 0 and 1.

    Its anchor is (size // 2, size // 2). One of even size is cut off below and on the right.
    """
    before, after = _extents(size)
    element = np.zeros((size, size), np.uint8)
    centre = size // 2
    for row in range(size):
        offset = row - centre
        element[row, centre - before[offset] : centre + after[offset] + 1] = 1
    return element


def dilate(mask: jax.Array, size: int | jax.Array, largest: int | None = None) -> jax.Array:
    """Dilates by an ellipse, as `cv2.dilate(mask, ellipse(size))`; outside counts as not set.

    The distances to the nearest set pixel on the left and on the right tell of every row of the
    ellipse, whatever its width, whether it meets a set pixel: the cost is one comparison per row,
    and the size need not be known when the function is compiled.

    Args:
      mask: (B, H, W, 1), not 0 (or True) is set.
      size: pixels, of 1 to `largest`; an int, or an integer array of one value or of one per
        sample, which may be traced.
      largest: the largest possible size, static; may be left out where `size` is an int.

    Returns:
      (B, H, W, 1) bool.

    Raises:
      ValueError: the size is not in 1..largest, or is an array and `largest` is left out.
    """
    if isinstance(size, int | np.integer):
        largest = int(size) if largest is None else largest
        if not 1 <= size <= largest:
            raise ValueError(f"An ellipse of {size} pixels is not in 1..{largest}")
    elif largest is None:
        raise ValueError("Where the size is an array, `largest` says how far it may go")
    # (rows, B or 1, 1, 1), to be compared with maps (B, H, W)
    before, after = (
        jnp.asarray(table)[:, jnp.atleast_1d(jnp.asarray(size)), None, None]
        for table in _tables(largest)
    )
    reach = largest // 2
    far = largest  # farther than any ellipse extends
    left, right = (
        jnp.pad(distance, ((0, 0), (reach, reach), (0, 0)), constant_values=far)
        for distance in _distances(mask[..., 0] != 0, far)
    )
    height = mask.shape[1]
    result = jnp.zeros(mask.shape[:3], bool)
    for row in range(2 * reach + 1):
        rows = slice(row, row + height)
        result |= (left[:, rows] <= before[row]) | (right[:, rows] <= after[row])
    return result[..., None]


def unknown_band(
    alpha: jax.Array, size: int | jax.Array, largest: int | None = None, side: int = BAND_SIDE
) -> jax.Array:
    """Returns 1 where `alpha` is uncertain, within 1/255 to 254/255, or close to such a pixel.

    Args:
      alpha: (B, H, W, 1) in [0, 1].
      size, largest: the ellipse, see `dilate`, in pixels of a square picture of `side`.
      side: pixels; small training crops need no band as fine as the published 640.

    Returns:
      (B, H, W, 1) float32 of 0 and 1; no gradient passes.
    """
    height, width = alpha.shape[1:3]
    alpha = lax.stop_gradient(alpha).astype(jnp.float32)
    uncertain = (alpha >= _LOWEST) & (alpha <= _HIGHEST)
    band = dilate(_resize_nearest(uncertain, side, side), size, largest)
    return _resize_nearest(band, height, width).astype(jnp.float32)


def fuse(coarse: jax.Array, fine: jax.Array, weight: jax.Array) -> jax.Array:
    """Returns `fine` where `weight` is positive, else `coarse`; arrays (B, H, W, 1)."""
    return jnp.where(weight > 0, fine, coarse)


def refine(
    os8: jax.Array, os4: jax.Array, os1: jax.Array, sizes: tuple[int, int] = INFERENCE_SIZES
) -> jax.Array:
    """Returns the alpha of inference from the three predictions.

    Args:
      os8, os4, os1: (B, H, W, 1) in [0, 1], the predictions at 1/8, 1/4 and full resolution, all
        of full size.
      sizes: the ellipses around the unknown pixels of os8 and of the fused os4.

    Returns:
      (B, H, W, 1) in [0, 1].
    """
    alpha = fuse(os8, os4, unknown_band(os8, sizes[0]))
    return fuse(alpha, os1, unknown_band(alpha, sizes[1]))


def random_bands(
    os8: jax.Array,
    os4: jax.Array,
    rng: jax.Array,
    limits: tuple[int, int] = TRAINING_LIMITS,
    side: int = BAND_SIDE,
) -> tuple[jax.Array, jax.Array]:
    """Returns the self-guided regions of training: where os4 counts and where os1 does.

    As `refine`, but every sample draws its own two ellipses at every call. The second band is that
    of os4 fused into os8.

    Args:
      os8, os4: (B, H, W, 1) in [0, 1].
      rng: a key.
      limits: each band's ellipses are drawn uniformly from 1 to one less than its limit.
      side: of the square that they are measured in, see `unknown_band`.

    Returns:
      (region of os4, region of os1), (B, H, W, 1) float32 of 0 and 1; no gradient passes.
    """
    os8, os4 = lax.stop_gradient((os8, os4))
    sizes = [
        jax.random.randint(key, (os8.shape[0],), 1, limit)
        for key, limit in zip(jax.random.split(rng), limits, strict=True)
    ]
    region_os4 = unknown_band(os8, sizes[0], limits[0] - 1, side)
    region_os1 = unknown_band(fuse(os8, os4, region_os4), sizes[1], limits[1] - 1, side)
    return region_os4, region_os1


def _extents(size: int) -> tuple[dict[int, int], dict[int, int]]:
    """Returns, by row offset, how many columns the ellipse extends before and after its anchor."""
    radius = size // 2
    last = size - 1 - radius
    before = {}
    for offset in range(-radius, last + 1):
        share = 1 - offset**2 / radius**2 if radius else 0.0
        before[offset] = round(radius * math.sqrt(share))
    return before, {offset: min(extent, last) for offset, extent in before.items()}


def _tables(largest: int) -> np.ndarray:
    """Returns (2, rows, largest + 1) int16: by row offset and size, how many columns the ellipse
    extends before and after its anchor; -1 where it has no such row."""
    reach = largest // 2
    tables = np.full((2, 2 * reach + 1, largest + 1), -1, np.int16)
    for size in range(1, largest + 1):
        for table, extents in zip(tables, _extents(size), strict=True):
            for offset, extent in extents.items():
                table[reach + offset, size] = extent
    return tables


def _distances(mask: jax.Array, far: int) -> tuple[jax.Array, jax.Array]:
    """Returns how many columns the nearest set pixel lies before, and after, every pixel of
    (B, H, W): int16, 0 on a set pixel, at most `far`."""
    width = mask.shape[2]
    column = jnp.arange(width)
    before = column - lax.cummax(jnp.where(mask, column, -far), axis=2)
    after = lax.cummin(jnp.where(mask, column, width + far), axis=2, reverse=True) - column
    return tuple(jnp.minimum(distance, far).astype(jnp.int16) for distance in (before, after))


def _resize_nearest(x: jax.Array, height: int, width: int) -> jax.Array:
    """Returns (B, height, width, C) with the pixels that `torch` picks in its mode "nearest"."""
    return x[:, _nearest(x.shape[1], height)][:, :, _nearest(x.shape[2], width)]


def _nearest(length: int, new: int) -> np.ndarray:
    """Returns the index floor(i * length / new) for every i, in float32 as the published code.

    For some sizes (1344 to 640 is one) the rounded ratio falls just short of a whole pixel, and
    the exact quotient would pick the next one.
    """
    ratio = np.float32(length) / np.float32(new)
    index = np.floor(np.arange(new, dtype=np.float32) * ratio).astype(np.int32)
    return np.minimum(index, length - 1)
