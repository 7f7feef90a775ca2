"""Drawing a subject: where it is, exact coverage of shapes and strokes, its surface and shading.

Shapes are given in the subject's own coordinates: the origin at its centre, x to the right, y
down, its outline about within [-1, 1]. Coverage is counted on `FINE` x `FINE` points per pixel.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from jaxedit.scenes import materials
from jaxedit.scenes.noise import blend, detail, extend, noise, photograph, shift, smoothstep
from jaxedit.scenes.parameters import COLOURS, POSITIONS, SIZES, Parameters

FINE = 4
_SHIFT = 4  # binary places of the coordinates handed to OpenCV


@dataclasses.dataclass(frozen=True)
class Pose:
    """Where a subject is.

    Attributes:
      size: side of the picture in pixels.
      x: column of the centre, a whole number, so that a subject that moves stays the same.
      y: row of the centre, a whole number.
      radius: pixels per unit of the subject's coordinates.
      angle: by how much it is turned, in radians.
      mirrored: left and right are swapped.
    """

    size: int
    x: int
    y: int
    radius: float
    angle: float
    mirrored: bool

    def place(self, points: np.ndarray) -> np.ndarray:
        """Returns points (..., 2) of the subject in pixels."""
        x, y = points[..., 0], points[..., 1]
        x = -x if self.mirrored else x
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        turned = np.stack([cos * x - sin * y, sin * x + cos * y], -1)
        return turned * self.radius + (self.x, self.y)

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the subject's coordinates (x, y) of every pixel, float32 (H, W) each."""
        rows, columns = np.mgrid[: self.size, : self.size].astype(np.float32) + 0.5
        columns, rows = (columns - self.x) / self.radius, (rows - self.y) / self.radius
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        x, y = cos * columns + sin * rows, cos * rows - sin * columns
        return (-x if self.mirrored else x), y

    def noise(self, rng: np.random.Generator, cells: float, **options) -> np.ndarray:
        """Returns noise that moves with the subject; see `noise.noise`."""
        return self.carry(noise(rng, self.size, cells, **options))

    def carry(self, field: np.ndarray) -> np.ndarray:
        """Returns a field of the middle of the picture, brought to the subject."""
        return shift(field, self.x - self.size // 2, self.y - self.size // 2)


def make_pose(parameters: Parameters, size: int, *, turn: float, drop: float) -> Pose:
    """Returns the pose of a subject.

    Args:
      parameters: size and position in words.
      size: side of the picture.
      turn: deviation of the angle, in radians.
      drop: rows by which it is below the middle, as a share of the side.
    """
    rng = parameters.rng("pose")
    x = POSITIONS[parameters.position] + rng.uniform(-0.045, 0.045)
    y = 0.5 + drop + rng.uniform(-0.05, 0.05)
    radius = SIZES[parameters.size] * rng.uniform(0.93, 1.08)
    return Pose(
        size, round(x * size), round(y * size), radius * size, float(rng.normal(0, turn)),
        bool(rng.random() < 0.5),
    )  # fmt: skip


@dataclasses.dataclass
class Matte:
    """A subject by itself.

    Attributes:
      alpha: float32 (H, W), its opacity from 0 to 1.
      colour: float32 (H, W, 3), its colour from 0 to 255, everywhere.
      body: float32 (H, W), the share of each pixel that belongs to it, however transparent.
      glows: it gives light: no light falls on it, and it throws no shadow.
    """

    alpha: np.ndarray
    colour: np.ndarray
    body: np.ndarray
    glows: bool = False


def fill(pose: Pose, shapes: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the coverage of closed shapes, each (N, 2); where two overlap is outside again."""
    canvas = np.zeros((FINE * pose.size, FINE * pose.size), np.uint8)
    cv2.fillPoly(canvas, [_fixed(pose, shape) for shape in shapes], 255, cv2.LINE_8, _SHIFT)
    return reduce(canvas)


def fine_canvas(pose: Pose) -> np.ndarray:
    """Returns an empty uint8 canvas for `stroke` and `reduce`."""
    return np.zeros((FINE * pose.size, FINE * pose.size), np.uint8)


def stroke(
    canvas: np.ndarray, pose: Pose, lines: np.ndarray | list, width: float, value: int = 255
) -> None:
    """Draws open lines (N, points, 2), or a list of (points, 2), on a fine canvas.

    `width` is in pixels of a picture of 160; it scales with the picture.
    """
    fine = canvas.shape[0] // pose.size
    thickness = max(1, round(width * fine * pose.size / 160))
    if isinstance(lines, np.ndarray):
        fixed = list(_fixed(pose, lines, fine))
    else:
        fixed = [_fixed(pose, line, fine) for line in lines]
    cv2.polylines(canvas, fixed, False, value, thickness, cv2.LINE_8, _SHIFT)


def taper(
    canvas: np.ndarray, pose: Pose, lines: np.ndarray, widths: Sequence[float], value: int = 255
) -> None:
    """Draws lines (N, points, 2) that change from the first to the last of `widths`."""
    points = lines.shape[1]
    ends = np.linspace(0, points - 1, len(widths) + 1).round().astype(int)
    for width, start, end in zip(widths, ends[:-1], ends[1:], strict=True):
        if end > start:
            stroke(canvas, pose, lines[:, start : end + 1], width, value)


def reduce(canvas: np.ndarray) -> np.ndarray:
    """Returns the coverage of a fine canvas, float32 (H, W) in [0, 1]."""
    side = canvas.shape[0] // FINE
    small = cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255


def surface(parameters: Parameters, pose: Pose, texture: str | None = None) -> np.ndarray:
    """Returns the colour of the subject's surface, without light, defined everywhere."""
    rng = parameters.rng("surface")
    base = np.float32(COLOURS[parameters.colour]) * rng.uniform(0.86, 1.12)
    base = base + rng.normal(0, 7, 3).astype(np.float32)
    other = _second_colour(rng, base)
    size, part = pose.size, parameters.part
    rough = detail(pose.carry(photograph(rng, part, size)))
    texture = texture or parameters.texture
    x, y = pose.grid()
    if texture in ("brick", "wooden", "leafy", "sandy"):
        if texture == "brick":
            field = materials.bricks(rng, part, size, base, rng.uniform(9, 14))
        elif texture == "wooden":
            field = materials.boards(rng, part, size, base, rng.uniform(5, 9))
        elif texture == "leafy":
            field = materials.leaves(rng, part, size, base, rng.uniform(0.02, 0.035))
        else:
            field = base * (1 + 0.09 * noise(rng, size, 50, octaves=2))[..., None] + 6 * rough
        return pose.carry(np.ascontiguousarray(field, np.float32))
    if texture == "patterned":
        picture = pose.carry(photograph(rng, part, size))
        return picture * 0.72 + base * np.float32(0.5 * (picture.mean() + 60) / 190)
    if texture == "striped":
        angle, count = rng.uniform(0, np.pi), rng.uniform(2.5, 7)
        wave = np.cos(angle) * x + np.sin(angle) * y + 0.05 * pose.noise(rng, 4, octaves=2)
        share = smoothstep(0.1, 0.45, np.sin(np.float32(count * np.pi) * wave))
    elif texture == "spotted":
        spots = pose.noise(rng, rng.uniform(6, 14), octaves=1)
        share = smoothstep(0.55, 0.8, spots)
    elif texture == "shaded":
        angle = rng.uniform(0, 2 * np.pi)
        share = smoothstep(-0.6, 1.2, np.cos(angle) * x + np.sin(angle) * y)
    elif texture == "mottled":
        share = smoothstep(0.0, 1.7, pose.noise(rng, rng.uniform(3, 8), octaves=5, gain=0.7))
    else:
        share = np.zeros_like(x)
    field = blend(np.broadcast_to(base, (size, size, 3)), other, share.astype(np.float32))
    return field + np.float32(rng.uniform(1, 7)) * rough


def inflate(cover: np.ndarray, light: np.ndarray, depth: float = 1.0) -> np.ndarray:
    """Returns the brightness, float32 (H, W, 1), of a shape swollen like a cushion.

    Args:
      cover: coverage of the shape, (H, W).
      light: direction towards the light, (x, y).
      depth: strength of the relief.
    """
    inside = (cover > 0.5).astype(np.uint8)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
    reach = max(float(distance.max()), 1.0)
    height = cv2.GaussianBlur(np.sqrt(distance * reach), (0, 0), max(0.15 * reach, 0.8))
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=0.125)
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=0.125)
    norm = np.sqrt(slope_x**2 + slope_y**2 + 1.0)
    facing = (-(slope_x * light[0] + slope_y * light[1]) * 0.75 + 0.66) / norm
    bright = 1 + depth * (np.clip(facing, -0.1, 1.0) - 0.66)
    return extend(bright.astype(np.float32), inside.astype(np.float32))[..., None]


