"""What an inpainting network must beat: fillings that learn nothing. Host side, NumPy.

Also the hole-ratio bins of the field's tables: (0.01, 0.1], (0.1, 0.2], ... (0.5, 0.6].
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from jaxedit.data.mask_files import HOLE_BINS
from jaxedit.data.transforms import to_unit_range
from jaxedit.host import levels
from jaxedit.host import membrane as smooth

LABELS = tuple(f"{round(100 * low)}-{round(100 * high)}%" for low, high in HOLE_BINS)


def bin_labels(batch: Mapping[str, np.ndarray]) -> list[str | None]:
    """Returns the hole-ratio bin of each mask (B, H, W, 1), or None outside of all bins."""
    labels: list[str | None] = []
    for ratio in (np.asarray(batch["mask"]) > 0.5).mean((1, 2, 3)):
        inside = [label for label, (low, high) in zip(LABELS, HOLE_BINS, strict=True)
                  if low < ratio <= high]
        labels.append(inside[0] if inside else None)
    return labels


def mean_fill(batch: Mapping[str, np.ndarray]) -> np.ndarray:
    """Fills each hole with the mean colour of that image's valid pixels.

    Args:
      batch: `image` (B, H, W, 3) in [-1, 1] and `mask` (B, H, W, 1), 1 = hole.

    Returns:
      (B, H, W, 3) float32 in [-1, 1]; an image without a valid pixel is filled with grey, 0.
    """
    image, mask = batch["image"], batch["mask"]
    valid = 1 - mask
    mean = (image * valid).sum((1, 2), keepdims=True)
    mean = mean / np.maximum(valid.sum((1, 2), keepdims=True), 1)
    return (image * valid + mean * mask).astype(np.float32)


def biharmonic(batch: Mapping[str, np.ndarray]) -> np.ndarray:
    """Fills each hole with the biharmonic continuation of its surroundings (scikit-image).

    Arguments and result as in `mean_fill`. Values beyond the range of images are clipped.
    """
    from skimage.restoration import inpaint_biharmonic

    filled = []
    for image, mask in zip(batch["image"], batch["mask"], strict=True):
        hole = mask[..., 0] > 0.5
        if hole.any() and not hole.all():
            image = inpaint_biharmonic(image, hole, channel_axis=-1)
        filled.append(np.clip(image, -1, 1))
    return np.stack(filled).astype(np.float32)


def telea(batch: Mapping[str, np.ndarray]) -> np.ndarray:
    """Fills each hole by the fast marching method of Telea (2004), OpenCV's at its usual radius.

    Arguments and result as in `mean_fill`. OpenCV works on 8 bits, so the result has their levels.
    An image without a valid pixel is filled with grey, 0.
    """
    filled = []
    for image, mask in zip(batch["image"], batch["mask"], strict=True):
        hole = mask[..., 0] > 0.5
        if hole.all():
            filled.append(np.zeros_like(image, np.float32))
            continue
        painted = cv2.inpaint(
            levels.of_picture(image), hole.astype(np.uint8), TELEA_RADIUS, cv2.INPAINT_TELEA
        )
        filled.append(np.where(hole[..., None], to_unit_range(painted), image))
    return np.stack(filled).astype(np.float32)


def membrane(batch: Mapping[str, np.ndarray]) -> np.ndarray:
    """Fills each hole with the harmonic continuation of its surroundings, see `host.membrane`.

    Arguments and result as in `mean_fill`. An image without a valid pixel is filled with grey, 0.
    """
    filled = []
    for image, mask in zip(batch["image"], batch["mask"], strict=True):
        hole = mask[..., 0] > 0.5
        filled.append(np.zeros_like(image) if hole.all() else smooth.continued(image, hole))
    return np.stack(filled).astype(np.float32)


# Pixels around a hole's pixel that decide it: of Telea's method, and of the biharmonic equation
# (whose values scikit-image also keeps within the range of all known pixels). A membrane hangs on
# the hole's edge alone, but its solution begins with means over pixels further away.
TELEA_RADIUS = 3
REACH = {"telea": TELEA_RADIUS + 2, "biharmonic": 3, "membrane": 32}
BASELINES = {
    "mean fill": mean_fill, "Telea": telea, "membrane": membrane, "biharmonic": biharmonic,
}
