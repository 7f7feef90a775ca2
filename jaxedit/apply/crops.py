"""The parts of a large photograph that a hole's filling depends on, so that the rest costs nothing.

The hole's connected parts get a square crop each, with context around them; parts whose crops
overlap share one where it does not grow too large. Crops have few sizes, so few programs are
compiled, and none is smaller than the pictures that the network was trained on. A part that is
longer than a crop may be is filled in tiles. One that is wider than what the network has learned
to bridge is filled at a smaller size, at which it is not, and enlarged; what that lacks at its edge
is continued over it, so that there is no seam. Where such a part is thin, a scratch that crosses a
blot, the network fills it at the resolution of the photograph.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Mapping

import cv2
import numpy as np
from scipy import ndimage

from jaxedit.apply import hole as holes
from jaxedit.apply import tiles
from jaxedit.apply.photograph import Photograph
from jaxedit.data import padding
from jaxedit.host import membrane

SMALLEST = 256  # side of the smallest crop, in pixels
CONTEXT = 64  # pixels around a part of the hole that the network sees, at least
RESOLUTION = 1024  # longest side of what any network sees at once
_LARGEST_STEP = 4.0  # between two sizes, from coarse to fine
_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)

Box = tuple[slice, slice]
Tool = Callable[..., Mapping[str, np.ndarray]]


def resolution_of(trained_on: int) -> int:
    """Returns the longest side that a network sees at once: four times what it was trained on."""
    return min(RESOLUTION, 4 * trained_on)


@dataclasses.dataclass(frozen=True)
class Cutting:
    """How a photograph is cut.

    Attributes:
      context: pixels around each part of the hole; None is half the longer side of the part, at
        least `CONTEXT`.
      reach: width of hole, in pixels, that the network has learned to fill at once.
      resolution: longest side of what the network sees at once, in pixels.
      smallest: side of the smallest crop; the others are 2, 4, .. times as large.
      between: whether there are crops of 1.5, 3, .. times that side too, for networks that see
        every crop at one size anyway.
    """

    reach: float
    context: int | None = None
    resolution: int = RESOLUTION
    smallest: int = SMALLEST
    between: bool = False

    def around(self, box: Box) -> int:
        """Returns the pixels of context around a part of the hole."""
        if self.context is not None:
            return self.context
        return max(CONTEXT, max(part.stop - part.start for part in box) // 2)

    def crop(self, box: Box, context: int, size: tuple[int, int]) -> Box:
        """Returns the square around a box, moved into a picture of a (height, width)."""
        wanted = max(part.stop - part.start for part in box) + 2 * context
        halves = (2, 3) if self.between else (2,)
        side = next(
            side for power in itertools.count() for half in halves
            if (side := half * 2**power * self.smallest // 2) >= wanted
        )
        if side > self.resolution:  # no program of this size is shared, so no more than is needed
            side = max(wanted, self.resolution)
        return tuple(_span(part, side, length) for part, length in zip(box, size, strict=True))

    def coarser(self, side: int, depth: float) -> int:
        """Returns the side at which the network begins with a hole that is too deep for it.

        It is one of the sides of crops, or half, a quarter .. of the smallest, so that programs are
        shared: the largest at which the hole is within reach, but no less than a quarter of `side`.

        Args:
          side: longest side of the crop, in pixels.
          depth: of its hole, distance to the nearest known pixel.
        """
        power = math.ceil(math.log2(side / self.smallest)) - 1
        while 2 * depth * self.smallest * 2.0**power > self.reach * side and (
            self.smallest * 2.0 ** (power - 1) >= side / _LARGEST_STEP
        ):
            power -= 1
        return max(1, round(self.smallest * 2.0**power))


@dataclasses.dataclass
class _Group:
    """Parts of the hole that are filled together: their numbers, box, context and crop."""

    numbers: list[int]
    box: Box
    context: int
    crop: Box


def seamless(tool: Tool) -> Tool:
    """Returns a tool whose fillings meet the picture at the edge of the hole; the rest is as it is.

    What the network's whole picture lacks there is continued smoothly over the hole and added.

    Args:
      tool: of an "inpaint" task, like `apply.applier.Applier`: with `prediction` beside
        `composite`.
    """

    def fill_one(**inputs: np.ndarray) -> Mapping[str, np.ndarray]:
        outputs, hole = tool(**inputs), inputs["mask"][..., 0] > 0.5
        if not hole.any() or hole.all():
            return outputs
        prediction = outputs["prediction"]
        met = prediction + membrane.continued(inputs["image"] - prediction, hole)
        met = np.where(hole[..., None], np.clip(met, -1, 1), outputs["composite"])
        return {**outputs, "composite": met}

    return fill_one


def fill(tool: Tool, photo: Photograph, hole: np.ndarray, cutting: Cutting) -> Photograph:
    """Returns the photograph with its hole filled, every other pixel as it was.

    Args:
      tool: of an "inpaint" task, like `apply.applier.Applier`.
      photo: of any size.
      hole: bool (H, W).
      cutting: how it is cut.
    """
    pixels = photo.pixels.copy()
    for crop, inside in places(hole, cutting):
        part = dataclasses.replace(photo, pixels=photo.pixels[crop], alpha=None)
        filled = _fill_part(tool, part.for_network(), hole[crop], inside, cutting)
        pixels[crop] = dataclasses.replace(part, pixels=pixels[crop]).filled(filled, inside).pixels
    return dataclasses.replace(photo, pixels=pixels)


def places(hole: np.ndarray, cutting: Cutting) -> Iterator[tuple[Box, np.ndarray]]:
    """Yields (crop, which pixels of it to fill) until every pixel of the hole has had its turn."""
    numbers, _ = ndimage.label(hole, _EIGHT_NEIGHBOURS)
    for group in _groups(ndimage.find_objects(numbers), hole.shape, cutting):
        yield group.crop, np.isin(numbers[group.crop], group.numbers)


def _groups(boxes: list[Box], size: tuple[int, int], cutting: Cutting) -> list[_Group]:
    """Returns the parts, those together whose crops overlap and whose common one is small enough.
    """
    groups: list[_Group] = []
    for number, box in enumerate(boxes, start=1):
        context = cutting.around(box)
        alone = _Group([number], box, context, cutting.crop(box, context, size))
        for group in groups:
            common = tuple(
                slice(min(a.start, b.start), max(a.stop, b.stop))
                for a, b in zip(group.box, box, strict=True)
            )
            both = max(group.context, context)
            crop = cutting.crop(common, both, size)
            if _overlap(group.crop, alone.crop) and _longest(crop) <= cutting.resolution:
                group.numbers.append(number)
                group.box, group.context, group.crop = common, both, crop
                break
        else:
            groups.append(alone)
    return groups


def _fill_part(
    tool: Tool, image: np.ndarray, hole: np.ndarray, inside: np.ndarray, cutting: Cutting
) -> np.ndarray:
    """Returns float32 (h, w, 3), right where `inside`; arguments are those of one crop.

    What is wider than the network's reach is filled at a smaller size and enlarged. Filling its rim
    at this size once more, between the photograph and that, gives a frame and no better picture.
    """
    # Distance to the nearest known pixel; what lies beyond the picture is not known.
    depth = ndimage.distance_transform_edt(hole)
    if 2 * depth.max() <= cutting.reach:
        return _run(tool, image, hole, inside, cutting)
    # With the pixel by which what it touches may widen it: otherwise a hole little deeper than the
    # network's reach would never come to be within it.
    scale = cutting.coarser(max(hole.shape), depth.max() + 1) / max(hole.shape)
    size = tuple(max(1, round(scale * n)) for n in (hole.shape[1], hole.shape[0]))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    touched = holes.resized(hole, size[::-1])
    # Nothing is known any more, or the hole is too thin to lose depth.
    if touched.all() or ndimage.distance_transform_edt(touched).max() >= depth.max():
        return _run(tool, image, hole, inside, cutting)
    # A network sees nothing smaller than what it was trained on, which costs a program more.
    frame = padding.centred(size[::-1], tuple(max(n, round(2 * cutting.reach)) for n in size[::-1]))
    small, touched = frame.pad(small[None])[0], frame.pad(touched[None])[0]
    coarse = frame.cut(_fill_part(tool, small, touched, touched, cutting)[None])[0]
    # The filling alone: enlarged with what is around it, it would run into that at its edge.
    coarse = membrane.continued(coarse, ~frame.cut(touched[None])[0])
    shape = (hole.shape[1], hole.shape[0])
    enlarged = np.clip(cv2.resize(coarse, shape, interpolation=cv2.INTER_CUBIC), -1, 1)
    start = np.where(hole[..., None], _without_seam(enlarged, image, hole), image)
    thin = _thin(hole, depth, cutting.reach / 2)
    if not (thin & inside).any():
        return start
    filled = _run(tool, start, thin, thin & inside, cutting)
    return np.where(thin[..., None], filled, start)


def _without_seam(filling: np.ndarray, image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Returns the filling (h, w, 3) with what it lacks of the image at the hole's edge added."""
    (box,) = ndimage.find_objects(hole.astype(np.int8))
    box = tuple(slice(max(0, part.start - 1), part.stop + 1) for part in box)  # with its edge
    result = filling.copy()
    lacking = membrane.continued(image[box] - filling[box], hole[box])
    result[box] = np.clip(filling[box] + lacking, -1, 1)
    return result


