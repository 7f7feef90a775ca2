"""The part of a photograph that an edit sees, at the size at which a network can see it.

What is to be edited gets one crop with context around it, at full resolution where it is no larger
than the network can bear; a larger one is scaled down, and one that is smaller than what the
network was trained on, because the photograph is, scaled up. What comes back is scaled to the
crop's own size and pasted, with weights that grow from the rim of the mask inwards, so that there
is no seam and nothing changes outside.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from scipy import ndimage

from jaxedit.apply import crops, hole
from jaxedit.apply.photograph import Photograph

FEATHER = 8  # pixels


@dataclasses.dataclass(frozen=True)
class View:
    """A crop, and how it is shown.

    Attributes:
      box: rows and columns of the photograph.
      size: height and width at which the network sees them, in pixels.
    """

    box: crops.Box
    size: tuple[int, int]

    @property
    def own(self) -> tuple[int, int]:
        """Height and width of the crop in the photograph."""
        return tuple(part.stop - part.start for part in self.box)

    def picture(self, pixels: np.ndarray) -> np.ndarray:
        """Returns the crop of a picture float32 (H, W, 3), scaled."""
        return _scaled(pixels[self.box], self.size)

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """Returns the crop of a mask bool (H, W), scaled: whatever it has touched belongs to it."""
        return hole.resized(mask[self.box], self.size)

    def enlarged(self, made: np.ndarray) -> np.ndarray:
        """Returns what was made of the crop, float32 (h, w, 3), at its own size."""
        return np.clip(_scaled(made, self.own), -1, 1)


def around(
    mask: np.ndarray, *, trained_on: int, context: int | None = None, resolution: int | None = None
) -> View:
    """Returns the view of what is to be edited.

    Args:
      mask: bool (H, W), not empty.
      trained_on: side of the pictures that the network was trained on: crops are no smaller where
        the photograph has the pixels.
      context: pixels around the mask, at least; None is half of its longer side.
      resolution: longest side that the network sees; None is one and a half times `trained_on`.
    """
    resolution = resolution or default_resolution(trained_on)
    (box,) = ndimage.find_objects(mask.astype(np.uint8))
    if context is None:
        context = max(part.stop - part.start for part in box) // 2
    # However large: it is scaled to the resolution.
    cutting = crops.Cutting(reach=1, resolution=4 * max(mask.shape), smallest=trained_on,
                            between=True)
    return _sized(cutting.crop(box, context, mask.shape), trained_on, resolution)


def whole(
    shape: tuple[int, int], *, trained_on: int, resolution: int | None = None
) -> View:
    """Returns the view of a whole photograph of height and width `shape`; see `around`."""
    box = slice(0, shape[0]), slice(0, shape[1])
    return _sized(box, trained_on, resolution or default_resolution(trained_on))


def default_resolution(trained_on: int) -> int:
    """Returns the longest side that a network sees by default."""
    return trained_on * 3 // 2


def paste(
    photo: Photograph, view: View, made: np.ndarray, mask: np.ndarray, feather: int
) -> Photograph:
    """Returns the photograph with what was made of a view where the mask is.

    Every pixel outside of the mask keeps its stored value, bit for bit.

    Args:
      photo: of any size.
      view: of it.
      made: what the network made of it, float32 (h, w, 3) in [-1, 1].
      mask: bool (H, W).
      feather: pixels from the rim of the mask inwards over which the edit comes in; see `weights`.
    """
    before, result = photo.for_network()[view.box], photo.for_network()
    share = weights(mask, feather)[view.box][..., None]
    result[view.box] = before + share * (view.enlarged(made) - before)
    return photo.filled(result, mask)


def replaced(photo: Photograph, view: View, made: np.ndarray) -> Photograph:
    """Returns the photograph with all of a view as the network made it, without any pasting."""
    result, changed = photo.for_network(), np.zeros(photo.size, bool)
    result[view.box], changed[view.box] = view.enlarged(made), True
    return photo.filled(result, changed)


def weights(mask: np.ndarray, feather: int) -> np.ndarray:
    """Returns how much of an edit is seen, float32 (H, W): 0 outside of the mask, 1 deep inside.

    It grows with the distance from the nearest pixel outside; what lies beyond the photograph is
    none. Parts of the mask that are thin get half of their own depth as the way to 1.

    Args:
      mask: bool (H, W).
      feather: pixels from 0 to 1; 0 is no ramp.
    """
    if mask.all() or not feather:
        return mask.astype(np.float32)
    depth = ndimage.distance_transform_edt(mask)
    numbers, count = ndimage.label(mask, np.ones((3, 3), bool))
    deepest = np.concatenate([[0], np.atleast_1d(
        ndimage.maximum(depth, numbers, np.arange(1, count + 1))
    )])[numbers]
    reach = np.maximum(1, np.minimum(feather + 1, deepest / 2))
    return np.clip(depth / reach, 0, 1).astype(np.float32)


def _sized(box: crops.Box, trained_on: int, resolution: int) -> View:
    own = tuple(part.stop - part.start for part in box)
    longest = max(own)
    scale = resolution / longest if longest > resolution else max(1, trained_on / longest)
    return View(box, tuple(max(1, round(scale * side)) for side in own))


def _scaled(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if pixels.shape[:2] == size:
        return pixels
    smaller = size[0] < pixels.shape[0]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    made = cv2.resize(np.ascontiguousarray(pixels), size[::-1], interpolation=how)
    return np.clip(made, -1, 1)
