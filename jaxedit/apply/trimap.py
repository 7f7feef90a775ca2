"""Trimaps of users: read from a file, or made from a coarse mask of the subject.

Here a trimap is uint8 (H, W) as in its file: 0 background, 128 unknown, 255 foreground.
"""

from __future__ import annotations

import os

import cv2
import numpy as np

from jaxedit.data import images, trimaps
from jaxedit.errors import UserError

BACKGROUND, UNKNOWN, FOREGROUND = 0, 128, 255
WIDTH = 0.02  # of the subject's size
_INNER = 1 / 3  # part of the unknown band that lies inside of the mask


def read(path: str | os.PathLike, *, by_thresholds: bool = False) -> np.ndarray:
    """Returns the trimap in a file, uint8 (H, W) with the values 0, 128 and 255.

    Args:
      path: a grey image, or a colour image of grey values.
      by_thresholds: other values are understood as the loaders of published data sets understand
        them: below 85 is background, from 170 on foreground, unknown between.

    Raises:
      UserError: unreadable, coloured, or values that a trimap does not have.
    """
    rgb, opacity = images.read_image_and_alpha(path)
    if opacity.min() < 255:
        raise UserError(
            f"The trimap {path} has transparent pixels. Save it without an alpha channel, as a "
            "grey PNG of the values 0, 128 and 255."
        )
    levels = rgb[..., 0]
    coloured = int(np.count_nonzero((rgb != levels[..., None]).any(-1)))
    if coloured:
        raise UserError(
            f"The trimap {path} is a colour image: {coloured} of its pixels are not grey. Give a "
            "grey PNG of the values 0 (background), 128 (unknown) and 255 (foreground), and "
            "check that it is not the photo."
        )
    if by_thresholds:
        return trimaps.to_levels(trimaps.from_levels(levels))
    other = ~np.isin(levels, (BACKGROUND, UNKNOWN, FOREGROUND))
    if other.any():
        raise UserError(
            f"The trimap {path} holds {_describe(levels[other])}; a trimap has 0 (background), "
            "128 (unknown) and 255 (foreground) only. Soft edges and JPEG make such values, so "
            "save it as a PNG, drawn without antialiasing; or add --round-trimap, which reads "
            "values below 85 as background, from 170 on as foreground and unknown between, as "
            "the loaders of published data sets do."
        )
    return levels.copy()


def from_mask(mask: np.ndarray, width: float = WIDTH) -> np.ndarray:
    """Returns a trimap, uint8 (H, W), from a coarse mask of the subject.

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
            f"0.5 ({WIDTH:g} by default)."
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
    trimap = np.full(mask.shape, UNKNOWN, np.uint8)
    trimap[_distance(mask) > inner] = FOREGROUND
    trimap[_distance(~mask) > outer] = BACKGROUND
    if not (trimap == FOREGROUND).any():
        raise UserError(
            f"No certain foreground is left: the subject of the mask is nowhere wider than the "
            f"{inner} pixels on either side that --trimap-width {width:g} makes unknown. Take a "
            "smaller --trimap-width, or draw a --trimap."
        )
    return trimap


def band(mask: np.ndarray, width: float) -> tuple[int, int]:
    """Returns the width in pixels of the unknown band (inside, outside) of the mask's outline."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    size = np.sqrt((rows[-1] - rows[0] + 1.0) * (columns[-1] - columns[0] + 1.0))
    total = width * size
    return max(1, round(total * _INNER)), max(1, round(total * (1 - _INNER)))


def check(trimap: np.ndarray, name: str) -> list[str]:
    """Returns doubts about a trimap, as lines.

    Raises:
      UserError: it has no unknown pixel; `name` says which trimap.
    """
    if not (trimap == UNKNOWN).any():
        raise UserError(
            f"{name} has no unknown region (value 128), so there is nothing to estimate: every "
            "pixel is already said to be foreground or background. Mark the edges and hair of "
            "the subject as unknown, or give a --mask, from which a trimap is made."
        )
    doubts = []
    for value, what in ((FOREGROUND, "foreground (255)"), (BACKGROUND, "background (0)")):
        if not (trimap == value).any():
            doubts.append(
                f"{name} marks no {what}; the result is a guess. Mark some of what is certain."
            )
    return doubts


def labels(trimap: np.ndarray) -> np.ndarray:
    """Returns the trimap as a network's input: float32 (H, W, 1) of 0, 1 (unknown) and 2."""
    return trimaps.from_levels(trimap)[..., None].astype(np.float32)


def _distance(mask: np.ndarray) -> np.ndarray:
    """Returns the distance of each pixel of `mask` to the nearest one outside, float32 (H, W)."""
    return cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def _describe(levels: np.ndarray) -> str:
    values, counts = np.unique(levels, return_counts=True)
    common = np.argsort(-counts, kind="stable")[:4]
    shown = ", ".join(f"{values[i]} ({counts[i]} pixels)" for i in common)
    rest = len(values) - len(common)
    return f"the value{'s' if len(values) > 1 else ''} {shown}" + (
        f" and {rest} more" if rest > 0 else ""
    )
