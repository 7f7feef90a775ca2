"""Noise, photographs and gradients: the raw matter of procedural textures.

Fields are float32 (size, size), about zero mean and unit deviation; colours are float32
(size, size, 3) RGB from 0 to 255.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

from jaxedit.data import photos

cv2.setNumThreads(0)


def noise(
    rng: np.random.Generator,
    size: int,
    cells: float,
    *,
    octaves: int = 4,
    gain: float = 0.55,
    stretch: tuple[float, float] = (1.0, 1.0),
) -> np.ndarray:
    """Returns fractal value noise.

    Args:
      rng: what it is drawn from.
      size: side of the field.
      cells: bumps along a side in the first octave; each octave has twice as many.
      octaves: how many; those finer than the pixels are left out.
      gain: amplitude of an octave over the one before.
      stretch: factors of the cells along (y, x): (1, 0.2) draws the bumps out sideways.
    """
    total = np.zeros((size, size), np.float32)
    power = 0.0
    for octave in range(octaves):
        counts = [max(2, round(cells * 2**octave * factor)) + 2 for factor in stretch]
        if octave and min(counts) > size:
            break
        grid = rng.standard_normal(counts, np.float32)
        amplitude = gain**octave
        total += amplitude * cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
        power += amplitude**2
    return total / np.float32(0.72 * power**0.5)


def shift(field: np.ndarray, x: float, y: float) -> np.ndarray:
    """Returns the field moved by whole pixels, mirrored where nothing is left."""
    if not x and not y:
        return field
    matrix = np.float32([[1, 0, round(x)], [0, 1, round(y)]])
    return cv2.warpAffine(
        field, matrix, field.shape[1::-1], flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT
    )


def smoothstep(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """Returns 0 below `low`, 1 above `high`, and a smooth rise between them."""
    share = np.clip((value - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def blend(below: np.ndarray, above: np.ndarray, share: np.ndarray | float) -> np.ndarray:
    """Returns `above` laid over `below`; share is (H, W) or a number, in [0, 1]."""
    if isinstance(share, np.ndarray) and below.ndim == 3 and share.ndim == 2:
        share = share[..., None]
    return below + (above - below) * share


def extend(colour: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Returns a field or colour where `weight` (H, W) is 1, continued smoothly to where it is 0.

    Averages over ever larger cells fill what is missing (a pyramid, pulled up and pushed down).
    """

    def matched(share: np.ndarray) -> np.ndarray:
        return share[..., None] if colour.ndim == 3 else share

    layers = [(colour * matched(weight), weight)]
    while min(layers[-1][1].shape) > 2:
        half = tuple((length + 1) // 2 for length in layers[-1][1].shape[::-1])
        layers.append(
            tuple(cv2.resize(part, half, interpolation=cv2.INTER_AREA) for part in layers[-1])
        )
    product, share = layers[-1]
    average = product.sum((0, 1)) / max(float(share.sum()), 1e-4)
    filled = np.zeros_like(product) + average
    for product, share in reversed(layers):
        if share.shape != filled.shape[:2]:
            filled = cv2.resize(filled, share.shape[::-1], interpolation=cv2.INTER_LINEAR)
        known = product / matched(np.maximum(share, 1e-4))
        # A cell that is known in part is taken as known: what is missing lies outside it.
        filled = blend(filled, known, np.clip(share * 1.5, 0, 1))
    return filled.astype(np.float32)


def photograph(
    rng: np.random.Generator, part: str, size: int, names: tuple[str, ...] = ()
) -> np.ndarray:
    """Returns a random piece of the photographs of `part`, as a colour.

    Args:
      rng: what it is drawn from.
      part: `train` or `eval`.
      size: side of the result.
      names: photographs to choose from, where the part has any of them.
    """
    source, positions = _photographs(part)
    chosen = [index for name in names for index in positions.get(name, ())]
    chosen = chosen or [index for indices in positions.values() for index in indices]
    image = source[chosen[int(rng.integers(len(chosen)))]]["image"]
    side = int(rng.uniform(0.5, 1) * min(image.shape[:2]))
    top, left = (int(rng.integers(length - side + 1)) for length in image.shape[:2])
    piece = image[top : top + side, left : left + side]
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    form = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    resized = cv2.resize(np.ascontiguousarray(piece), (size, size), interpolation=form)
    return resized.astype(np.float32)


def detail(picture: np.ndarray, limit: float = 2.2) -> np.ndarray:
    """Returns a colour as deviations from its own mean, in units of their spread, cut at `limit`.

    Large-scale differences are damped, so that the result serves as the detail of a surface.
    """
    side = max(4, picture.shape[0] // 16)
    coarse = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(coarse, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    deviation = picture - (0.7 * coarse + 0.3 * coarse.mean((0, 1)))
    return np.clip(deviation / max(float(deviation.std()), 1.0), -limit, limit)


@functools.lru_cache(maxsize=2)
def _photographs(part: str) -> tuple[photos.PhotoSource, dict[str, list[int]]]:
    """Returns the photographs of a part and, by name, the crops of each."""
    source = photos.PhotoSource(part)
    positions: dict[str, list[int]] = {}
    for index in range(len(source)):
        positions.setdefault(source.name(index).split("/")[0], []).append(index)
    return source, positions
