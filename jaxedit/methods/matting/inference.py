"""Published inference after the network: 8 bits, and the pixels that the trimap knows.

What is done before it, the reflected margin, is `Task.margin`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from jaxedit.data.trimaps import BACKGROUND, FOREGROUND

MARGINS = {"matteformer": 32, "dpt": 0}
"""Pixels reflected on every side by the published scripts. DPT's pads at the right and bottom only,
up to multiples of 32, as both do."""


def truncate(alpha: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """Returns the 8-bit alpha of a picture, with 0 and 255 where the trimap knows.

    Args:
      alpha: (B, H, W, 1) in [0, 1]. 255 times it is cut, not rounded.
      trimap: (B, H, W, 1) labels.

    Returns:
      (B, H, W, 1) uint8.
    """
    alpha = (np.asarray(alpha, np.float32) * np.float32(255)).astype(np.uint8)
    known = [trimap == BACKGROUND, trimap == FOREGROUND]
    return np.select(known, [np.uint8(0), np.uint8(255)], alpha)


def finish(
    outputs: Mapping[str, np.ndarray], inputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Returns `alpha` as `truncate` has it, as float32 in [0, 1]: whole numbers over 255."""
    eight = truncate(outputs["alpha"], inputs["trimap"])
    return {"alpha": eight.astype(np.float32) / np.float32(255)}