def gleam(pose: Pose, x: float, y: float, width: float, height: float) -> np.ndarray:
    """Returns a soft highlight, float32 (H, W), at a place of the subject."""
    across, down = pose.grid()
    return np.exp(-(((across - x) / width) ** 2) - ((down - y) / height) ** 2)


def closed_curve(points: Sequence, count: int = 96) -> np.ndarray:
    """Returns a smooth closed curve (count, 2) through points (N, 2): a Catmull-Rom spline."""
    points = np.asarray(points, np.float32)
    place = np.linspace(0, len(points), count, endpoint=False)
    return _spline(points, place, lambda index: index % len(points))


def ellipse(x: float, y: float, width: float, height: float, count: int = 48) -> np.ndarray:
    """Returns an ellipse (count, 2) by its centre and half axes."""
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([x + width * np.cos(angle), y + height * np.sin(angle)], -1)


def revolve(profile: Sequence, count: int = 60) -> np.ndarray:
    """Returns the outline of a turned body; the profile is (half width, y) from top to bottom."""
    profile = np.asarray(profile, np.float32)
    place = np.linspace(0, len(profile) - 1, count)
    side = _spline(profile, place, lambda index: np.clip(index, 0, len(profile) - 1))
    side[:, 0] = np.maximum(side[:, 0], 0.01)
    return np.concatenate([side, (side * (-1, 1))[::-1]])


