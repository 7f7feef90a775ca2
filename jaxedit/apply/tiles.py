"""A large photograph in overlapping tiles of one size, blended without seams.

One compiled program serves all tiles, and memory does not grow with the photograph. A network
with a global view (attention, means over the picture) sees less in a tile than in the whole, so
the result is not that of the whole photograph, and it depends on the size of the tiles; a network
whose outputs depend on what lies closer than half an overlap gives the same.

Where tiles overlap their results are averaged with weights that fall smoothly to nothing at the
rim of a tile, where it sees least; the weights of all tiles add up to one at every pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np


def apply(
    tool: Callable[..., Mapping[str, np.ndarray]],
    inputs: Mapping[str, np.ndarray],
    output: str,
    *,
    needed: np.ndarray,
    start: np.ndarray,
    tile: int,
    overlap: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """Returns `output` of `tool`, computed tile by tile.

    Args:
      tool: like `apply.applier.Applier`: arrays (h, w, C) in, a dict of arrays (h, w, C) out.
      inputs: arrays (H, W, C) of one size.
      output: the key of the result.
      needed: bool (H, W); tiles without such a pixel are not computed.
      start: float32 (H, W, C), the result where nothing is needed.
      tile: side of a tile in pixels; photographs that are narrower have tiles of their own width.
      overlap: of neighbouring tiles, at least, in pixels; less than `tile`.
      progress: is called after each tile with (tiles done, tiles to do).

    Returns:
      float32 (H, W, C).

    Raises:
      ValueError: `overlap` is not in 0..tile - 1.
    """
    if not 0 <= overlap < tile:
        raise ValueError(f"An overlap of {overlap} pixels does not fit tiles of {tile}")
    places = [
        (rows, columns)
        for rows in spans(needed.shape[0], tile, overlap)
        for columns in spans(needed.shape[1], tile, overlap)
        if needed[rows, columns].any()
    ]
    result = np.array(start, np.float32)
    weights = np.zeros(needed.shape, np.float32)
    for done, (rows, columns) in enumerate(places):
        part = tool(**{name: array[rows, columns] for name, array in inputs.items()})[output]
        weight = np.outer(
            window(rows, needed.shape[0], overlap), window(columns, needed.shape[1], overlap)
        ).astype(np.float32)
        weights[rows, columns] += weight
        # A running mean: where tiles agree, it is exactly what they agree on.
        share = (weight / weights[rows, columns])[..., None]
        kept = result[rows, columns]
        mean = np.where(share < 1, kept + share * (part - kept), part)
        result[rows, columns] = np.where(needed[rows, columns, None], mean, kept)
        progress(done + 1, len(places))
    return result


def spans(length: int, tile: int, overlap: int) -> list[slice]:
    """Returns the tiles along a side of `length` pixels: as few as needed, evenly spread.

    All have the same length, `tile` or the whole side if that is shorter; neighbours overlap by
    at least `overlap` pixels.
    """
    if length <= tile:
        return [slice(0, length)]
    count = math.ceil((length - overlap) / (tile - overlap))
    starts = [round(i * (length - tile) / (count - 1)) for i in range(count)]
    return [slice(start, start + tile) for start in starts]


def window(span: slice, length: int, overlap: int) -> np.ndarray:
    """Returns the unnormalised weights of a tile along one side, float64 (tile,).

    A raised cosine over `overlap` pixels at each end; 1 between, and at the ends of the photo.
    Weights are positive everywhere, so that they can be divided by their sum.
    """
    size = span.stop - span.start
    weights = np.ones(size)
    reach = min(overlap, size)
    ramp = np.sin(0.5 * np.pi * (np.arange(reach) + 0.5) / max(reach, 1)) ** 2
    if span.start > 0:
        weights[:reach] *= ramp
    if span.stop < length:
        weights[size - reach :] *= ramp[::-1]
    return weights
