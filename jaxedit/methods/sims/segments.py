"""Cutting a label map into segments: the 8-connected components of each class.

Qi et al., CVPR 2018, section 3.1, and the published code. Touching objects of one class become one
segment unless an instance map tells them apart. Boxes are (top, bottom, left, right) in pixels, all
four inside; nothing is moved to the middle, a segment keeps its place in the frame.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import scipy.ndimage
from skimage import measure

Box = tuple[int, int, int, int]
UNLABELLED = -1
# The published code looks for donors of segments above 1000 pixels of 256 x 512.
AREA_SHARE = 1000 / (256 * 512)
CONTEXT_SHARE = 0.125  # on each side: a box enlarged by a quarter
_EIGHT = np.ones((3, 3), bool)


@dataclasses.dataclass(frozen=True, eq=False)
class Segment:
    """A connected part of one class.

    Attributes:
      label: its class.
      box: of its pixels.
      mask: bool, as large as the box.
    """

    label: int
    box: Box
    mask: np.ndarray

    @property
    def area(self) -> int:
        """Returns the number of its pixels."""
        return int(np.count_nonzero(self.mask))

    def placed(self, size: tuple[int, int]) -> np.ndarray:
        """Returns the mask in a frame of that height and width, bool."""
        frame = np.zeros(size, bool)
        frame[inside(self.box)] = self.mask
        return frame


def find(
    label: np.ndarray,
    classes: int,
    *,
    instance: np.ndarray | None = None,
    thin: Sequence[int] = (),
    above: float = 0,
) -> list[Segment]:
    """Returns the segments of a label map, by class, then by their first pixel in reading order.

    Args:
      label: int (H, W); what is not in 0..classes - 1 belongs to no segment.
      classes: how many there are.
      instance: int (H, W); two numbers within a class are two segments, even where they touch.
      thin: classes such as poles that would cut others in two. As in the published code, their
        pixels join every other class before components are found and leave the masks again; a
        component of which they are half or more is dropped.
      above: segments must have more pixels than this.
    """
    label = np.asarray(label)
    known = (label >= 0) & (label < classes)
    parts = np.zeros(label.shape, np.int64) if instance is None else np.asarray(instance, np.int64)
    parts = parts - parts.min(initial=0)
    stride = int(parts.max(initial=0)) + 1
    codes = np.where(known, label.astype(np.int64) * stride + parts + 1, 0)
    is_thin = np.isin(label, list(thin)) & known
    if is_thin.any():
        found = _around_thin(codes, stride, set(thin), is_thin)
    else:
        found = _components(codes, stride)
    found = [segment for segment in found if segment.area > above]
    return sorted(found, key=lambda segment: (segment.label, _first(segment)))


def inside(box: Sequence[int], scale: int = 1) -> tuple[slice, slice]:
    """Returns the rows and columns of a box, in a frame `scale` times as large."""
    top, bottom, left, right = (int(side) for side in box)
    return (
        slice(top * scale, (bottom + 1) * scale), slice(left * scale, (right + 1) * scale)
    )


def context_box(box: Sequence[int], size: tuple[int, int], share: float = CONTEXT_SHARE) -> Box:
    """Returns a box that is larger by `share` of its height above and below, of its width beside.

    Rounded half up, and cut at the frame of that height and width.
    """
    top, bottom, left, right = (int(side) for side in box)
    rows, columns = grown(bottom - top + 1, share), grown(right - left + 1, share)
    return (
        max(0, top - rows), min(size[0] - 1, bottom + rows),
        max(0, left - columns), min(size[1] - 1, right + columns),
    )


def grown(side: int, share: float) -> int:
    """Returns `share` of a side in pixels, rounded half up."""
    return math.floor(share * side + 0.5)


def smallest_area(size: tuple[int, int], share: float = AREA_SHARE) -> float:
    """Returns the area in pixels that a segment must exceed to be looked for, of a frame."""
    return share * size[0] * size[1]


def _components(codes: np.ndarray, stride: int) -> list[Segment]:
    numbered = measure.label(codes, background=0, connectivity=2)
    found = []
    for number, place in enumerate(scipy.ndimage.find_objects(numbered), 1):
        mask = numbered[place] == number
        code = int(codes[place][mask][0])
        found.append(Segment((code - 1) // stride, _box(place), mask))
    return found


def _around_thin(
    codes: np.ndarray, stride: int, thin: set[int], is_thin: np.ndarray
) -> list[Segment]:
    found = [s for s in _components(np.where(is_thin, codes, 0), stride)]
    for code in np.unique(codes[codes > 0]).tolist():
        if (code - 1) // stride in thin:
            continue
        own = codes == code
        numbered, _ = scipy.ndimage.label(own | is_thin, _EIGHT)
        for number, place in enumerate(scipy.ndimage.find_objects(numbered), 1):
            whole = numbered[place] == number
            mask = whole & own[place]
            if 2 * np.count_nonzero(mask) > np.count_nonzero(whole):
                found.append(_trimmed((code - 1) // stride, _box(place), mask))
    return found


def _trimmed(label: int, box: Box, mask: np.ndarray) -> Segment:
    """Returns a segment in the box of what is left of it."""
    (place,) = scipy.ndimage.find_objects(mask.astype(np.int32))
    top, left = box[0] + place[0].start, box[2] + place[1].start
    mask = mask[place]
    return Segment(
        label, (top, top + mask.shape[0] - 1, left, left + mask.shape[1] - 1), mask
    )


def _box(place: tuple[slice, slice]) -> Box:
    rows, columns = place
    return rows.start, rows.stop - 1, columns.start, columns.stop - 1


def _first(segment: Segment) -> tuple[int, int]:
    return segment.box[0], segment.box[2] + int(np.argmax(segment.mask[0]))
