"""Drawing a frontal head: points with depth turned by the pose, relief under a light, layers.

Points are (x, y, z) in units of 0.36 of the picture's side: the origin between the eyes, x to the
right, y down, z towards the viewer. To turn the head by an angle moves a point sideways by its
depth, so that the nose moves farther than the eyes and the ears the other way. The skin's
brightness comes of a relief: an ellipsoid with bumps and dents at the places of the features.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxedit.scenes import hairstyles
from jaxedit.scenes.drawing import Pose, closed_curve, ellipse, fill, fine_canvas, reduce, stroke
from jaxedit.scenes.noise import blend, noise

if TYPE_CHECKING:
    from jaxedit.scenes.portraits import Portrait

CLASSES = ("backdrop", "clothes", "skin", "hair", "eyes", "mouth", "glasses")
# From light to dark.
_SKIN = np.float32(
    ((250, 224, 204), (238, 198, 168), (216, 166, 130), (178, 124, 90), (132, 86, 60), (92, 60, 44))
)
# From dark to light.
_HAIR = np.float32(
    ((26, 22, 24), (60, 40, 30), (100, 64, 38), (150, 98, 54), (202, 156, 92), (236, 212, 158))
)
_IRIS = ((86, 58, 36), (60, 42, 30), (92, 118, 84), (82, 118, 156), (110, 96, 60))
_CLOTHES = (
    (52, 62, 92), (142, 52, 54), (70, 98, 78), (196, 186, 170), (60, 58, 60), (120, 132, 150),
    (170, 120, 70), (112, 82, 122), (224, 222, 218),
)  # fmt: skip
_BACKDROPS = (
    (168, 182, 196), (206, 198, 184), (118, 134, 122), (92, 104, 128), (176, 150, 132),
    (70, 74, 82), (146, 164, 140), (196, 176, 186), (128, 112, 100), (222, 222, 216),
)  # fmt: skip
_RIMS = ((34, 32, 34), (86, 54, 34), (120, 122, 128), (126, 44, 48), (44, 60, 104))
RADIUS, LEVEL = 0.36, 0.46


@dataclasses.dataclass(frozen=True)
class Head:
    """Where the points of a head are.

    Attributes:
      pose: place and scale in the picture.
      turn: angle in radians, above 0 to the picture's right.
      width: half the width of the face at the cheeks.
      jaw, chin, length: half widths of jaw and chin, and the chin's y.
    """

    pose: Pose
    turn: float
    width: float
    jaw: float
    chin: float
    length: float

    def project(self, points: Sequence) -> np.ndarray:
        """Returns points (N, 3) of the head as points (N, 2) of the pose."""
        points = np.asarray(points, np.float64)
        x = points[:, 0] * math.cos(self.turn) + points[:, 2] * math.sin(self.turn)
        return np.stack([x, points[:, 1]], -1)

    def curve(self, points: Sequence, count: int = 60) -> np.ndarray:
        """Returns a smooth closed curve through points (N, 3)."""
        return closed_curve(self.project(points), count)

    def at(self, x: float, y: float, z: float) -> np.ndarray:
        """Returns where one point is, (2,)."""
        return self.project([(x, y, z)])[0]


class Canvas:
    """A picture that is painted layer by layer, and which class each pixel shows."""

    def __init__(self, pose: Pose):
        self.pose = pose
        self.picture = np.zeros((pose.size, pose.size, 3), np.float32)
        self.label = np.zeros((pose.size, pose.size), np.uint8)

    def paint(self, cover: np.ndarray, colour: np.ndarray, kind: str | None = None) -> None:
        """Lays a colour over the picture where `cover` (H, W) is above 0."""
        self.picture = blend(self.picture, np.float32(colour), cover.astype(np.float32))
        if kind is not None:
            self.label[cover >= 0.5] = CLASSES.index(kind)

    def lines(self, lines: list, width: float, colour: np.ndarray, share: float = 1.0,
              kind: str | None = None, within: np.ndarray | None = None) -> None:
        """Paints open lines, each (N, 2); `width` is in pixels of a picture of 160."""
        canvas = fine_canvas(self.pose)
        stroke(canvas, self.pose, lines, width)
        cover = share * reduce(canvas)
        self.paint(cover if within is None else cover * within, colour, kind)


def draw(portrait: Portrait, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns (picture float32 (size, size, 3) from 0 to 255, uint8 label (size, size))."""
    rng = portrait.rng("face")
    head = Head(
        Pose(size, 0.5 * size, LEVEL * size, RADIUS * size, 0.0, False),
        math.radians(portrait.pose),
        width=rng.uniform(0.6, 0.7),
        jaw=rng.uniform(0.46, 0.57),
        chin=rng.uniform(0.18, 0.28),
        length=rng.uniform(0.93, 1.05),
    )
    canvas = Canvas(head.pose)
    skin = ramp(_SKIN, portrait.skin) * (1 + rng.normal(0, 0.02, 3).astype(np.float32))
    hair = ramp(_HAIR, portrait.hair)
    bright = relief(head, portrait)
    style = hairstyles.sample(portrait.rng("hair"))
    combed = hairstyles.colour(head, style, hair, portrait)
    _backdrop(canvas, portrait)
    for shape in hairstyles.behind(head, style):
        canvas.paint(fill(head.pose, [shape]), combed * 0.72, "hair")
    _bust(canvas, head, portrait, skin)
    ears = [_ear(head, side) for side in (-1, 1)]
    canvas.paint(fill(head.pose, ears), skin * 0.9 * bright, "skin")
    face = fill(head.pose, [head.curve(_outline(head), 120)])
    canvas.paint(face, _complexion(head, portrait, skin) * bright, "skin")
    if style.beard:
        beard = hairstyles.beard(head, style) * face
        canvas.paint(style.beard * beard, (0.66 * hair + 0.1 * skin) * bright)
    _nose(canvas, head, portrait, skin)
    _mouth(canvas, head, portrait, skin, bright)
    for side in (-1, 1):
        _eye(canvas, head, portrait, skin, bright, side)
        _brow(canvas, head, portrait, hair, bright, side)
    for shape in hairstyles.front(head, style):
        canvas.paint(fill(head.pose, [shape]), combed, "hair")
    if portrait.glasses:
        _spectacles(canvas, head, portrait)
    return np.clip(canvas.picture, 0, 255), canvas.label


