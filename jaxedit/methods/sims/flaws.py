"""What the release does about flaws of donors: old shadows on roads, sky between leaves.

Such pixels of a segment are pasted black, as missing, so that the synthesis network paints them.
Qi et al., CVPR 2018, do not mention it; the published code calls both optional.
"""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np

from jaxedit.methods.sims import canvas


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """Which pixels of donors are left out.

    Attributes:
      shadows: `ground` within half of this share of the height of the donor picture's `casters` is
        left out; 0 keeps all. Published: 0.06.
      ground: classes on which shadows lie, such as road and sidewalk.
      casters: classes that throw them, such as vehicles.
      borders: segments of `leaky` classes lose half of this share of the height inside of their
        edges; 0 keeps all. Published: 0.04.
      leaky: classes whose outlines hold pixels of what is behind them, such as trees.
    """

    shadows: float = 0.0
    ground: tuple[int, ...] = ()
    casters: tuple[int, ...] = ()
    borders: float = 0.0
    leaky: tuple[int, ...] = ()

    def at_donor(self, label: int, layout: np.ndarray) -> np.ndarray | None:
        """Returns the pixels left out where the donor's picture has them; None where none is.

        Args:
          label: the class of the segment.
          layout: int (H, W), of the picture that it is from.
        """
        reach = math.floor(self.shadows * layout.shape[0]) // 2
        if not reach or label not in self.ground:
            return None
        casters = np.isin(layout, self.casters).astype(np.uint8)
        square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
        near = cv2.dilate(casters, square, borderType=cv2.BORDER_CONSTANT, borderValue=0)
        return near > 0 if near.any() else None

    def at_place(self, label: int, mask: np.ndarray) -> np.ndarray | None:
        """Returns the pixels left out of a segment's mask, bool (H, W), in the canvas; or None."""
        reach = math.floor(self.borders * mask.shape[0]) // 2
        return canvas.inner_band(mask, reach) if reach and label in self.leaky else None
