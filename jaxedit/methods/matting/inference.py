"""Published inference around the network: padding before it, 8 bits and known pixels after it.

MatteFormer's script; DPT's pads at the right and bottom only, which is a margin of 0.
"""

from __future__ import annotations

import numpy as np

from jaxedit.data import padding
from jaxedit.data.trimaps import BACKGROUND, FOREGROUND
from jaxedit.methods.matting.network import MULTIPLE

MARGIN = 32
"""Pixels reflected on every side, as published."""


def pad(
    image: np.ndarray, trimap: np.ndarray, margin: int = MARGIN
) -> tuple[np.ndarray, np.ndarray]:
    """Returns image and trimap reflected around their rims, sides being multiples of 32.

    `margin` pixels on every side, and as many more at the right and bottom as it takes. The rim
    itself is not repeated. Where an image is smaller than what is to be added, it is reflected back
    and forth; a side of one pixel is repeated.

    Args:
      image: (B, H, W, 3) of any dtype.
      trimap: (B, H, W, 1) of any dtype.
      margin: pixels, a multiple of 32.

    Raises:
      ValueError: the shapes do not match, or the margin is no multiple of 32.
    """
    if image.shape[:3] != trimap.shape[:3]:
        raise ValueError(f"The image is {image.shape[1:3]}, the trimap {trimap.shape[1:3]}")
    if margin < 0 or margin % MULTIPLE:
        raise ValueError(f"margin is {margin}, not a multiple of {MULTIPLE}")
    frame = padding.with_margin(image.shape[1:3], margin, MULTIPLE)
    return frame.pad(image), frame.pad(trimap)


def crop(padded: np.ndarray, height: int, width: int, margin: int = MARGIN) -> np.ndarray:
    """Returns the (B, height, width, C) that `pad` put into `padded`."""
    return padding.with_margin((height, width), margin, MULTIPLE).cut(padded)


def truncate(alpha: np.ndarray, trimap: np.ndarray, margin: int = MARGIN) -> np.ndarray:
    """Returns the 8-bit alpha of the picture, with 0 and 255 where the trimap knows.

    Args:
      alpha: (B, H', W', 1) in [0, 1], of the padded picture. 255 times it is cut, not rounded.
      trimap: (B, H, W, 1) labels of the picture itself.
      margin: what `pad` was given.

    Returns:
      (B, H, W, 1) uint8.
    """
    height, width = trimap.shape[1:3]
    alpha = crop(np.asarray(alpha, np.float32), height, width, margin)
    alpha = (alpha * np.float32(255)).astype(np.uint8)
    known = [trimap == BACKGROUND, trimap == FOREGROUND]
    return np.select(known, [np.uint8(0), np.uint8(255)], alpha)


def finish(alpha: np.ndarray, trimap: np.ndarray, margin: int = MARGIN) -> np.ndarray:
    """Returns what `truncate` does as float32 in [0, 1]: whole numbers over 255."""
    return truncate(alpha, trimap, margin).astype(np.float32) / np.float32(255)