def ramp(colours: np.ndarray, place: float) -> np.ndarray:
    """Returns the colour at `place`, 0 to 1, between the first and the last of (N, 3)."""
    steps = np.linspace(0, 1, len(colours))
    return np.float32([np.interp(place, steps, channel) for channel in colours.T])


def relief(head: Head, portrait: Portrait) -> np.ndarray:
    """Returns the brightness of the skin, float32 (H, W, 3): shadows are warmer than lights."""
    x, y = head.pose.grid()
    middle = 0.12 * math.sin(head.turn)
    u, v = (x - middle) / (head.width + 0.06), (y - 0.06) / 1.04
    rise = np.sqrt(np.maximum(1 - u * u - v * v, 0.06))
    slope_x = -0.7 * u / rise / (head.width + 0.06)
    slope_y = -0.7 * v / rise / 1.04
    smile = portrait.smile
    for px, py, pz, wide, high, amount in (
        (0, 0.3, 0.85, 0.085, 0.11, 0.11), (0, 0.08, 0.7, 0.07, 0.2, 0.06),
        (-0.27, -0.02, 0.55, 0.15, 0.1, -0.05), (0.27, -0.02, 0.55, 0.15, 0.1, -0.05),
        (-0.36, 0.32, 0.45, 0.15, 0.13, 0.03 + 0.03 * smile),
        (0.36, 0.32, 0.45, 0.15, 0.13, 0.03 + 0.03 * smile),
        (0, 0.64, 0.6, 0.2, 0.1, 0.03), (0, 0.76, 0.6, 0.16, 0.05, -0.02),
        (0, head.length - 0.1, 0.5, 0.13, 0.1, 0.04), (0, -0.2, 0.6, 0.36, 0.07, 0.02),
    ):  # fmt: skip
        cx, cy = head.at(px, py, pz)
        dx, dy = (x - cx) / wide, (y - cy) / high
        bump = amount * np.exp(-0.5 * (dx * dx + dy * dy))
        slope_x -= bump * dx / wide
        slope_y -= bump * dy / high
    angle, height = math.radians(62 * portrait.light), math.radians(24)
    towards = (math.sin(angle) * math.cos(height), -math.sin(height),
               math.cos(angle) * math.cos(height))  # fmt: skip
    facing = (towards[2] - slope_x * towards[0] - slope_y * towards[1]) / np.sqrt(
        1 + slope_x**2 + slope_y**2
    )
    lit = 0.46 + 0.66 * np.clip(0.85 * facing + 0.15, 0, None)
    return (lit[..., None] ** np.float32((0.88, 1.02, 1.12))).astype(np.float32)


