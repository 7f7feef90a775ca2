"""The hole of a photograph as a person means it: of its size, wider, narrower, with a soft edge."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from jaxedit.apply.photograph import Photograph


def resized(hole: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns bool (H, W) of `size`; whatever pixel the hole has touched belongs to it.

    Args:
      hole: bool (h, w).
      size: height and width.
    """
    if hole.shape == tuple(size):
        return hole
    touched = hole.astype(np.float32)
    # One axis after the other: only so does a mean over areas leave nothing out where one grows.
    for axis, side in enumerate(size):
        old = touched.shape[axis]
        how = cv2.INTER_AREA if side < old else cv2.INTER_NEAREST
        shape = (touched.shape[1], side) if axis == 0 else (side, touched.shape[0])
        touched = (cv2.resize(touched, shape, interpolation=how) > 0).astype(np.float32)
    return touched > 0


def grown(hole: np.ndarray, pixels: int) -> np.ndarray:
    """Returns the hole with every pixel that is at most `pixels` away from it; less shrinks it.

    A shrunk hole has lost every pixel that is at most `-pixels` away from a known one; the border
    of the picture is not known to be either, and takes nothing away.
    """
    if pixels == 0 or not hole.any() or hole.all():
        return hole
    pixels = max(-sum(hole.shape), min(pixels, sum(hole.shape)))  # no distance is longer
    if pixels > 0:
        return ndimage.distance_transform_edt(~hole) <= pixels
    return ndimage.distance_transform_edt(hole) > -pixels


def softened(
    photo: Photograph, filled: Photograph, hole: np.ndarray, pixels: int
) -> Photograph:
    """Returns `filled` in the hole, fading to `photo` over the `pixels` around it.

    Args:
      photo: the photograph as it was.
      filled: the same with the hole grown by `pixels` filled.
      hole: bool (H, W).
      pixels: width of the band, from 1.
    """
    distance = ndimage.distance_transform_edt(~hole)
    share = np.clip(1 - distance / (pixels + 1), 0, 1).astype(np.float32)[..., None]
    mixed = share * filled.for_network() + (1 - share) * photo.for_network()
    return photo.filled(mixed, share[..., 0] > 0)
