"""Canvases to train the synthesis network on, simulated from the picture it has to paint.

Qi et al., CVPR 2018, section 5, and the published code. The pixels are the picture's own, cut with
the outlines of other pictures' segments, some recoloured, their edges erased, so that the network
cannot just copy them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from jaxedit.methods.sims import canvas as canvas_lib
from jaxedit.methods.sims import colour_transfer, segments
from jaxedit.methods.sims.canvas import Elision
from jaxedit.methods.sims.segments import UNLABELLED, Segment


def released_elision(height: int) -> Elision:
    """Returns the published numbers of training: half of a square of 0.05 h, 50 %, none outside."""
    return Elision(math.floor(0.05 * height) // 2, 0.5, 0)


@dataclasses.dataclass(frozen=True, eq=False)
class OutlineDonor:
    """The segment of another picture that lends its outline to a segment of this one.

    Attributes:
      mask: bool (H, W), where it stands in its own picture.
      colours: float in [0, 1], (n, 3): the other picture's, of the box of this segment, to whose
        statistics this segment's colours are moved; None leaves them as they are.
    """

    mask: np.ndarray
    colours: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingCanvas:
    """A simulated canvas and the layout that goes with it.

    Attributes:
      colour: float32 (H, W, 3) in [0, 1]; black is missing.
      label: int32 (H, W), with UNLABELLED where donor and segment differ and where there is none.
    """

    colour: np.ndarray
    label: np.ndarray


def simulate(
    image: np.ndarray,
    found: Sequence[Segment],
    donors: Sequence[OutlineDonor | None],
    elision: Elision,
    noise: Iterable[np.ndarray],
    *,
    whole_donor: bool = False,
    rings: Sequence[np.ndarray | None] | None = None,
) -> TrainingCanvas:
    """Returns the canvas of a picture from donors of its segments.

    Args:
      image: float (H, W, 3) in [0, 1].
      found: its segments, in the order in which they are pasted.
      donors: of each segment; None leaves it black, though its label stays.
      elision: what becomes white inside of edges.
      noise: of each segment (H, W), uniform in [0, 1), that decides which pixels of a band do.
      whole_donor: recoloured segments are cut by the donor's mask alone, as the published code
        does, instead of by what donor and segment share.
      rings: bool (H, W) of each segment, further pixels that become unlabelled (`ring`).
    """
    size = image.shape[:2]
    colour = np.zeros((*size, 3), np.float32)
    label = np.full(size, UNLABELLED, np.int32)
    for number, (segment, donor, drawn) in enumerate(zip(found, donors, noise, strict=True)):
        mask = segment.placed(size)
        label[mask] = segment.label
        if donor is None:
            continue
        outline = donor.mask.astype(bool)
        label[outline & ~mask] = UNLABELLED
        if rings is not None and rings[number] is not None:
            label[rings[number]] = UNLABELLED
        visible = outline & mask
        pixels = image
        if donor.colours is not None:
            own = image[segments.inside(segment.box)].reshape(-1, 3)
            pixels = colour_transfer.apply(image, *colour_transfer.between(own, donor.colours))
            visible = outline if whole_donor else visible
        colour[visible] = pixels[visible]
        erased = canvas_lib.inner_band(visible, elision.inner) & (drawn < elision.ratio)
        colour[erased] = 1
    return TrainingCanvas(colour, label)


def ring(mask: np.ndarray, degrees: float) -> np.ndarray:
    """Returns what differs between a mask, bool (H, W), and itself turned around its middle."""
    rows, columns = np.nonzero(mask)
    middle = (float(columns.mean()), float(rows.mean()))
    turned = cv2.warpAffine(
        mask.astype(np.uint8), cv2.getRotationMatrix2D(middle, degrees, 1.0), mask.shape[::-1],
        flags=cv2.INTER_NEAREST,
    )
    return (turned > 0) != mask
