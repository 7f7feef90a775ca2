"""Numbers to the levels of a file: rounded to the nearest, what lies outside is cut off."""

from __future__ import annotations

import numpy as np


def rounded(values: np.ndarray, dtype: np.dtype | type = np.uint8) -> np.ndarray:
    """Returns `values`, any shape, as the nearest levels of an unsigned integer type.

    Args:
      values: in units of levels, so 0 to 255 for uint8.
      dtype: the type; its largest number is white.
    """
    return np.clip(np.rint(values), 0, np.iinfo(dtype).max).astype(dtype)


def of_picture(images: np.ndarray, dtype: np.dtype | type = np.uint8) -> np.ndarray:
    """Returns images of [-1, 1], any shape, as levels: -1 is black, 1 is white."""
    images = np.asarray(images, np.float32)
    return rounded((images + np.float32(1)) * np.float32(np.iinfo(dtype).max / 2), dtype)


def of_opacity(alphas: np.ndarray) -> np.ndarray:
    """Returns values of [0, 1], any shape, as uint8."""
    return rounded(np.asarray(alphas, np.float32) * np.float32(255))
