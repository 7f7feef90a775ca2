"""Trimaps of users: read from a file, checked for what makes no sense."""

from __future__ import annotations

import os

import numpy as np

from jaxedit.data import images, trimaps
from jaxedit.data.trimaps import BACKGROUND, FOREGROUND, LEVELS, UNKNOWN
from jaxedit.errors import UserError


def read(
    file: str | os.PathLike | bytes, *, by_thresholds: bool = False, name: str | None = None
) -> np.ndarray:
    """Returns the labels uint8 (H, W) of the trimap in a file.

    Args:
      file: a grey image, or a colour image of grey values; a path, or the bytes of a file.
      by_thresholds: other values are understood as the loaders of published data sets understand
        them: below 85 is background, from 170 on foreground, unknown between.
      name: what messages call it; by default the path.

    Raises:
      UserError: unreadable, coloured, or values that a trimap does not have.
    """
    path = name or file
    rgb, opacity = images.read_image_and_alpha(file, name=name)
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
        return trimaps.from_levels(levels)
    other = ~np.isin(levels, LEVELS)
    if other.any():
        raise UserError(
            f"The trimap {path} holds {_describe(levels[other])}; a trimap has 0 (background), "
            "128 (unknown) and 255 (foreground) only. Soft edges and JPEG make such values, so "
            "save it as a PNG, drawn without antialiasing; or add --round-trimap, which reads "
            "values below 85 as background, from 170 on as foreground and unknown between, as "
            "the loaders of published data sets do."
        )
    return trimaps.from_levels(levels)


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


def _describe(levels: np.ndarray) -> str:
    values, counts = np.unique(levels, return_counts=True)
    common = np.argsort(-counts, kind="stable")[:4]
    shown = ", ".join(f"{values[i]} ({counts[i]} pixels)" for i in common)
    rest = len(values) - len(common)
    return f"the value{'s' if len(values) > 1 else ''} {shown}" + (
        f" and {rest} more" if rest > 0 else ""
    )
