"""Hole masks for inpainting: free-form, brush strokes, boxes, centred squares.

The free-form generator is that of Co-Mod-GAN (Zhao et al., ICLR 2021), called `random` where a mask
type is chosen. Its draws keep the published order, so that on NumPy's legacy generator
(`np.random.RandomState`) it gives the published masks bit for bit; any `np.random.Generator`
serves as well.

A mask is bool (H, W), True = hole. Every generator takes its randomness from the `rng` handed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from jaxedit.errors import UserError

Random = np.random.Generator | np.random.RandomState
Range = tuple[float, float]

# Beyond this many draws outside the wanted range, the nearest one is grown or shrunk into it.
MAX_TRIES = 1000
_MINIMUM_SIDE = 4


def free_form(
    rng: Random,
    height: int,
    width: int,
    hole_range: Range = (0.0, 1.0),
    brush_width: tuple[float, float] = (12, 48),
    max_tries: int = MAX_TRIES,
) -> np.ndarray:
    """Returns a Co-Mod-GAN free-form mask: rectangles and brush strokes.

    Up to 9 rectangles of up to half the image, up to 4 of up to the whole, both placed so that up
    to half may lie outside, and up to 19 strokes. Narrow ranges get fewer: the counts scale by
    min(lo + hi, 1), with at least one stroke possible (the published code fails below 0.2).

    Args:
      rng: where the randomness comes from.
      height: of the mask, in pixels.
      width: of the mask, in pixels.
      hole_range: (lo, hi); masks are redrawn until their share of holes lies strictly between.
      brush_width: range of the stroke width in pixels; as published it ignores the image size.
      max_tries: draws before the nearest mask is fitted into the range, see `within`.

    Raises:
      UserError: `hole_range` or the size is impossible.
    """
    check_size(height, width)
    amount = min(hole_range[0] + hole_range[1], 1.0)

    def draw() -> np.ndarray:
        mask = np.zeros((height, width), bool)
        for limit, part in ((10, 2), (5, 1)):
            for _ in range(_integer(rng, max(1, int(limit * amount)))):
                _fill_rectangle(mask, rng, height // part, width // part)
        strokes = Image.new("L", (width, height), 0)
        for _ in range(_integer(rng, max(2, int(20 * amount)))):
            _draw_stroke(strokes, rng, brush_width)
            rng.random(2)  # published: a flip of each stroke is drawn here, but has no effect
        return mask | _flip(np.asarray(strokes, bool), rng)

    return within(draw, rng, hole_range, (height, width), max_tries)


def strokes(
    rng: Random,
    height: int,
    width: int,
    hole_range: Range = (0.0, 1.0),
    count: tuple[int, int] = (1, 8),
    brush_width: tuple[float, float] = (0.04, 0.14),
    max_tries: int = MAX_TRIES,
) -> np.ndarray:
    """Returns brush strokes alone, in all directions, their width in proportion to the image.

    Args:
      rng: where the randomness comes from.
      height: of the mask, in pixels.
      width: of the mask, in pixels.
      hole_range: (lo, hi), as in `free_form`.
      count: fewest and most strokes.
      brush_width: range of the stroke width, as a share of the shorter side.
      max_tries: as in `free_form`.
    """
    check_size(height, width)
    side = min(height, width)
    widths = (max(1.0, brush_width[0] * side), max(2.0, brush_width[1] * side))

    def draw() -> np.ndarray:
        canvas = Image.new("L", (width, height), 0)
        for _ in range(count[0] + _integer(rng, count[1] - count[0] + 1)):
            _draw_stroke(canvas, rng, widths, heading=rng.uniform(0, 2 * math.pi))
        # Vertices are rounded towards the upper left corner, which would get more than its share.
        return _flip(np.asarray(canvas, bool), rng)

    return within(draw, rng, hole_range, (height, width), max_tries)


def boxes(
    rng: Random,
    height: int,
    width: int,
    hole_range: Range = (0.0, 1.0),
    count: tuple[int, int] = (1, 4),
    side: tuple[float, float] = (0.1, 0.5),
    max_tries: int = MAX_TRIES,
) -> np.ndarray:
    """Returns upright boxes that lie wholly inside the image.

    Args:
      rng: where the randomness comes from.
      height: of the mask, in pixels.
      width: of the mask, in pixels.
      hole_range: (lo, hi), as in `free_form`.
      count: fewest and most boxes.
      side: range of each side, as a share of the image's.
      max_tries: as in `free_form`.
    """
    check_size(height, width)

    def draw() -> np.ndarray:
        mask = np.zeros((height, width), bool)
        for _ in range(count[0] + _integer(rng, count[1] - count[0] + 1)):
            box_height = max(1, round(height * rng.uniform(*side)))
            box_width = max(1, round(width * rng.uniform(*side)))
            top = _integer(rng, height - box_height + 1)
            left = _integer(rng, width - box_width + 1)
            mask[top : top + box_height, left : left + box_width] = True
        return mask

    return within(draw, rng, hole_range, (height, width), max_tries)


def centred(height: int, width: int) -> np.ndarray:
    """Returns the centred box of half the height and width: a quarter of the image.

    The published code gives its hole the value 1/255 by mistake; here it is a hole.
    """
    check_size(height, width)
    mask = np.zeros((height, width), bool)
    top, left = height // 4, width // 4
    mask[top : 3 * top, left : 3 * left] = True
    return mask


def augment(mask: np.ndarray, rng: Random) -> np.ndarray:
    """Returns the mask mirrored with p = 0.5, then turned by U(0, 45) degrees anticlockwise.

    Nearest neighbour; what enters from outside is valid. This is the published augmentation of
    `pconv` and `centered` masks.
    """
    pixels = Image.fromarray(mask.astype(np.uint8) * 255)
    if rng.random() < 0.5:
        pixels = pixels.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = pixels.rotate(rng.uniform(0, 45), Image.Resampling.NEAREST, fillcolor=0)
    return np.asarray(pixels) >= 128


def within(
    draw: Callable[[], np.ndarray],
    rng: Random,
    hole_range: Range,
    size: tuple[int, int],
    max_tries: int = MAX_TRIES,
) -> np.ndarray:
    """Returns the first mask from `draw` whose share of holes lies strictly inside `hole_range`.

    After `max_tries` the mask that came nearest is grown or shrunk into the range (`fit_ratio`),
    so a rare range costs time but never a crash in mid-training.

    Raises:
      UserError: no mask of this size can lie in the range.
    """
    check_range(hole_range, size)
    low, high = hole_range
    nearest, distance = None, math.inf
    for _ in range(max_tries):
        mask = draw()
        ratio = float(mask.mean())
        if low < ratio < high:
            return mask
        gap = max(low - ratio, ratio - high)
        if gap < distance:
            nearest, distance = mask, gap
    return fit_ratio(nearest, rng, _ratio_inside(rng, hole_range, size))


def fit_ratio(mask: np.ndarray, rng: Random, ratio: float) -> np.ndarray:
    """Returns the mask, grown or shrunk evenly along its rim, with round(ratio * H * W) holes.

    A mask without a hole grows from one random pixel, a mask without a valid pixel shrinks
    towards one.
    """
    mask = np.array(mask, bool)
    if mask.all() or not mask.any():
        mask[_integer(rng, mask.shape[0]), _integer(rng, mask.shape[1])] = not mask[0, 0]
    depth = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
    # Many pixels lie at the same distance from the rim: a slight slant orders them.
    angle = rng.uniform(0, 2 * math.pi)
    rows, columns = np.indices(mask.shape)
    depth += 1e-4 * (rows * math.sin(angle) + columns * math.cos(angle))
    holes = round(ratio * mask.size)
    deepest = np.argsort(-depth, axis=None, kind="stable")[:holes]
    fitted = np.zeros(mask.size, bool)
    fitted[deepest] = True
    return fitted.reshape(mask.shape)


def check_range(hole_range: Range, size: tuple[int, int]) -> None:
    """Raises UserError unless some mask of `size` has a share of holes inside `hole_range`."""
    low, high = hole_range
    if not 0 <= low < high <= 1:
        raise UserError(
            f"hole_range is ({low}, {high}); it must be two shares of the image, "
            "0 <= lo < hi <= 1, such as (0.1, 0.4)."
        )
    first, last = _hole_counts(hole_range, size)
    if first > last:
        raise UserError(
            f"hole_range ({low}, {high}) holds no whole number of pixels of a mask of "
            f"{size[1]} x {size[0]}. Widen the range."
        )


def check_size(height: int, width: int) -> None:
    """Raises UserError for a mask too small to hold a shape."""
    if min(height, width) < _MINIMUM_SIDE:
        raise UserError(
            f"a mask of {width} x {height} pixels is too small to generate; "
            f"each side needs at least {_MINIMUM_SIDE}."
        )


def _ratio_inside(rng: Random, hole_range: Range, size: tuple[int, int]) -> float:
    """Returns a random share of holes, a whole number of pixels, strictly inside the range."""
    first, last = _hole_counts(hole_range, size)
    return (first + _integer(rng, last - first + 1)) / (size[0] * size[1])


def _hole_counts(hole_range: Range, size: tuple[int, int]) -> tuple[int, int]:
    """Returns the least and the greatest number of hole pixels strictly inside the range."""
    pixels = size[0] * size[1]
    first = math.floor(hole_range[0] * pixels + 1e-9) + 1
    last = math.ceil(hole_range[1] * pixels - 1e-9) - 1
    return first, last


def _fill_rectangle(mask: np.ndarray, rng: Random, max_height: int, max_width: int) -> None:
    height, width = mask.shape
    box_width = _integer(rng, max_width)
    box_height = _integer(rng, max_height)
    left = _integer(rng, -(box_width // 2), width - box_width + box_width // 2)
    top = _integer(rng, -(box_height // 2), height - box_height + box_height // 2)
    mask[max(top, 0) : max(top + box_height, 0), max(left, 0) : max(left + box_width, 0)] = True


def _draw_stroke(
    canvas: Image.Image, rng: Random, brush_width: tuple[float, float], heading: float = 0.0
) -> None:
    """Draws one zigzag stroke of 4 to 17 segments with round joints, going in one direction.

    The turn angle lies around 2pi/5, by up to 2pi/15 to either side; every other one is mirrored.
    The segments' length is N(r, floor(r / 2)) clipped to [0, 2r], r an eighth of the diagonal.
    """
    width, height = canvas.size
    mean_length = math.sqrt(height * height + width * width) / 8
    segments = _integer(rng, 4, 18)
    least = 2 * math.pi / 5 - rng.uniform(0, 2 * math.pi / 15)
    most = 2 * math.pi / 5 + rng.uniform(0, 2 * math.pi / 15)
    angles = []
    for index in range(segments):
        angle = rng.uniform(least, most)
        angles.append(heading + (2 * math.pi - angle if index % 2 == 0 else angle))
    vertices = [(_integer(rng, width), _integer(rng, height))]
    for angle in angles:
        length = min(max(rng.normal(mean_length, mean_length // 2), 0.0), 2 * mean_length)
        x = min(max(vertices[-1][0] + length * math.cos(angle), 0), width)
        y = min(max(vertices[-1][1] + length * math.sin(angle), 0), height)
        vertices.append((int(x), int(y)))
    brush = int(rng.uniform(*brush_width))
    pen = ImageDraw.Draw(canvas)
    pen.line(vertices, fill=1, width=brush)
    radius = brush // 2
    for x, y in vertices:
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1)


def _flip(mask: np.ndarray, rng: Random) -> np.ndarray:
    """Returns the mask, turned upside down with p = 0.5 and mirrored with p = 0.5."""
    if rng.random() > 0.5:
        mask = mask[::-1]
    if rng.random() > 0.5:
        mask = mask[:, ::-1]
    return mask


def _integer(rng: Random, low: int, high: int | None = None) -> int:
    """Returns an integer of [low, high), or of [0, low), from either kind of generator."""
    draw = rng.integers if isinstance(rng, np.random.Generator) else rng.randint
    return int(draw(low, high))
