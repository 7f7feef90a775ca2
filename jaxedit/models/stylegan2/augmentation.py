"""Adaptive discriminator augmentation (Karras et al., "Training GANs with Limited Data", 2020).

Pictures, real and generated alike, are transformed at random before the discriminator sees them,
each transformation of each picture with probability p. The pipeline is the published `bgc`, in its
order (appendix B):

    b  mirroring, turns by 90 degrees, shifts by whole pixels
    g  scaling, rotation, stretching, rotation, shifts by fractions
    c  brightness, contrast, reversal of the luma, turn of the hue, saturation

All of b and g are one affine map: the picture is mirrored at its rims, enlarged twofold by the
orthogonal filter of the Symlet with six moments, sampled bilinearly and made small again by the
same filter. Unlike the published code, rims are always mirrored by as much as that ever does: the
result is the same and the shape does not depend on what is drawn. A picture for which nothing is
drawn comes out as it went in, to the bit. Everything is linear in the pictures, so it is
differentiable to any order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxedit.layers.padding import reflect_pad

PIPES = ("b", "bg", "bgc")
# Largest shift by whole pixels, and the standard deviations of what is drawn (table of appendix B);
# shifts are shares of the side, scales and contrasts exponents of two.
LARGEST_SHIFT = 0.125
SCALE, STRETCH, SHIFT = 0.2, 0.2, 0.125
BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.5, 1.0
# The Symlet's low-pass filter, whose squares sum up to one.
_TAPS = np.array([
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633,
    0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252,
    -0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148,
])  # fmt: skip
_RIM = len(_TAPS) // 4  # pixels around the result that its making small reads
_LUMA = np.array([1.0, 1.0, 1.0, 0.0]) / math.sqrt(3)


def augment(image: jax.Array, key: jax.Array, strength: jax.Array, pipe: str = "bgc") -> jax.Array:
    """Returns the pictures, transformed at random.

    Args:
      image: (B, H, W, 3) in [-1, 1]; the result may leave that range.
      key: what is drawn depends on it, sample by sample.
      strength: (), the probability of each transformation.
      pipe: one of PIPES.
    """
    keys = jax.random.split(key)
    # Accelerators would round the small matrices to half precision.
    with jax.default_matmul_precision("highest"):
        drawn = draw_geometry(keys[0], image.shape, strength, general="g" in pipe)
        found = transform(image, geometry(**drawn))
        if "c" not in pipe:
            return found
        return recolour(found, colours(**draw_colours(keys[1], len(image), strength)))


def draw_geometry(
    key: jax.Array, shape: tuple[int, ...], strength: jax.Array, *, general: bool = True
) -> dict[str, jax.Array]:
    """Returns the arguments of `geometry` for pictures of `shape`, each its neutral value or drawn.

    Args:
      key, strength: as of `augment`.
      shape: (B, H, W, channels).
      general: whether there are transformations of the group g.
    """
    count, *sides, _ = shape
    sides = jnp.array(sides[::-1], jnp.float32)  # of x and y
    draw = _Draws(key, count)
    limit = LARGEST_SHIFT
    drawn = {
        "mirror": draw.chosen(strength, draw.whole(2), 0),
        "turns": draw.chosen(strength, draw.whole(4), 0),
        "shift": draw.chosen(strength, jnp.round(draw.uniform(-limit, limit, 2) * sides), 0),
    }
    if not general:
        return drawn
    once = 1 - jnp.sqrt(jnp.clip(1 - strength, 0, 1))  # either rotation happens with `strength`
    return drawn | {
        "scale": draw.chosen(strength, jnp.exp2(SCALE * draw.normal()), 1),
        "rotation": draw.chosen(once, draw.uniform(-math.pi, math.pi), 0),
        "stretch": draw.chosen(strength, jnp.exp2(STRETCH * draw.normal()), 1),
        "second_rotation": draw.chosen(once, draw.uniform(-math.pi, math.pi), 0),
        "fraction": draw.chosen(strength, SHIFT * draw.normal(2) * sides, 0),
    }


def geometry(
    *, mirror: jax.Array, turns: jax.Array, shift: jax.Array, scale: jax.Array | None = None,
    rotation: jax.Array | None = None, stretch: jax.Array | None = None,
    second_rotation: jax.Array | None = None, fraction: jax.Array | None = None,
) -> jax.Array:
    """Returns the inverse maps (B, 3, 3): pixels of the result -> pixels of the picture.

    Coordinates are (x, y, 1) in pixels from the centre, y downwards. Neutral values are exact: a
    picture that has no others has the unit matrix.

    Args:
      mirror: (B,), 1 exchanges left and right.
      turns: (B,), counterclockwise quarter turns.
      shift, fraction: (B, 2), pixels to the right and downwards, before and after what follows.
      scale: (B,), how many times as large.
      rotation, second_rotation: (B,), counterclockwise, in radians, before and after the stretch.
      stretch: (B,), how many times as wide; the height is divided by it.
    """
    found = _scales(1 - 2 * mirror, 1) @ _quarter_turns(turns) @ _shifts(*-shift.T)
    if scale is None:
        return found
    found = found @ _scales(1 / scale, 1 / scale) @ _rotation(rotation)
    found = found @ _scales(1 / stretch, stretch) @ _rotation(second_rotation)
    return found @ _shifts(*-fraction.T)


def draw_colours(key: jax.Array, count: int, strength: jax.Array) -> dict[str, jax.Array]:
    """Returns the arguments of `colours` for `count` pictures, each its neutral value or drawn."""
    draw = _Draws(key, count)
    return {
        "brightness": draw.chosen(strength, BRIGHTNESS * draw.normal(), 0),
        "contrast": draw.chosen(strength, jnp.exp2(CONTRAST * draw.normal()), 1),
        "reversal": draw.chosen(strength, draw.whole(2), 0),
        "hue": draw.chosen(strength, draw.uniform(-math.pi, math.pi), 0),
        "saturation": draw.chosen(strength, jnp.exp2(SATURATION * draw.normal()), 1),
    }


def colours(
    *, brightness: jax.Array, contrast: jax.Array, reversal: jax.Array, hue: jax.Array,
    saturation: jax.Array,
) -> jax.Array:
    """Returns the maps of colours (B, 4, 4): (red, green, blue, 1) -> the same.

    Args:
      brightness: (B,), added to every channel.
      contrast: (B,), factor of every channel, so about mid-grey.
      reversal: (B,), 1 makes light what is dark and keeps hue and saturation.
      hue: (B,), turned around the grey axis, in radians.
      saturation: (B,), factor of the distance from the grey axis.
    """
    one, luma = jnp.eye(4), jnp.asarray(np.outer(_LUMA, _LUMA), jnp.float32)
    each = lambda values: values[:, None, None]
    added = jnp.zeros((4, 4)).at[:3, 3].set(1)
    scaled = jnp.diag(jnp.array([1.0, 1, 1, 0]))
    found = one + each(brightness) * added
    found = (one + each(contrast - 1) * scaled) @ found
    found = (one - 2 * each(reversal) * luma) @ found
    found = _turn_of_hue(hue) @ found
    return (one + each(saturation - 1) * (one - luma)) @ found


def recolour(image: jax.Array, maps: jax.Array) -> jax.Array:
    """Returns (B, H, W, 3) with each pixel's colours mapped by (B, 4, 4)."""
    found = jnp.einsum("bhwc,bdc->bhwd", image, maps[:, :3, :3]) + maps[:, None, None, :3, 3]
    return _where_moved(maps, found, image)