def _backdrop(canvas: Canvas, portrait: Portrait) -> None:
    rng = portrait.rng("backdrop")
    first, second = (
        np.float32(_BACKDROPS[int(rng.integers(len(_BACKDROPS)))]) * rng.uniform(0.85, 1.1)
        for _ in range(2)
    )
    x, y = canvas.pose.grid()
    angle = rng.uniform(0, 2 * np.pi)
    along = 0.5 + 0.36 * (np.cos(angle) * x + np.sin(angle) * y)
    cloudy = noise(rng, canvas.pose.size, rng.uniform(1.5, 3), octaves=2)
    canvas.picture = blend(first, second, np.clip(along + 0.16 * cloudy, 0, 1)[..., None])


def _bust(canvas: Canvas, head: Head, portrait: Portrait, skin: np.ndarray) -> None:
    """Shoulders in clothes, and the neck with the chin's shadow on it."""
    rng = portrait.rng("clothes")
    base = np.float32(_CLOTHES[int(rng.integers(len(_CLOTHES)))]) * rng.uniform(0.85, 1.12)
    slope, wide = rng.uniform(1.24, 1.36), rng.uniform(1.05, 1.3)
    x, y = canvas.pose.grid()
    half = [(0.3, 1.12), (0.62, slope), (wide, slope + 0.2), (wide + 0.3, 2.6)]
    shoulders = closed_curve([*half, *[(-a, b) for a, b in half[::-1]]], 80)
    side = 1 + 0.22 * portrait.light * np.clip(x, -1.2, 1.2)
    folds = 1 + 0.05 * noise(rng, canvas.pose.size, 5, octaves=2, stretch=(0.5, 1.4))
    canvas.paint(fill(canvas.pose, [shoulders]), base * (side * folds)[..., None], "clothes")
    low, open_ = (1.62, 0.3) if rng.random() < 0.4 else (1.36, 0.36)
    width = 0.33 * head.width / 0.65
    column = [(width, 0.5), (width, 1.05), (open_, 1.22), (0.14, low - 0.06)]
    neck = closed_curve([*column, (0, low), *[(-a, b) for a, b in column[::-1]]], 60)
    under = np.exp(-0.5 * ((y - head.length) / 0.17) ** 2)
    # The neck is round: its far side is darker.
    turned = 0.84 + 0.3 * portrait.light * np.clip(x / 0.4, -1, 1) - 0.34 * under
    shade = np.clip(turned, 0.3, 1.15)[..., None] ** np.float32((0.88, 1.02, 1.12))
    canvas.paint(fill(canvas.pose, [neck]), skin * shade, "skin")
    if low > 1.5:
        return
    collar = [(-open_ - 0.03, 1.2), (-0.14, low - 0.02), (0.14, low - 0.02), (open_ + 0.03, 1.2)]
    canvas.lines([np.float32(collar)], 2.4, base * 0.7, kind="clothes")


