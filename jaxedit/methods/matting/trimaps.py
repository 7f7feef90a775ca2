"""How the two training recipes of matting make their trimaps (host side).

Labels as in `jaxedit.data.trimaps`: 0 background, 1 unknown, 2 foreground.
"""

from __future__ import annotations

import cv2
import numpy as np

from jaxedit.data.trimaps import eroded

# Published trimaps are made at this size, whatever the picture's, so that their width follows it.
CANVAS = 640


def from_exact(alpha: np.ndarray) -> np.ndarray:
    """Returns the labels uint8 (H, W) of pre-training: known only where alpha is exactly 0 or 1."""
    return (alpha > 0).astype(np.uint8) + (alpha >= 1)


def from_alpha(
    alpha: np.ndarray,
    foreground_size: int,
    background_size: int,
    interpolation: int = cv2.INTER_NEAREST,
    canvas: int = CANVAS,
) -> np.ndarray:
    """Returns the labels uint8 (H, W) of fine-tuning, from an opacity map float32 (H, W).

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
