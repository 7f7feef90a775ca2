"""Which of two touching segments is in front, told from depth (host side).

Qi et al., CVPR 2018, section 3.3, and the published code: along the seam of two segments the nearer
one is in front.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import cv2
import numpy as np

from jaxedit.errors import UserError
from jaxedit.host.names import check_choice
from jaxedit.methods.sims.segments import Segment

DEPTHS = ("distance", "disparity")
_HEIGHT = 256  # of the frame in which the published seam is 11 pixels wide
_REACH = 5


@dataclasses.dataclass(frozen=True)
class DepthRule:
    """Decides pairs by depth.

    Attributes:
      depth: `distance`: the smaller the nearer; `disparity`: the larger the nearer. Pixels that
        are not finite or not above 0 have no data.
      flat: classes, such as road, that are behind every one of `objects`, whatever the depth.
      objects: such as people and vehicles.
    """

    depth: str = "distance"
    flat: tuple[int, ...] = ()
    objects: tuple[int, ...] = ()

    def __post_init__(self):
        check_choice("data.depth", self.depth, DEPTHS)
        if set(self.flat) & set(self.objects):
            raise UserError("A class is named in data.flat and in data.objects.")

    def __call__(
        self, found: Sequence[Segment], depth: np.ndarray
    ) -> list[tuple[int, int, int]]:
        """Returns (first, second, the one in front) of touching segments of two classes.

        Pairs without depth on both sides of the seam, and such of equal depth, are left out, and so
        are segments of one class: the network is asked for the class in front.

        Args:
          found: the segments.
          depth: (H, W).
        """
        size = depth.shape
        reach = max(1, round(_REACH * size[0] / _HEIGHT))
        known = np.isfinite(depth) & (depth > 0)
        masks = [segment.placed(size) for segment in found]
        edges = [edge(mask) for mask in masks]
        near = [dilate(one, 1) for one in edges]
        wide = [dilate(one, reach) for one in edges]
        decided = []
        for first, second in itertools.combinations(range(len(found)), 2):
            labels = found[first].label, found[second].label
            if labels[0] == labels[1] or not (near[first] & near[second]).any():
                continue
            seam = wide[first] & wide[second] & known
            sides = seam & masks[first], seam & masks[second]
            front = self._by_class(labels)
            if front is None and all(side.any() for side in sides):
                front = self._nearer(*(float(np.median(depth[side])) for side in sides))
            if front is not None:
                decided.append((first, second, (first, second)[front]))
        return decided

    def _by_class(self, labels: tuple[int, int]) -> int | None:
        for front in (0, 1):
            if labels[front] in self.objects and labels[1 - front] in self.flat:
                return front
        return None

    def _nearer(self, first: float, second: float) -> int | None:
        if first == second:
            return None
        return int((first > second) == (self.depth == "distance"))


def edge(mask: np.ndarray) -> np.ndarray:
    """Returns the pixels of a mask, bool (H, W), that have a neighbour outside of it."""
    inner = cv2.erode(
        mask.astype(np.uint8), np.ones((3, 3), np.uint8),
        borderType=cv2.BORDER_CONSTANT, borderValue=1,
    )
    return mask & (inner == 0)


def dilate(mask: np.ndarray, reach: int) -> np.ndarray:
    """Returns the pixels within a square of `reach` pixels around a mask, bool (H, W)."""
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return cv2.dilate(mask.astype(np.uint8), square) > 0