def _thin(hole: np.ndarray, depth: np.ndarray, radius: float) -> np.ndarray:
    """Returns the parts of a hole into which no disc of that radius fits, bool (h, w).

    What is left in the corners of wide parts does not count: a thin part reaches out by `radius` at
    least.
    """
    beyond = ndimage.distance_transform_edt(depth <= radius)  # to the middle of wide parts
    numbers, count = ndimage.label(hole & (beyond > radius), _EIGHT_NEIGHBOURS)
    farthest = ndimage.maximum(beyond, numbers, np.arange(count + 1))
    kept = np.asarray(farthest) > 2 * radius
    kept[0] = False
    return kept[numbers]


def _run(
    tool: Tool, image: np.ndarray, hole: np.ndarray, needed: np.ndarray, cutting: Cutting
) -> np.ndarray:
    """Returns the network's answer for one picture, in tiles where it is large."""
    inputs = {"image": image, "mask": hole[..., None].astype(np.float32)}
    if max(hole.shape) <= cutting.resolution:
        return tool(**inputs)["composite"]
    return tiles.apply(
        tool, inputs, "composite", needed=needed, start=image, tile=cutting.resolution,
        overlap=cutting.resolution // 4,
    )


def _span(part: slice, side: int, length: int) -> slice:
    """Returns `side` pixels around a span, moved into 0..length; all of it where it is shorter."""
    if side >= length:
        return slice(0, length)
    start = (part.start + part.stop - side) // 2
    start = min(max(0, start), length - side)
    return slice(start, start + side)


def _overlap(a: Box, b: Box) -> bool:
    return all(m.start < n.stop and n.start < m.stop for m, n in zip(a, b, strict=True))


def _longest(box: Box) -> int:
    return max(part.stop - part.start for part in box)

