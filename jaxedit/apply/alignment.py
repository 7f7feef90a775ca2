"""Alignment of faces as FFHQ's pictures are aligned, and the way back into the photograph.

Karras et al., CVPR 2019, appendix A: a square around eyes and mouth, from 68 landmarks (those of
iBUG 300-W), cut out of the photograph and turned upright; where the square leaves the photograph,
that is continued by its mirror image, which is blurred towards the rim.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from jaxedit.errors import UserError
from jaxedit.host import json_text, levels
from jaxedit.weights import catalogue

LANDMARKS = 68
_LEFT, _RIGHT = slice(36, 42), slice(42, 48)  # eyes, as they stand in the picture
_MOUTH = (48, 54)  # its corners
_WIDTHS = (2.0, 1.8)  # half the side, in distances between the eyes, and from eyes to mouth
_LOWER = 0.1  # of the way from the eyes to the mouth: where the middle is
_RIM = 0.3  # of the square's side: the least that a photograph is continued by
_BORDER = 0.1  # of the square's side: what is left around it
_BLUR = 0.02  # of the square's side: deviation of the blur of what is continued
_FEATHER = 0.08  # of the square's side: over which a pasted square fades out
_LEAST = 16  # pixels of a square's side
_FARTHEST = 1e6  # pixels: landmarks farther away are those of no photograph
PREDICTOR = "shape_predictor_68_face_landmarks.dat"


@dataclasses.dataclass(frozen=True)
class Square:
    """A square in a photograph.

    Attributes:
      corners: float64 (4, 2), x and y in pixels: upper left, lower left, lower right, upper right,
        as the face stands. Pixel (0, 0) reaches from 0 to 1.
    """

    corners: np.ndarray

    @property
    def side(self) -> float:
        """Its side in pixels."""
        return float(np.linalg.norm(self.corners[3] - self.corners[0]))

    def matrix(self, size: int) -> np.ndarray:
        """Returns (2, 3): places in a square picture of `size` pixels -> those in the photograph.

        Both count the middles of pixels, as OpenCV does.
        """
        x, y = ((self.corners[place] - self.corners[0]) / size for place in (3, 1))
        start = self.corners[0] + (x + y) / 2 - 0.5
        return np.stack([x, y, start], 1)


def square_of(points: np.ndarray) -> Square:
    """Returns FFHQ's square of a face.

    Args:
      points: (68, 2), x and y in pixels.

    Raises:
      UserError: they are no face: eyes and mouth fall together.
    """
    points = np.asarray(points, np.float64)
    left, right = points[_LEFT].mean(0), points[_RIGHT].mean(0)
    eyes, across = (left + right) / 2, right - left
    down = points[list(_MOUTH)].mean(0) - eyes
    x = across - turned(down)
    if np.linalg.norm(across) < 1 or np.linalg.norm(down) < 1 or np.linalg.norm(x) < 1e-6:
        raise UserError("The landmarks are those of no face: eyes and mouth fall together.")
    x = x / np.linalg.norm(x)
    x *= max(factor * np.linalg.norm(one) for factor, one in zip(_WIDTHS, (across, down),
                                                                strict=True))
    y, centre = turned(x), eyes + _LOWER * down
    square = Square(np.stack([centre - x - y, centre - x + y, centre + x + y, centre + x - y]))
    if square.side < _LEAST:
        raise UserError(
            f"The face is {square.side:.0f} pixels wide; at least {_LEAST} are needed."
        )
    return square


def turned(vector: np.ndarray) -> np.ndarray:
    """Returns a vector turned by 90 degrees, from right to down in a picture."""
    return np.asarray([-vector[1], vector[0]])


def cut(pixels: np.ndarray, square: Square, size: int) -> np.ndarray:
    """Returns the square of a photograph, uint8 (size, size, 3).

    Args:
      pixels: uint8 (H, W, 3).
      square: where.
      size: pixels of the result's side.
    """
    scale = size / square.side
    if scale < 1:  # means over cells, so that nothing aliases
        share = 2 ** math.floor(math.log2(1 / scale))
        if share > 1:
            height, width = pixels.shape[:2]
            small = (max(1, -(-width // share)), max(1, -(-height // share)))
            factors = np.asarray([small[0] / width, small[1] / height])
            pixels = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
            square = Square(square.corners * factors)
    padded, square = _continued(pixels, square)
    return cv2.warpAffine(
        padded, square.matrix(size), (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT_101,
    )


def _continued(pixels: np.ndarray, square: Square) -> tuple[np.ndarray, Square]:
    """Returns the photograph with what the square needs beyond its rim, and the square in it.

    The blur begins inside of the photograph, a third of the padding from its rim, and what is far
    outside becomes the median colour, as in FFHQ's own preparation.
    """
    height, width = pixels.shape[:2]
    border = max(round(_BORDER * square.side), 3)
    low = np.floor(square.corners.min(0)).astype(int)
    high = np.ceil(square.corners.max(0)).astype(int)
    before = np.maximum(border - low, 0)
    after = np.maximum(high - [width, height] + border, 0)
    if max(*before, *after) <= border - 4:
        return pixels, square
    before, after = (np.maximum(one, round(_RIM * square.side)) for one in (before, after))
    padded = np.pad(
        pixels, ((before[1], after[1]), (before[0], after[0]), (0, 0)),
        mode="reflect" if min(height, width) > 1 else "edge",
    ).astype(np.float32)
    # 0 at the photograph's rim, 1 at that of the padding, negative inside.
    depths = []
    for start, end, length in zip(before, after, (width, height), strict=True):
        place = np.arange(length + start + end)
        depths.append(1 - np.minimum(place / start, place[::-1] / end))
    outside = np.maximum(depths[0][None], depths[1][:, None])[..., None].astype(np.float32)
    blurred = cv2.GaussianBlur(padded, (0, 0), max(_BLUR * square.side, 0.1))
    mixed = padded + (blurred - padded) * np.clip(3 * outside + 1, 0, 1)
    median = np.median(mixed, (0, 1))
    mixed += (median - mixed) * np.clip(outside, 0, 1)
    return levels.rounded(mixed), Square(square.corners + before)


def paste(pixels: np.ndarray, square: Square, edited: np.ndarray) -> np.ndarray:
    """Returns the photograph with a picture of its square put back, fading out at the rim, uint8.

    Args:
      pixels: uint8 (H, W, 3).
      square: where the picture was cut out.
      edited: uint8 (s, s, 3).
    """
    size = len(edited)
    forward = cv2.invertAffineTransform(square.matrix(size))
    inverse = cv2.invertAffineTransform(forward)
    height, width = pixels.shape[:2]
    scale = square.side / size
    if scale < 1:
        edited = cv2.GaussianBlur(edited, (0, 0), 0.5 * math.sqrt(1 / scale**2 - 1) + 1e-6)
    warp = lambda image, border: cv2.warpAffine(
        image, inverse, (width, height), flags=cv2.INTER_LINEAR, borderMode=border
    )
    ramp = np.clip(np.minimum(np.arange(size), np.arange(size)[::-1]) / (_FEATHER * size), 0, 1)
    share = warp(np.minimum.outer(ramp, ramp).astype(np.float32), cv2.BORDER_CONSTANT)[..., None]
    share = share * share * (3 - 2 * share)
    laid = warp(edited.astype(np.float32), cv2.BORDER_REPLICATE)
    mixed = pixels + share * (laid - pixels)
    return np.where(share > 0, levels.rounded(mixed), pixels)


def read_landmarks(path: pathlib.Path) -> list[np.ndarray]:
    """Returns the faces of a JSON file, float64 (68, 2) each, largest first.

    The file holds one face, a list of 68 pairs [x, y] in pixels, or a list of several such.

    Raises:
      UserError: it is missing or holds something else.
    """
    try:
        array = np.asarray(json_text.loads(path.read_bytes()), np.float64)
    except FileNotFoundError:
        raise UserError(f"There is no file {path}.") from None
    except (OSError, ValueError, TypeError, OverflowError) as error:
        raise UserError(f"{path} is no JSON of landmarks: {error}.") from error
    faces = array[None] if array.ndim == 2 else array
    if faces.ndim != 3 or faces.shape[1:] != (LANDMARKS, 2) or not np.isfinite(faces).all():
        raise UserError(
            f"{path} holds numbers of the shape {' x '.join(map(str, array.shape))}; expected "
            f"{LANDMARKS} pairs [x, y] in pixels, in the order of iBUG 300-W, or several faces of "
            "them."
        )
    if np.abs(faces).max(initial=0) > _FARTHEST:
        raise UserError(
            f"{path} holds a place {np.abs(faces).max():g} pixels away, which no photograph has."
        )
    return sorted(faces, key=lambda face: -np.ptp(face, 0).prod())


def find_landmarks(predictor: pathlib.Path | None = None) -> Callable[[np.ndarray], list]:
    """Returns a function from uint8 (H, W, 3) to the faces in it, (68, 2) each, largest first.

    Args:
      predictor: dlib's file of landmarks; None looks for `PREDICTOR` in the folder of weights.

    Raises:
      UserError: dlib, or the file that it needs, is not here.
    """
    if importlib.util.find_spec("dlib") is None:
        raise UserError(
            'Landmarks are found by dlib, which is not installed: pip install "jaxedit[align]". '
            "Or give them, --landmarks FILE: a JSON list of 68 pairs [x, y]."
        )
    path = predictor or catalogue.default_dir() / PREDICTOR
    if not path.is_file():
        raise UserError(
            f"dlib finds landmarks with the file {PREDICTOR}, and there is none at {path}. It is "
            "at https://github.com/davisking/dlib-models (its data allows no commercial use): "
            "unpack it there, or name it, --predictor FILE. Or give landmarks, --landmarks FILE."
        )
    import dlib

    detect = dlib.get_frontal_face_detector()
    try:
        shape = dlib.shape_predictor(str(path))
    except RuntimeError as error:
        raise UserError(f"dlib cannot read {path}: {error}.") from error

    def found(pixels: np.ndarray) -> list[np.ndarray]:
        boxes = sorted(detect(pixels, 1), key=lambda box: -box.area())
        return [_points(shape(pixels, box)) for box in boxes]

    return found


def _points(shape: Any) -> np.ndarray:
    return np.asarray([[shape.part(i).x, shape.part(i).y] for i in range(LANDMARKS)], np.float64)


def choose(faces: Sequence[np.ndarray], name: str, number: int = 1) -> np.ndarray:
    """Returns one of the faces of a photograph, counted from 1, the largest first.

    Raises:
      UserError: there is none, or not so many.
    """
    if not faces:
        raise UserError(
            f"No face is found in {name}. It must be seen from the front, and be 80 pixels wide or "
            "so; or give its landmarks, --landmarks FILE."
        )
    if not 1 <= number <= len(faces):
        raise UserError(f"{name} has {len(faces)} face(s); --face {number} is none of them.")
    return faces[number - 1]
