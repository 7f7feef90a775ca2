"""Pictures that look alike: 64 signs of the low frequencies, and how many of them differ.

The signature of a picture is that of its grey levels at 32 x 32: the signs of the 8 x 8 lowest
coefficients of the cosine transform against their median. Copies, smaller or compressed again,
differ in a few signs at most.
"""

from __future__ import annotations

import cv2
import numpy as np

_BITS = 64
_WEIGHTS = np.uint64(1) << np.arange(_BITS, dtype=np.uint64)


def signature(image: np.ndarray) -> int:
    """Returns 64 bits of a picture uint8 (H, W, 3)."""
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:8, :8].ravel()
    return int(_WEIGHTS[low > np.median(low[1:])].sum())


def distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns in how many bits uint64 signatures differ."""
    return np.bitwise_count(one ^ other)


def first_of_each(signatures: np.ndarray, most: int) -> np.ndarray:
    """Returns bool (N,): which are not within `most` bits of a kept one before; -1 keeps all."""
    kept = np.ones(len(signatures), bool)
    if most < 0:
        return kept
    # With more bands than bits may differ, one band at least is equal.
    if most >= _BITS:
        kept[1:] = False
        return kept
    edges = np.linspace(0, _BITS, most + 2).astype(int).tolist()
    bands = [
        (signatures >> np.uint64(low)) & np.uint64(2 ** (high - low) - 1)
        for low, high in zip(edges[:-1], edges[1:], strict=True)
    ]
    seen: list[dict[int, list[int]]] = [{} for _ in bands]
    for place, own in enumerate(signatures):
        keys = [int(band[place]) for band in bands]
        near = {other for table, key in zip(seen, keys, strict=True)
                for other in table.get(key, ())}
        if near and distance(signatures[list(near)], own).min() <= most:
            kept[place] = False
            continue
        for table, key in zip(seen, keys, strict=True):
            table.setdefault(key, []).append(place)
    return kept
