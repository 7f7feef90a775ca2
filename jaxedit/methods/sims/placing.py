"""A segment of the bank on its place in a canvas of any size, moved there by the alignment network.

Qi et al., CVPR 2018, section 3.2. Segments are looked up in the bank's small frame, canvases may be
of another size: outlines are enlarged by their nearest pixels, colours are the bank's finer ones.
The alignment network is asked at the size that it learned at.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import cv2
import jax
import numpy as np

from jaxedit.methods.sims import affine, flaws, scaling, segments
from jaxedit.methods.sims.bank import Bank
from jaxedit.methods.sims.segments import Segment

Applier = Callable[..., Mapping[str, np.ndarray]]


@dataclasses.dataclass(frozen=True, eq=False)
class Placed:
    """What is pasted of a segment.

    Attributes:
      colour: float32 (H, W, 3) in [0, 1], black outside.
      mask: bool (H, W).
      black: bool (H, W), pixels of the mask that are pasted black, see `flaws`; None where none is.
    """

    colour: np.ndarray
    mask: np.ndarray
    black: np.ndarray | None = None


class Placer:
    """Puts segments of one bank onto their places.

    Args:
      bank: where they come from.
      size: (height, width) of canvases.
      align: the alignment network's task `align`, called with one segment; None moves nothing.
      align_size: (height, width) that it is asked at.
      left_out: which pixels of donors are.
    """

    def __init__(
        self, bank: Bank, size: tuple[int, int], align: Applier | None = None,
        align_size: tuple[int, int] | None = None, left_out: flaws.LeftOut | None = None,
    ):
        self.bank, self.size = bank, tuple(size)
        self._align, self._align_size = align, tuple(align_size or size)
        self._flaws = left_out or flaws.LeftOut()

    def enlarged(self, mask: np.ndarray) -> np.ndarray:
        """Returns a mask or map of the bank's frame at the size of canvases."""
        return scaling.nearest(mask, self.size)

    def __call__(self, wanted: Segment, number: int, label: np.ndarray) -> Placed:
        """Returns a segment of the bank on its place.

        Args:
          wanted: the place, a segment of the layout in the bank's frame.
          number: of the segment in the bank.
          label: int (H, W), the layout at `size`.
        """
        colour, mask = self._of_bank(number)
        of_class = int(self.bank.label[number])
        black = self._flaws.at_donor(
            of_class, self.enlarged(self.bank.layout(int(self.bank.image[number])))
        )
        if self._align is not None:
            colour, mask, theta = self._aligned(colour, mask, wanted, label)
            if black is not None:
                black = affine.warp_on_host(black.astype(np.uint8), theta, cv2.INTER_NEAREST) > 0
        border = self._flaws.at_place(of_class, mask)
        if border is not None:
            black = border if black is None else black | border
        return Placed(colour, mask, black)

    def _of_bank(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns colour and mask of a segment where it stands in its own picture."""
        bank = self.bank
        segment = bank.segment(number)
        finer = tuple(side * bank.scale for side in bank.size)
        colour = np.zeros((*finer, 3), np.float32)
        colour[segments.inside(segment.box, bank.scale)] = (
            bank.colours(number).astype(np.float32) / 255
        )
        frame = segment.placed(bank.size)
        return scaled(colour, bank.enlarged(frame), self.size), self.enlarged(frame)

    def _aligned(
        self, colour: np.ndarray, mask: np.ndarray, wanted: Segment, label: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns colour and mask after the network's map, and the map in pixels of `size`."""
        size = self._align_size
        plane = lambda array: scaling.nearest(array, size).astype(np.float32)[..., None]
        outputs = self._align(
            colour=2 * scaled(colour, mask, size) - 1, mask=plane(mask),
            label=scaling.nearest(label, size), target=plane(wanted.placed(self.bank.size)),
        )
        theta = np.asarray(outputs["theta"], np.float64)
        if size == self.size:
            mask = outputs["mask"][..., 0] > 0.5
            colour = np.clip((outputs["colour"] + 1) / 2, 0, 1)
        else:
            theta = finer_map(theta, size, self.size)
            moved = affine.warp_on_host(np.dstack([colour, mask]).astype(np.float32), theta)
            mask, colour = moved[..., 3] > 0.5, moved[..., :3]
        return np.where(mask[..., None], colour, 0).astype(np.float32), mask, theta


def by_moments() -> Applier:
    """Returns what moves a segment by the moments of its mask and its place, without a network.

    It takes what the alignment network's task takes, of one segment, and gives what that gives.
    """
    moved = jax.jit(lambda colour, mask, target: affine.align(
        (colour + 1) / 2 * mask, mask, target, affine.by_moments(mask, target), discard=True
    ))

    def apply(**inputs: np.ndarray) -> dict[str, np.ndarray]:
        batch = {name: inputs[name][None] for name in ("colour", "mask", "target")}
        colour, mask, theta = (np.asarray(array)[0] for array in moved(**batch))
        return {"colour": 2 * colour - 1, "mask": mask, "theta": theta}

    return apply


def scaled(colour: np.ndarray, mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns the colours (H, W, 3) of a mask at another size, black outside of the mask there.

    What is outside has no share in them: no edge is darkened.
    """
    if mask.shape == tuple(size):
        return colour
    way = cv2.INTER_AREA if mask.shape[0] > size[0] else cv2.INTER_LINEAR
    both = cv2.resize(
        np.dstack([colour, mask]).astype(np.float32), tuple(size)[::-1], interpolation=way
    )
    inside = scaling.nearest(mask, size)[..., None]
    return np.where(inside, both[..., :3] / np.maximum(both[..., 3:], 1e-6), 0).clip(0, 1)


def finer_map(theta: np.ndarray, size: tuple[int, int], new: tuple[int, int]) -> np.ndarray:
    """Returns a map (6,) of pixels at (height, width) `size` as one of pixels at `new`."""
    rows, columns = (b / a for a, b in zip(size, new, strict=True))
    across = columns / rows
    return np.asarray(theta) * [1, across, columns, 1 / across, 1, rows]
