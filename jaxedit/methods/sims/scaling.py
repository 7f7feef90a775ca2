"""Records at the size that a part of SIMS works at: pictures smoothly, label maps by pixels."""

from __future__ import annotations

import cv2
import numpy as np


def picture(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns uint8 (H, W, 3) at (height, width): means of areas to shrink, bilinear to enlarge."""
    if image.shape[:2] == tuple(size):
        return image
    way = cv2.INTER_AREA if image.shape[0] > size[0] else cv2.INTER_LINEAR
    return cv2.resize(image, tuple(size)[::-1], interpolation=way)


def nearest(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns (H, W) or (H, W, C) of any dtype at (height, width), by the nearest pixels.

    Centres are compared in whole numbers, so that no rounding decides between two pixels.
    """
    if array.shape[:2] == tuple(size):
        return array
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for new, old in zip(size, array.shape[:2], strict=True)
    )
    return array[rows[:, None], columns]
