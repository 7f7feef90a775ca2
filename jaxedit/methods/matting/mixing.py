"""The mixture `I = alpha F + (1 - alpha) B` and the arrays of one training sample (host side)."""

from __future__ import annotations

import numpy as np


def mix(foreground: np.ndarray, background: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Returns alpha F + (1 - alpha) B, float32 (H, W, 3) of the unit of its colours.

    Args:
      foreground: float32 (H, W, 3).
      background: float32 (H, W, 3).
      alpha: float32 (H, W) in [0, 1].
    """
    mixed = foreground - background
    mixed *= alpha[..., None]
    mixed += background
    return mixed


def sample(
    foreground: np.ndarray, background: np.ndarray, alpha: np.ndarray, labels: np.ndarray
) -> dict[str, np.ndarray]:
    """Returns one training sample; all arrays are float32.

    `image`, `foreground` and `background` are (H, W, 3) in [-1, 1], not rounded to 8 bits;
    `alpha` is (H, W, 1) in [0, 1]; `trimap` is (H, W, 1) with labels 0, 1, 2.

    Args:
      foreground: colours (H, W, 3) in [0, 255], uint8 or float32.
      background: the same.
      alpha: float32 (H, W) in [0, 1].
      labels: uint8 (H, W), the trimap.
    """
    foreground, background = unit_range(foreground), unit_range(background)
    return {
        "image": mix(foreground, background, alpha),
        "trimap": labels[..., None].astype(np.float32),
        "alpha": alpha[..., None],
        "foreground": foreground,
        "background": background,
    }


def unit_range(colours: np.ndarray) -> np.ndarray:
    """Returns colours in [0, 255] as new float32 in [-1, 1]."""
    scaled = colours * np.float32(1 / 127.5)
    scaled -= np.float32(1)
    return scaled