def _outline(head: Head) -> list[tuple[float, float, float]]:
    half = [
        (0.38, -0.74, 0.05), (head.width * 0.92, -0.46, 0.0), (head.width, -0.05, 0.0),
        (head.width * 0.97, 0.28, 0.05), (head.jaw + 0.03, 0.6, 0.14),
        (head.chin + 0.08, head.length - 0.13, 0.36), (head.chin * 0.55, head.length - 0.01, 0.45),
    ]  # fmt: skip
    mirrored = [(-x, y, z) for x, y, z in half[::-1]]
    return [(0, -0.83, 0.05), *half, *mirrored]


def _ear(head: Head, side: int) -> np.ndarray:
    x = head.width
    return head.curve([
        (side * (x - 0.06), -0.1, -0.05), (side * (x + 0.07), -0.13, -0.15),
        (side * (x + 0.1), 0.04, -0.15), (side * (x + 0.03), 0.28, -0.08),
        (side * (x - 0.08), 0.3, -0.02),
    ], 30)  # fmt: skip


def _complexion(head: Head, portrait: Portrait, skin: np.ndarray) -> np.ndarray:
    """Returns the skin's own colour, float32 (H, W, 3): cheeks and nose a little redder."""
    rng = portrait.rng("complexion")
    x, y = head.pose.grid()
    red = np.zeros_like(x)
    for px, py, pz, wide, amount in (
        (-0.36, 0.36, 0.45, 0.18, 1.0), (0.36, 0.36, 0.45, 0.18, 1.0), (0, 0.3, 0.8, 0.1, 0.6),
    ):  # fmt: skip
        cx, cy = head.at(px, py, pz)
        red += amount * np.exp(-0.5 * ((x - cx) ** 2 + (y - cy) ** 2) / wide**2)
    blush = rng.uniform(0.05, 0.2)
    tint = 1 - blush * np.clip(red, 0, 1)[..., None] * np.float32((0.0, 0.75, 0.6))
    return skin * tint


def _nose(canvas: Canvas, head: Head, portrait: Portrait, skin: np.ndarray) -> None:
    rng = portrait.rng("nose")
    wide, tip = rng.uniform(0.075, 0.115), rng.uniform(0.3, 0.37)
    holes = [ellipse(*head.at(side * wide * 0.55, tip + 0.075, 0.74), 0.032, 0.018, 16)
             for side in (-1, 1)]  # fmt: skip
    canvas.paint(0.6 * fill(head.pose, holes), skin * 0.32)
    for side in (-1, 1):
        wing = [(side * wide, tip - 0.03, 0.68), (side * (wide + 0.02), tip + 0.03, 0.66),
                (side * wide * 0.8, tip + 0.08, 0.7)]  # fmt: skip
        canvas.lines([head.project(wing)], 1.5, skin * 0.5, 0.34)
    rim = [(side * wide * 0.7, tip + 0.09 + 0.015 * (side == 0), 0.78 - 0.06 * abs(side))
           for side in (-1, 0, 1)]  # fmt: skip
    canvas.lines([head.project(rim)], 1.8, skin * 0.5, 0.3)
    x, y = head.pose.grid()
    cx, cy = head.at(0.03 * portrait.light, tip - 0.03, 0.88)
    glint = np.exp(-(((x - cx) / 0.04) ** 2) - ((y - cy) / 0.05) ** 2)
    canvas.paint(0.22 * glint, np.float32((255, 250, 244)))


