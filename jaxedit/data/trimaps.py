"""Trimaps as labels: 0 background, 1 unknown, 2 foreground; how they are made, of what.

Everywhere in the program a trimap is labels; only files and records hold the levels 0, 128 and 255.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

from jaxedit.errors import UserError

# OpenCV's own threads would compete with those that read ahead.
cv2.setNumThreads(0)

BACKGROUND, UNKNOWN, FOREGROUND = 0, 1, 2
LEVELS = (0, 128, 255)  # of the labels, in files and records

CANVAS = 640  # side in pixels on which `on_canvas` works, so that a band's width follows the size
MASK_WIDTH = 0.02  # of the unknown band of `from_mask`, as share of the subject's size
_INNER = 1 / 3  # part of that band which lies inside of the mask


def from_levels(levels: np.ndarray) -> np.ndarray:
    """Returns the labels uint8 of levels in 0..255: below 85, from 85 to 169, from 170 on."""
    return (levels >= 85).astype(np.uint8) + (levels >= 170)


def to_levels(labels: np.ndarray) -> np.ndarray:
    """Returns labels as the uint8 levels of a trimap file: 0, 128, 255."""
    return np.array(LEVELS, np.uint8)[labels]


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


def from_exact(alpha: np.ndarray) -> np.ndarray:
    """Returns the labels of an opacity map in [0, 1]: known only where it is exactly 0 or 1."""
    return (alpha > 0).astype(np.uint8) + (alpha >= 1)


def on_canvas(
    alpha: np.ndarray,
    foreground_size: int,
    background_size: int,
    interpolation: int = cv2.INTER_NEAREST,
    canvas: int = CANVAS,
) -> np.ndarray:
    """Returns the labels uint8 (H, W) of an opacity map float32 (H, W), as MatteFormer trains on.

    On a square canvas, the opaque and the transparent pixels are eroded, each by an ellipse of its
    own; what is left of them is known.

    Args:
      alpha: in [0, 1]; interpolation may have left values a little outside.
      foreground_size: side of the ellipse that erodes the opaque part, in pixels of the canvas.
      background_size: the same for the transparent part.
      interpolation: OpenCV's, for the way to the canvas; the way back is nearest.
      canvas: side of the canvas in pixels.
    """
    height, width = alpha.shape
    small = cv2.resize(alpha, (canvas, canvas), interpolation=interpolation)
    labels = eroded(
        small + np.float32(1e-5) >= 1,
        np.float32(1) - small + np.float32(1e-5) >= 1,
        foreground_size,
        background_size,
    )
    return cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)


def from_mask(mask: np.ndarray, width: float = MASK_WIDTH) -> np.ndarray:
    """Returns the labels uint8 (H, W) made of a coarse mask of the subject.

    The band along the mask's outline becomes unknown: a third of its width inside (foreground is
    the eroded mask), two thirds outside (background is the complement of the dilated mask), since
    hair and fur reach out of a coarse mask further than background reaches in. Distances are
    Euclidean. The frame of the photo is no outline: a subject that it cuts stays known there.

    Args:
      mask: bool (H, W), True on the subject.
      width: of the band, as share of the subject's size, which is the square root of the area of
        its bounding box; at least one pixel on either side.

    Raises:
      UserError: the mask is empty or full, `width` is no share, or no known foreground is left.
    """
    if not 0 < width <= 0.5:
        raise UserError(
            f"--trimap-width {width:g}: expected a share of the subject's size, above 0 and up to "
            f"0.5 ({MASK_WIDTH:g} by default)."
        )
    if not mask.any():
        raise UserError(
            "The mask marks no subject: it has no white pixel. White marks the subject."
        )
    if mask.all():
        raise UserError(
            "The mask marks the whole photo as subject, so there is nothing to cut off. White "
            "marks the subject, black the rest."
        )
    inner, outer = band(mask, width)
    labels = np.full(mask.shape, UNKNOWN, np.uint8)
    labels[_distance(mask) > inner] = FOREGROUND
    labels[_distance(~mask) > outer] = BACKGROUND
    if not (labels == FOREGROUND).any():
        raise UserError(
            f"No certain foreground is left: the subject of the mask is nowhere wider than the "
            f"{inner} pixels on either side that --trimap-width {width:g} makes unknown. Take a "
            "smaller --trimap-width, or draw a --trimap."
        )
    return labels


def band(mask: np.ndarray, width: float) -> tuple[int, int]:
    """Returns the width in pixels of the unknown band (inside, outside) of the mask's outline."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    size = np.sqrt((rows[-1] - rows[0] + 1.0) * (columns[-1] - columns[0] + 1.0))
    total = width * size
    return max(1, round(total * _INNER)), max(1, round(total * (1 - _INNER)))


def _distance(mask: np.ndarray) -> np.ndarray:
    """Returns the distance of each pixel of `mask` to the nearest one outside, float32 (H, W)."""
    return cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