def _spline(points: np.ndarray, place: np.ndarray, bounded: Callable) -> np.ndarray:
    """Returns a Catmull-Rom spline at places counted in points; `bounded` maps any index to one."""
    start = place.astype(int)
    t = (place - start)[:, None]
    before, here, then, after = (points[bounded(start + step)] for step in (-1, 0, 1, 2))
    return 0.5 * (
        2 * here
        + (then - before) * t
        + (2 * before - 5 * here + 4 * then - after) * t**2
        + (3 * here - before - 3 * then + after) * t**3
    )


def _fixed(pose: Pose, points: np.ndarray, fine: int = FINE) -> np.ndarray:
    """Returns points of the subject in OpenCV's fixed-point coordinates of a fine canvas."""
    pixels = pose.place(np.asarray(points)) * fine - 0.5
    return np.round(pixels * 2**_SHIFT).astype(np.int32)


def _second_colour(rng: np.random.Generator, base: np.ndarray) -> np.ndarray:
    """Returns a colour to go with `base`: lighter or darker, and at times of another hue."""
    if rng.random() < 0.75:
        light = base.mean() < 120
        return base * rng.uniform(0.4, 0.65) + (rng.uniform(120, 150) if light else 0)
    names = list(COLOURS)
    return np.float32(COLOURS[names[int(rng.integers(len(names)))]])
