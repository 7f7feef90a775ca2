"""The random affine map of both matting recipes (host side).

Published in the data code of GCA-Matting and used unchanged by MatteFormer and by DPT: scale,
shear and flip of the subject, and a rotation only where the picture is large. Colours and opacity
move together, but each is interpolated in a way drawn for itself, which teaches a network that
noise and edges may be sharp or soft.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

# OpenCV's own threads would compete with those that read ahead.
cv2.setNumThreads(0)

INTERPOLATIONS = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
# A picture whose longer side is shorter than this is not rotated.
ROTATION_SIDE = 1024


class Affine(NamedTuple):
    """One draw of the map, about the centre of the picture.

    Attributes:
      angle: of the rotation, in degrees.
      translate: shift along (x, y), in pixels.
      scale: enlargement along (x, y).
      shear: in degrees.
      flip: sign along (x, y); -1 mirrors.
    """

    angle: float = 0.0
    translate: tuple[float, float] = (0.0, 0.0)
    scale: tuple[float, float] = (1.0, 1.0)
    shear: float = 0.0
    flip: tuple[int, int] = (1, 1)


def draw(rng: np.random.Generator, height: int, width: int) -> Affine:
    """Returns a map as published: scales in U(0.8, 1.25), shear in U(-10, 10) degrees, flips with
    probability 1/2 each, and a rotation in U(-30, 30) degrees if a side reaches 1024 pixels."""
    angle = rng.uniform(-30, 30)
    scale = (rng.uniform(0.8, 1.25), rng.uniform(0.8, 1.25))
    shear = rng.uniform(-10, 10)
    flip = tuple(int(sign) for sign in 2 * rng.integers(0, 2, 2) - 1)
    large = max(height, width) >= ROTATION_SIDE
    return Affine(angle if large else 0.0, scale=scale, shear=shear, flip=flip)


def inverse_matrix(height: int, width: int, affine: Affine) -> np.ndarray:
    """Returns the float64 (2, 3) matrix from pixels (x, y) of the result to those of the source.

    Forward, the picture is flipped, scaled, rotated and sheared about its centre, taken to be
    half a pixel below and right of the middle as published, and then shifted.
    """
    angle, shear = math.radians(affine.angle), math.radians(affine.shear)
    across = affine.flip[0] / affine.scale[0]
    down = affine.flip[1] / affine.scale[1]
    determinant = math.cos(shear)
    linear = np.array(
        [
            [math.cos(angle) * across, math.sin(angle + shear) * across],
            [-math.sin(angle) * down, math.cos(angle + shear) * down],
        ]
    ) / determinant
    centre = np.array([width * 0.5 + 0.5, height * 0.5 + 0.5])
    offset = centre - linear @ (centre + np.asarray(affine.translate))
    return np.concatenate([linear, offset[:, None]], axis=1)


def warp(picture: np.ndarray, matrix: np.ndarray, interpolation: int) -> np.ndarray:
    """Returns the picture seen through `inverse_matrix`, of its own size; 0 outside the frame.

    Args:
      picture: uint8 or float32 (H, W) or (H, W, C). Cubic and Lanczos interpolation overshoot:
        uint8 is cut off at its ends, float32 is not.
      matrix: float64 (2, 3), from the result to the source.
      interpolation: one of `INTERPOLATIONS`.
    """
    height, width = picture.shape[:2]
    flags = interpolation | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, matrix, (width, height), flags=flags)


def random_interpolation(rng: np.random.Generator) -> int:
    """Returns nearest, bilinear, cubic or Lanczos-4, each as likely."""
    return INTERPOLATIONS[rng.integers(len(INTERPOLATIONS))]


def random_warp(
    foreground: np.ndarray, alpha: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Returns colours (H, W, 3) and opacity (H, W) moved by one drawn map, each interpolated in a
    way of its own."""
    height, width = alpha.shape
    matrix = inverse_matrix(height, width, draw(rng, height, width))
    return (
        warp(foreground, matrix, random_interpolation(rng)),
        warp(alpha, matrix, random_interpolation(rng)),
    )


def random_resize(
    picture: np.ndarray, height: int, width: int, rng: np.random.Generator
) -> np.ndarray:
    """Returns the picture stretched to (height, width), interpolated in a drawn way."""
    return cv2.resize(picture, (width, height), interpolation=random_interpolation(rng))
