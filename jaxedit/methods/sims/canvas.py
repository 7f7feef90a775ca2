"""The canvas: segments pasted back to front, their seams erased in two colours.

Qi et al., CVPR 2018, section 4, and the published code. White pixels inside of a segment's edge are
there to be painted anew; black ones around objects are missing, so that the synthesis network
invents shadows and contacts. White counts as present, black as missing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import cv2
import numpy as np

from jaxedit.data import classes
from jaxedit.host import levels
from jaxedit.methods.sims import segments
from jaxedit.methods.sims.segments import UNLABELLED


@dataclasses.dataclass(frozen=True)
class Elision:
    """How wide is erased what, in pixels.

    Attributes:
      inner: reach of the white band inside of a segment's edge; 0 erases nothing.
      ratio: share of that band that becomes white, drawn per pixel.
      outer: reach of the black band around objects; 0 erases nothing.
      margin: the black band stays within the object's box, grown by this share of its side to the
        left, to the right and below; not above.
      right_by_height: to the right it is grown by a share of its height, as the published code.
    """

    inner: int
    ratio: float
    outer: int
    margin: float = segments.CONTEXT_SHARE
    right_by_height: bool = False


def paper(height: int) -> Elision:
    """Returns the paper's numbers for a frame of that height: 80 % of 0.05 h, and all outside."""
    reach = math.floor(0.05 * height)
    return Elision(reach, 0.8, reach)


