"""Trimaps as labels: 0 background, 1 unknown, 2 foreground; and how they are made of opacity maps.

Files and records hold the levels 0, 128 and 255 instead.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

# OpenCV's own threads would compete with those that read ahead.
cv2.setNumThreads(0)

BACKGROUND, UNKNOWN, FOREGROUND = 0, 1, 2


def from_levels(levels: np.ndarray) -> np.ndarray:
    """Returns the labels uint8 of levels in 0..255: below 85, from 85 to 169, from 170 on."""
    return (levels >= 85).astype(np.uint8) + (levels >= 170)


def to_levels(labels: np.ndarray) -> np.ndarray:
    """Returns labels as the uint8 levels of a trimap file: 0, 128, 255."""
    return np.array([0, 128, 255], np.uint8)[labels]


@functools.cache
def ellipse(size: int) -> np.ndarray:
    """Returns OpenCV's elliptic structuring element of `size` x `size` pixels."""
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def eroded(
    opaque: np.ndarray, transparent: np.ndarray, foreground_size: int, background_size: int
) -> np.ndarray:
    """Returns labels uint8 (H, W) from two bool (H, W) masks, each eroded by its own ellipse.

    Beyond the frame counts as inside, so the rim of the picture itself erodes nothing.
    """
    labels = np.full(opaque.shape, UNKNOWN, np.uint8)
    labels[cv2.erode(opaque.view(np.uint8), ellipse(foreground_size)) == 1] = FOREGROUND
    labels[cv2.erode(transparent.view(np.uint8), ellipse(background_size)) == 1] = BACKGROUND
    return labels


def of_width(alpha: np.ndarray, width: int) -> np.ndarray:
    """Returns labels uint8 (H, W) of a plain trimap made of an opacity map uint8 (H, W).

    Unknown is what is neither fully opaque nor fully transparent, and `width` pixels around it;
    where the two meet without a soft edge, a band of `width` pixels on either side.
    """
    size = 2 * width + 1
    return eroded(alpha == 255, alpha == 0, size, size)
