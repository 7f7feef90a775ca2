"""A coarse mask of a photograph's subject from a box around it, by GrabCut (Rother et al., 2004).

OpenCV's iterated graph cut: what is outside the box is background, what is inside is told apart by
two mixtures of colours. It is a start for a trimap, no matte.
"""

from __future__ import annotations

import cv2
import numpy as np

from jaxedit.apply.photograph import Photograph
from jaxedit.errors import UserError
from jaxedit.host import levels, number_text

_ROUNDS = 5
_SIDE = 640  # pixels, of the longer side that the cut is made at: a coarse mask needs no more
_MARGIN = 0.02  # of the photograph's sides, around a subject that fills it
_SMALLEST = 8  # pixels, of a box's sides, at the photograph's size

Box = tuple[int, int, int, int]


def box_of(text: str) -> Box:
    """Returns (x, y, width, height) of `X,Y,W,H`, in pixels; raises UserError on anything else."""
    box = number_text.whole(text, 4)
    if box is None:
        raise UserError(
            f"--box {text!r}: expected X,Y,W,H, four whole numbers of pixels with commas between "
            "them: left, top, width and height, not two corners. For example --box 120,40,300,500."
        )
    return box


def whole(size: tuple[int, int]) -> Box:
    """Returns the box of a subject that fills a photograph of (height, width).

    Background is known at the other three sides; by the lower one most subjects are cut off.
    """
    height, width = size
    x, y = round(_MARGIN * width) + 1, round(_MARGIN * height) + 1
    return x, y, width - 2 * x, height - y


def mask_in(photo: Photograph, box: Box) -> np.ndarray:
    """Returns bool (H, W), True where GrabCut takes the pixels of the box for the subject.

    The same photograph and box give the same mask.

    Args:
      photo: any size; a large one is cut at a smaller size.
      box: (x, y, width, height) in pixels, within the photograph, which it must not fill.

    Raises:
      UserError: the box does not lie within the photograph, is too small or is all of it, or
        nothing in it differs from what is around it.
    """
    height, width = photo.size
    x, y, w, h = box
    if min(x, y) < 0 or x + w > width or y + h > height or min(w, h) < _SMALLEST:
        raise UserError(
            f"The box {x},{y},{w},{h} does not lie within the photo of {width} x {height} pixels, "
            f"or has less than {_SMALLEST} on a side. Expected left, top, width and height."
        )
    if (w, h) == (width, height):
        raise UserError(
            "The box is the whole photo, so that nothing around the subject is known. Leave a rim "
            "of background."
        )
    scale = min(1.0, _SIDE / max(height, width))
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    pixels = cv2.resize(
        levels.of_picture(photo.for_network()), small, interpolation=cv2.INTER_AREA
    )
    inside = np.zeros((height, width), np.float32)
    inside[y : y + h, x : x + w] = 1
    inside = cv2.resize(inside, small, interpolation=cv2.INTER_AREA) > 0.5
    labels = np.where(inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    if not inside.any() or inside.all():
        raise UserError(f"The box {x},{y},{w},{h} leaves no rim of background, or no subject.")
    cv2.setRNGSeed(0)  # its mixtures begin with a k-means of random centres
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(
        np.ascontiguousarray(pixels[..., ::-1]), labels, None, *models, _ROUNDS,
        cv2.GC_INIT_WITH_MASK,
    )
    found = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if not found.any():
        raise UserError(
            "Nothing in the box differs from what is around it, so no subject was found. Draw the "
            "box closer, or give a --mask or a --trimap."
        )
    enlarged = cv2.resize(
        found.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR
    )
    return enlarged > 0.5