def transform(image: jax.Array, inverse: jax.Array) -> jax.Array:
    """Returns the pictures (B, H, W, C) under affine maps.

    Args:
      image: (B, S, S, C). Beyond its rims it is mirrored, once; beyond that it is 0.
      inverse: (B, 3, 3), of `geometry`.
    """
    side = image.shape[1]
    padded = reflect_pad(image, side - 1)
    large = _double(_double(padded, 1), 2)
    # The filter's weight lies half an enlarged pixel before its middle: hence 1 where 1/2 would do.
    at = 0.5 * (jnp.arange(2 * (side + 2 * _RIM)) + 1 - (side + 2 * _RIM))
    x, y = jnp.meshgrid(at, at)
    points = jnp.stack([x, y, jnp.ones_like(x)], -1)
    found = jnp.einsum("bij,hwj->bhwi", inverse[:, :2], points)
    sampled = _sample(large, 2 * found - 1 + padded.shape[1])
    return _where_moved(inverse, _halve(_halve(sampled, 1), 2), image)


def _where_moved(maps: jax.Array, moved: jax.Array, image: jax.Array) -> jax.Array:
    """Returns the pictures as they were for which the map is one that changes nothing."""
    still = (maps == jnp.eye(maps.shape[-1])).all((1, 2))
    return jnp.where(still[:, None, None, None], image, moved)


def _double(x: jax.Array, axis: int) -> jax.Array:
    """Doubles an axis: zeros between pixels, then the filter; beyond the rims it is 0."""
    length, reach = x.shape[axis], len(_TAPS) // 4
    widths = [(0, 0)] * x.ndim
    widths[axis] = (reach, reach)
    padded, phases = jnp.pad(x, widths), []
    for first, taps in enumerate((_TAPS[1::2], _TAPS[::2])):
        shifted = [
            float(2 * tap / _TAPS.sum()) * lax.slice_in_dim(
                padded, 2 * reach - 1 + first - number, 2 * reach - 1 + first - number + length,
                axis=axis,
            )
            for number, tap in enumerate(taps)
        ]
        phases.append(sum(shifted))
    shape = list(x.shape)
    shape[axis] *= 2
    return jnp.stack(phases, axis + 1).reshape(shape)


def _halve(x: jax.Array, axis: int) -> jax.Array:
    """Halves an axis by the filter turned round, without the rim of `_RIM` result pixels."""
    length = x.shape[axis] // 2 - 2 * _RIM
    return sum(
        float(tap / _TAPS.sum()) * lax.slice_in_dim(
            x, 1 + number, 1 + number + 2 * length - 1, 2, axis
        )
        for number, tap in enumerate(_TAPS)
    )