def _mouth(
    canvas: Canvas, head: Head, portrait: Portrait, skin: np.ndarray, bright: np.ndarray
) -> None:
    """Lips, teeth where the smile opens them, and the folds from nose to corners."""
    rng = portrait.rng("mouth")
    smile, level = portrait.smile, rng.uniform(0.6, 0.65)
    half = rng.uniform(0.17, 0.21) + 0.085 * smile
    upper, lower = rng.uniform(0.035, 0.055), rng.uniform(0.045, 0.075)
    red = np.float32((176, 72, 76)) * rng.uniform(0.85, 1.1)
    lips = blend(skin * 0.82, red, float(rng.uniform(0.3, 0.6)))
    corner, sag = -0.055 * smile + 0.012, 0.022 * smile
    opening = 0.095 * max(0.0, smile - 0.3) / 0.7
    depth = 0.6
    near = lambda points: [(x, level + y, depth - 0.5 * x * x) for x, y in points]
    mirrored = lambda right: [*right, *[(-x, y) for x, y in right[::-1] if x]]
    outer = mirrored([
        (0, sag - upper * 0.8), (0.05, sag - upper), (0.6 * half, 0.55 * corner - 0.5 * upper),
        (half, corner), (0.66 * half, 0.4 * corner + 0.72 * lower + opening * 0.72),
        (0.25 * half, sag + lower + opening), (0, sag + lower + opening),
    ])  # fmt: skip
    canvas.paint(fill(head.pose, [head.curve(near(outer), 70)]), lips * bright, "mouth")
    inside = mirrored([
        (0, sag), (0.5 * half, 0.45 * corner + 0.3 * sag), (half * 0.9, corner * 0.95),
        (0.62 * half, 0.4 * corner + opening * 0.62 + 0.3 * sag), (0, sag + opening),
    ])  # fmt: skip
    if opening > 0.004:
        gap = fill(head.pose, [head.curve(near(inside), 50)])
        canvas.paint(gap, np.float32((74, 26, 28)), "mouth")
        x, y = head.pose.grid()
        teeth = gap * (y < level + sag + 0.72 * opening)
        canvas.paint(teeth, np.float32((240, 234, 224)) * np.minimum(bright, 1.02))
    else:
        line = [(-half, corner), (-0.5 * half, 0.45 * corner + 0.3 * sag), (0, sag),
                (0.5 * half, 0.45 * corner + 0.3 * sag), (half, corner)]  # fmt: skip
        canvas.lines([head.project(near(line))], 1.5, lips * 0.42, 0.85)
    for side in (-1, 1):
        fold = [(side * 0.15, 0.4, 0.62), (side * (half + 0.035), level - 0.1, 0.52),
                (side * (half + 0.055), level + corner + 0.03, 0.5)]  # fmt: skip
        canvas.lines([head.project(fold)], 1.6, skin * 0.5, 0.1 + 0.34 * smile)


def _eye(
    canvas: Canvas, head: Head, portrait: Portrait, skin: np.ndarray, bright: np.ndarray, side: int
) -> None:
    """One eye: the ball between its lids, iris and pupil, a spark, the folds above and below."""
    rng = portrait.rng("eyes")
    apart, wide = rng.uniform(0.255, 0.295), rng.uniform(0.118, 0.142)
    high, slant = rng.uniform(0.052, 0.072), rng.uniform(-0.02, 0.012)
    iris = np.float32(_IRIS[int(rng.integers(len(_IRIS)))]) * rng.uniform(0.85, 1.15)
    squint = 1 - 0.28 * portrait.smile
    low = 0.7 * high * (1 - 0.45 * portrait.smile)
    place = lambda points: head.project(
        [(side * (apart + x * wide), y, 0.56 - 0.1 * x) for x, y in points]
    )
    upper = [(-1, 0.014), (-0.45, -high * squint), (0.2, -1.08 * high * squint), (1, slant)]
    lid = _smooth(place(upper))
    ball = fill(head.pose, [np.concatenate(
        [lid, _smooth(place([(1, slant), (0.35, low), (-0.4, low), (-1, 0.014)]))])])  # fmt: skip
    shade = np.clip(bright, 0.55, 1.05)
    canvas.paint(ball, np.float32((238, 234, 230)) * shade, "eyes")
    # The eyes look at the viewer: they turn back.
    gaze = head.at(side * apart, -0.006, 0.56) - (0.085 * math.sin(head.turn), 0)
    for colour, radius in ((iris * 0.55, 0.067), (iris, 0.055), ((18, 14, 14), 0.028)):
        disc = fill(head.pose, [ellipse(*gaze, radius, radius, 24)])
        canvas.paint(disc * ball, np.float32(colour) * (0.5 + 0.5 * shade))
    spark = fill(head.pose, [ellipse(gaze[0] + 0.024 * (1 if portrait.light > 0 else -1),
                                     gaze[1] - 0.024, 0.016, 0.016, 12)])  # fmt: skip
    canvas.paint(spark * ball, np.float32((255, 255, 255)))
    canvas.lines([lid], rng.uniform(1.5, 2.6), np.float32((40, 28, 26)) + 0.1 * skin, 0.85)
    canvas.lines([lid - (0, 0.036)], 1.2, skin * 0.5, 0.4)
    bag = _smooth(place([(0.8, low + 0.02), (0.2, low + 0.034), (-0.6, low + 0.024)]))
    canvas.lines([bag], 1.2, skin * 0.55, 0.2 + 0.2 * portrait.smile)


