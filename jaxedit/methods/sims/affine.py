"""Warping by an affine map, as the alignment network of SIMS means it (section 3.2; the release).

Pixels are counted from the middle: x from -W / 2 to W / 2 - 1, y likewise (of odd sides, halves are
rounded down). theta = [a, b, tx, c, d, ty] maps a pixel of the target to where it comes from,
(a x + b y + tx, c x + d y + ty), so that tx = 1 moves the picture left by one pixel.
"""

from __future__ import annotations

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.host.names import check_choice

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
RULES = ("zero_padded", "released")


def warp(image: jax.Array, theta: jax.Array, rule: str = "zero_padded") -> jax.Array:
    """Returns the warped pictures (B, H, W, C), bilinear; differentiable in both.

    Args:
      image: (B, H, W, C), float.
      theta: (B, 6), see the module.
      rule: `zero_padded`: black outside, as `torch.nn.functional.grid_sample` with zeros and
        aligned corners. `released`: both neighbours are brought inside *before* the weights are
        formed, so that a sample on the last row or column is black too, and the identity blanks
        them.
    """
    check_choice("rule", rule, RULES)
    height, width, channels = image.shape[1:]
    x, y = _sources(theta, height, width)
    columns, rows = _neighbours(x, width, rule), _neighbours(y, height, rule)
    flat = image.reshape(len(image), height * width, channels)
    total = jnp.zeros_like(image)
    for row, row_weight in rows:
        for column, column_weight in columns:
            index = (row * width + column).reshape(len(image), -1, 1)
            taken = jnp.take_along_axis(flat, index, axis=1).reshape(image.shape)
            total += taken * (row_weight * column_weight)[..., None]
    return total