def _sample(x: jax.Array, at: jax.Array) -> jax.Array:
    """Returns x (B, H, W, C) at places (B, h, w, 2), (column, row), bilinearly; 0 beyond."""
    count, height, width, channels = x.shape
    flat, low = x.reshape(count, height * width, channels), jnp.floor(at)
    share = at - low
    total = 0.0
    for right in (0, 1):
        for below in (0, 1):
            column, row = low[..., 0] + right, low[..., 1] + below
            weight = jnp.abs(1 - right - share[..., 0]) * jnp.abs(1 - below - share[..., 1])
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            place = jnp.clip(row, 0, height - 1) * width + jnp.clip(column, 0, width - 1)
            taken = jax.vmap(lambda pixels, place: pixels[place])(flat, place.astype(jnp.int32))
            total = total + jnp.where(inside, weight, 0)[..., None].astype(x.dtype) * taken
    return total


class _Draws:
    """Random numbers, one a sample, each from a key of its own."""

    def __init__(self, key: jax.Array, count: int):
        self._key, self._count, self._number = key, count, 0

    def _next(self) -> jax.Array:
        self._number += 1
        return jax.random.fold_in(self._key, self._number)

    def uniform(self, low: float, high: float, *more: int) -> jax.Array:
        return jax.random.uniform(self._next(), (self._count, *more), minval=low, maxval=high)

    def normal(self, *more: int) -> jax.Array:
        return jax.random.normal(self._next(), (self._count, *more))

    def whole(self, below: int) -> jax.Array:
        return jax.random.randint(self._next(), (self._count,), 0, below).astype(jnp.float32)

    def chosen(self, probability: jax.Array, value: jax.Array, otherwise: float) -> jax.Array:
        """Returns the value with that probability, sample by sample."""
        happens = self.uniform(0, 1) < probability
        return jnp.where(happens.reshape(-1, *[1] * (value.ndim - 1)), value, otherwise)


def _matrix(*rows: tuple) -> jax.Array:
    """Returns (B, n, n) of rows of numbers and of arrays (B,)."""
    count = max(jnp.size(entry) for row in rows for entry in row)
    full = lambda entry: jnp.broadcast_to(jnp.asarray(entry, jnp.float32), (count,))
    return jnp.stack([jnp.stack([full(entry) for entry in row], -1) for row in rows], -2)


def _scales(x: jax.Array, y: jax.Array) -> jax.Array:
    return _matrix((x, 0, 0), (0, y, 0), (0, 0, 1))


def _shifts(x: jax.Array, y: jax.Array) -> jax.Array:
    return _matrix((1, 0, x), (0, 1, y), (0, 0, 1))


def _rotation(angle: jax.Array) -> jax.Array:
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    return _matrix((cosine, -sine, 0), (sine, cosine, 0), (0, 0, 1))


def _quarter_turns(count: jax.Array) -> jax.Array:
    """Returns `_rotation` of count x 90 degrees, in whole numbers."""
    sine = jnp.asarray([0.0, 1, 0, -1])[count.astype(jnp.int32)]
    cosine = jnp.asarray([1.0, 0, -1, 0])[count.astype(jnp.int32)]
    return _matrix((cosine, -sine, 0), (sine, cosine, 0), (0, 0, 1))


def _turn_of_hue(angle: jax.Array) -> jax.Array:
    """Returns the rotation around the luma axis (Rodrigues' formula), (B, 4, 4)."""
    sine, rest = jnp.sin(angle) / math.sqrt(3), (1 - jnp.cos(angle))
    a, b, c = 1 - 2 / 3 * rest, rest / 3 - sine, rest / 3 + sine
    return _matrix((a, b, c, 0), (c, a, b, 0), (b, c, a, 0), (0, 0, 0, 1))


def start(strength: float = 0.0) -> dict[str, jax.Array]:
    """Returns what is carried from step to step: the strength, and signs counted since it changed.
    """
    return {"strength": jnp.float32(strength), "signs": jnp.zeros(()), "count": jnp.zeros(())}


def adapted(
    carried: Mapping[str, jax.Array], signs: jax.Array, count: int, *, target: float, every: int,
    speed: float,
) -> dict[str, jax.Array]:
    """Returns `carried` after more real pictures (section 3 and appendix).

    Where the discriminator is surer of real pictures than `target`, it overfits: the strength
    rises, else it falls.

    Args:
      carried: as of `start`.
      signs: the sum of the signs of the scores of `count` real pictures, augmented as they are.
      count: how many.
      target: of the mean sign.
      every: pictures from one change of the strength to the next.
      speed: pictures in which it can go from 0 to 1.
    """
    signs, seen = carried["signs"] + signs, carried["count"] + count
    step = jnp.sign(signs / seen - target) * seen / speed
    strength, due = carried["strength"], seen >= every
    moved = jnp.clip(strength + step, 0, 1)
    return {
        "strength": jnp.where(due, moved, strength),
        "signs": jnp.where(due, 0.0, signs),
        "count": jnp.where(due, 0.0, seen),
    }