def released(height: int) -> Elision:
    """Returns the published code's numbers: half of a square's reach around the edge, 50 %."""
    return Elision(math.floor(0.035 * height) // 2, 0.5, math.floor(0.08 * height) // 2)


RULES = {"paper": paper, "released": released}


@dataclasses.dataclass(frozen=True, eq=False)
class Canvas:
    """What was pasted.

    Attributes:
      colour: float32 (H, W, 3) in [0, 1].
      owner: int32 (H, W), the number of the segment that is seen; -1 where there is none.
      label: int32 (H, W), its class; UNLABELLED where there is none.
    """

    colour: np.ndarray
    owner: np.ndarray
    label: np.ndarray

    @property
    def present(self) -> np.ndarray:
        """Returns where there is anything, bool (H, W): white is, black is not."""
        return self.colour.sum(-1) > 0


def compose(
    colours: Sequence[np.ndarray] | np.ndarray,
    masks: np.ndarray,
    labels: Sequence[int],
    order: Sequence[int],
    *,
    front: np.ndarray | None = None,
    elision: Elision | None = None,
    noise: np.ndarray | None = None,
    black: np.ndarray | None = None,
) -> Canvas:
    """Returns the segments pasted in `order`, the later over the earlier; not yet erased outside.

    Args:
      colours: float (N, H, W, 3) in [0, 1].
      masks: (N, H, W), where each segment has pixels.
      labels: the class of each.
      order: their numbers, back to front.
      front: (N, N); where entry [earlier, later] is set, the earlier keeps the pixels that it has.
        An order that needs no exceptions gets None.
      elision: what is erased inside of edges; None erases nothing.
      noise: (N, H, W), uniform in [0, 1), that decides which pixels of a band are; needed with
        `elision`.
      black: bool (N, H, W), pixels of each segment that are pasted without colour (`flaws`).
    """
    size = masks.shape[1:]
    colour = np.zeros((*size, 3), np.float32)
    owner = np.full(size, -1, np.int32)
    label = np.full(size, UNLABELLED, np.int32)
    for number in order:
        painted = masks[number].astype(bool)
        if front is not None:
            kept = np.append(front[:, number].astype(bool), False)  # -1, nobody, keeps nothing
            painted &= ~kept[owner]
        colour[painted] = colours[number][painted]
        seen = painted
        if black is not None:
            colour[painted & black[number]] = 0
            seen = painted & ~black[number]
        if elision is not None:
            colour[inner_band(seen, elision.inner) & (noise[number] < elision.ratio)] = 1
        owner[painted] = number
        label[painted] = labels[number]
    return Canvas(colour, owner, label)


def inner_band(mask: np.ndarray, reach: int) -> np.ndarray:
    """Returns the pixels of a mask within `reach` of its edge, bool; the frame is no edge."""
    mask = mask.astype(bool)
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    kept = cv2.erode(
        mask.astype(np.uint8), square, borderType=cv2.BORDER_CONSTANT, borderValue=1
    )
    return mask & (kept == 0)


def outer_band(
    label: np.ndarray, objects: Sequence[int], context: Sequence[int], elision: Elision
) -> np.ndarray:
    """Returns what becomes black around objects, bool (H, W): context and unlabelled pixels.

    Args:
      label: int (H, W) of what was pasted.
      objects: classes around which is erased.
      context: classes that are erased there.
      elision: how far.
    """
    erasable = np.isin(label, list(context)) | (label == UNLABELLED)
    band = np.zeros(label.shape, bool)
    only = np.where(np.isin(label, list(objects)), label, UNLABELLED)
    square = np.ones((2 * elision.outer + 1, 2 * elision.outer + 1), np.uint8)
    for found in segments.find(only, int(label.max(initial=0)) + 1):
        top, bottom, left, right = found.box
        beside = segments.grown(right - left + 1, elision.margin)
        below = segments.grown(bottom - top + 1, elision.margin)
        rows = slice(top, bottom + 1 + below)
        columns = slice(
            max(0, left - beside), right + 1 + (below if elision.right_by_height else beside)
        )
        mask = found.placed(label.shape)[rows, columns]
        near = cv2.dilate(
            mask.astype(np.uint8), square, borderType=cv2.BORDER_CONSTANT, borderValue=0
        )
        band[rows, columns] |= (near > 0) & ~mask & erasable[rows, columns]
    return band


def erase_outside(
    canvas: Canvas, objects: Sequence[int], context: Sequence[int], elision: Elision
) -> Canvas:
    """Returns the canvas with black around objects, see `outer_band`."""
    band = outer_band(canvas.label, objects, context, elision)
    return dataclasses.replace(canvas, colour=np.where(band[..., None], 0, canvas.colour))


def with_unfilled(
    canvas: Canvas, layout: np.ndarray, unfilled: np.ndarray, priority: np.ndarray
) -> Canvas:
    """Returns the canvas with what has no donor: black, of its own class, where it is in front.

    As in the published code, a distant car on a road that was pasted stays a car, to be painted by
    the network alone.

    Args:
      canvas: what was pasted.
      layout: int (H, W), the one that was asked for.
      unfilled: bool (H, W), the pixels that have a class and no donor.
      priority: (classes,), see `order.priorities`: what is larger is in front.
    """
    ahead = priority[np.where(unfilled, layout, 0)] > np.where(
        canvas.label == UNLABELLED, -1, priority[canvas.label]
    )
    changed = unfilled & ahead
    return Canvas(
        np.where(changed[..., None], 0, canvas.colour).astype(np.float32),
        np.where(changed, -1, canvas.owner).astype(np.int32),
        np.where(changed, layout, canvas.label).astype(np.int32),
    )


def rewritten(
    layout: np.ndarray, pasted: np.ndarray, queries: np.ndarray, context: Sequence[int]
) -> np.ndarray:
    """Returns the layout as the published code hands it on: with the shapes that were pasted.

    What was asked for is cleared, pasted pixels take their class, and what is then without a class
    gets its own again where that is one of the context.

    Args:
      layout: int (H, W), the one that was asked for.
      pasted: int (H, W), classes of what was pasted, UNLABELLED elsewhere.
      queries: bool (H, W), pixels of all segments that were replaced.
      context: such as road, sidewalk, wall, fence, vegetation, terrain and sky.
    """
    new = np.where(queries, UNLABELLED, layout)
    new = np.where(pasted == UNLABELLED, new, pasted)
    restored = (new == UNLABELLED) & np.isin(layout, list(context))
    return np.where(restored, layout, new).astype(np.int32)


def stored(colour: np.ndarray) -> np.ndarray:
    """Returns a canvas, float (H, W, 3) in [0, 1], as a record holds it: uint8.

    No level of what is there is 0: black alone says that it is missing.
    """
    present = colour.sum(-1, keepdims=True) > 0
    return np.where(present, np.maximum(levels.of_opacity(colour), 1), 0).astype(np.uint8)


def stored_layout(label: np.ndarray) -> np.ndarray:
    """Returns the layout of a canvas, int (H, W), as a record holds it: int32."""
    return np.where(label == UNLABELLED, classes.UNLABELLED, label).astype(np.int32)