def warp_on_host(
    picture: np.ndarray, theta: np.ndarray, interpolation: int = cv2.INTER_LINEAR
) -> np.ndarray:
    """Returns a warped picture, float or uint8 (H, W) or (H, W, C), black outside, by OpenCV.

    Args:
      picture: what is warped.
      theta: (6,), see the module.
      interpolation: OpenCV's; with cv2.INTER_NEAREST a mask stays one.
    """
    height, width = picture.shape[:2]
    # From the middle of the frame to its corner, where OpenCV counts from.
    move = np.asarray(theta, np.float64).reshape(2, 3).copy()
    origin = np.asarray([width // 2, height // 2])
    move[:, 2] += origin - move[:, :2] @ origin
    return cv2.warpAffine(
        picture, move, (width, height), flags=interpolation | cv2.WARP_INVERSE_MAP
    )


def _sources(theta: jax.Array, height: int, width: int) -> tuple[jax.Array, jax.Array]:
    """Returns where every pixel comes from: x and y (B, H, W), counted from the corner."""
    x = jnp.arange(width, dtype=jnp.float32) - width // 2
    y = (jnp.arange(height, dtype=jnp.float32) - height // 2)[:, None]
    a, b, tx, c, d, ty = (number[:, None, None] for number in theta.T)
    return a * x + b * y + tx + width // 2, c * x + d * y + ty + height // 2


def _neighbours(
    place: jax.Array, length: int, rule: str
) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
    """Returns (index, weight) of the pixel before and the pixel after along one axis."""
    before = jnp.floor(place)
    after = before + 1
    inside = lambda index: jnp.clip(index, 0, length - 1)
    if rule == "released":
        before, after = inside(before), inside(after)
    weights = after - place, place - before
    if rule == "zero_padded":
        weights = tuple(
            jnp.where(index == inside(index), weight, 0)
            for index, weight in zip((before, after), weights, strict=True)
        )
    indices = (inside(index).astype(jnp.int32) for index in (before, after))
    return tuple(zip(indices, weights, strict=True))


def rounded(theta: jax.Array) -> jax.Array:
    """Returns the map with whole numbers, halves to even: only shifts by whole pixels are left.

    The released inference does so on Cityscapes, to keep pixels crisp.
    """
    return jnp.round(theta)


def by_moments(mask: jax.Array, target: jax.Array) -> jax.Array:
    """Returns the maps (B, 6) under which the middles and the spreads of masks agree.

    Ours: a shift and a scale along each axis, without turning, which need no training. The scale
    stays between 1/2 and 2.

    Args:
      mask: (B, H, W, 1) in [0, 1], of the segment; an empty one is left where it is.
      target: (B, H, W, 1), of its place, likewise.
    """
    (x, y, wide, high), (to_x, to_y, to_wide, to_high) = _moments(mask), _moments(target)
    scale_x = jnp.clip(wide / to_wide, 0.5, 2)
    scale_y = jnp.clip(high / to_high, 0.5, 2)
    nothing = jnp.zeros_like(x)
    theta = jnp.stack(
        [scale_x, nothing, x - scale_x * to_x, nothing, scale_y, y - scale_y * to_y], axis=-1
    )
    there = (jnp.sum(mask, (1, 2)) > 0) & (jnp.sum(target, (1, 2)) > 0)
    return jnp.where(there, theta, jnp.asarray(IDENTITY, theta.dtype))


def _moments(mask: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Returns the middle (x, y) and the spread along x and y of masks, (B,) each, in pixels."""
    height, width = mask.shape[1:3]
    area = jnp.maximum(jnp.sum(mask, (1, 2, 3)), 1e-6)
    places = (jnp.arange(width, dtype=jnp.float32) - width // 2,
              (jnp.arange(height, dtype=jnp.float32) - height // 2)[:, None])
    mean = lambda values: jnp.sum(mask[..., 0] * values, (1, 2)) / area
    middles = [mean(place) for place in places]
    spreads = [
        # A pixel is as wide as it is: its own spread keeps thin ones from dividing by nothing.
        jnp.sqrt(mean((place - middle[:, None, None]) ** 2) + 1 / 12)
        for place, middle in zip(places, middles, strict=True)
    ]
    return (*middles, *spreads)


def overlap(mask: jax.Array, target: jax.Array) -> jax.Array:
    """Returns the intersection over union (B,) of masks (B, H, W, 1) in [0, 1], 0 for none."""
    both = jnp.sum(jnp.minimum(mask, target), (1, 2, 3))
    either = jnp.sum(jnp.maximum(mask, target), (1, 2, 3))
    return both / jnp.maximum(either, 1e-6)


def align(
    colour: jax.Array,
    mask: jax.Array,
    target: jax.Array,
    theta: jax.Array,
    *,
    rule: str = "zero_padded",
    whole: bool = False,
    discard: bool = True,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns (colour, mask, map) of segments moved onto their places.

    Args:
      colour: (B, H, W, 3), black outside of the segment.
      mask: (B, H, W, 1), 1 inside.
      target: (B, H, W, 1), the place that the segment is to fill.
      theta: (B, 6).
      rule: see `warp`.
      whole: round theta first.
      discard: keep the segment as it was unless it overlaps its place more after the warp.

    Returns:
      Colour and mask (0 or 1, cut at one half) after the warp, and the map that was applied.
    """
    theta = rounded(theta) if whole else theta
    moved = warp(jnp.concatenate([colour, mask], axis=-1), theta, rule)
    moved_colour, moved_mask = moved[..., :-1], (moved[..., -1:] > 0.5).astype(mask.dtype)
    if not discard:
        return moved_colour, moved_mask, theta
    better = overlap(moved_mask, target) > overlap(mask, target)
    choose = lambda new, old: jnp.where(better.reshape((-1,) + (1,) * (old.ndim - 1)), new, old)
    identity = jnp.broadcast_to(jnp.asarray(IDENTITY, theta.dtype), theta.shape)
    return choose(moved_colour, colour), choose(moved_mask, mask), choose(theta, identity)
