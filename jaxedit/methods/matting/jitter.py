"""The colour jitter of both matting recipes: hue, saturation and value of the subject (host side).

Published in the data code of GCA-Matting and used by MatteFormer and by DPT. DPT's pre-training
hands its RGB images to it as if they were BGR, which mirrors the hue: the shift then goes the other
way round the circle and nothing else changes. Here colours are always RGB.
"""

from __future__ import annotations

import cv2
import numpy as np


def jitter(foreground: np.ndarray, alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the colours with shifted hue, saturation and value, float32 (H, W, 3) in [0, 255].

    The hue moves by a whole number of degrees in [-40, 39]. Saturation and value move by
    `r (1.1 - m) / 5 - (1.1 - m) / 10`, r in U(0, 1), where m is their mean over the pixels with
    alpha > 0, and are reflected at 0 and 1. Nothing changes where no pixel has alpha > 0.

    Args:
      foreground: uint8 or float32 (H, W, 3), RGB in [0, 255].
      alpha: float32 (H, W).
      rng: where the randomness comes from; the same number of draws whatever the picture.
    """
    hue = float(rng.integers(-40, 40))
    saturation, value = rng.random(2)
    colours = foreground.astype(np.float32)
    visible = (alpha > 0).view(np.uint8)
    if not visible.any():
        return colours
    colours *= np.float32(1 / 255)
    planes = list(cv2.split(cv2.cvtColor(colours, cv2.COLOR_RGB2HSV)))
    planes[0] += np.float32(hue)
    # The shifted hue lies in [-40, 399], so one turn of the circle brings it home.
    planes[0] += np.float32(360) * ((planes[0] < 0).view(np.int8) - (planes[0] >= 360))
    for position, share in ((1, saturation), (2, value)):
        room = 1.1 - cv2.mean(planes[position], mask=visible)[0]
        shifted = np.abs(planes[position] + np.float32(room * (share / 5 - 1 / 10)))
        planes[position] = np.float32(1) - np.abs(shifted - np.float32(1))
    colours = cv2.cvtColor(cv2.merge(planes), cv2.COLOR_HSV2RGB)
    colours *= np.float32(255)
    return np.clip(colours, 0, 255, out=colours)