def _brow(
    canvas: Canvas, head: Head, portrait: Portrait, hair: np.ndarray, bright: np.ndarray, side: int
) -> None:
    rng = portrait.rng("brows")
    level, arch = rng.uniform(-0.23, -0.18), rng.uniform(0.01, 0.06)
    thick, reach = rng.uniform(0.03, 0.056), rng.uniform(0.42, 0.46)
    top = [(0.11, level + 0.01), (0.28, level - arch), (reach, level + 0.03)]
    low = [(reach, level + 0.035), (0.28, level - arch + thick), (0.12, level + thick + 0.015)]
    bent = lambda points: _smooth(head.project([(side * x, y, 0.62 - x * x) for x, y in points]))
    shape = np.concatenate([bent(top), bent(low)])
    canvas.paint(0.85 * fill(head.pose, [shape]), (hair * 0.75 + 6) * (0.4 + 0.6 * bright))


def _spectacles(canvas: Canvas, head: Head, portrait: Portrait) -> None:
    rng = portrait.rng("glasses")
    half, high, square = rng.uniform(0.185, 0.215), rng.uniform(0.135, 0.175), rng.uniform(2, 4.5)
    rim = np.float32(_RIMS[int(rng.integers(len(_RIMS)))])
    width, tinted = rng.uniform(2.2, 4.0), rng.uniform(0.02, 0.12)
    angle = np.linspace(0, 2 * np.pi, 40)
    power = 2 / square
    wave = lambda t: np.sign(t) * np.abs(t) ** power
    lines, lenses = [], []
    for side in (-1, 1):
        x = side * 0.27 + half * wave(np.cos(angle))
        y = 0.02 + high * wave(np.sin(angle))
        ring = head.project(np.stack([x, y, 0.72 - 0.35 * x * x], -1))
        lines.append(ring)
        lenses.append(ring[:-1])
        edge = side * (0.27 + half)
        lines.append(head.project([(edge, -0.02, 0.64), (side * head.width, -0.05, 0.02)]))
    lines.append(head.project([(-0.27 + half, -0.02, 0.71), (0, -0.05, 0.78),
                               (0.27 - half, -0.02, 0.71)]))  # fmt: skip
    glass = fill(head.pose, lenses)
    canvas.paint(tinted * glass, rim)
    x, y = head.pose.grid()
    sheen = np.exp(-(((x - y * 0.6 - 0.22 * portrait.light - 0.3) / 0.06) ** 2))
    sheen += np.exp(-(((x - y * 0.6 - 0.22 * portrait.light + 0.24) / 0.06) ** 2))
    canvas.paint(0.16 * glass * sheen, np.float32((255, 255, 255)))
    canvas.lines(lines, width, rim, kind="glasses")


def _smooth(points: np.ndarray, count: int = 16) -> np.ndarray:
    """Returns an open smooth curve (count, 2) through points (N, 2), by a parabola or cubic."""
    place = np.linspace(0, 1, len(points))
    power = min(3, len(points) - 1)
    fine = np.linspace(0, 1, count)
    return np.stack(
        [np.polyval(np.polyfit(place, channel, power), fine) for channel in points.T], -1
    )
