"""The hair of a head: shapes before and behind the face, and combed colour with a gloss."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import cv2
import numpy as np

from jaxedit.scenes.drawing import closed_curve, ellipse, fill

if TYPE_CHECKING:
    from jaxedit.scenes.heads import Head
    from jaxedit.scenes.portraits import Portrait

STYLES = ("short", "parted", "bob", "long", "curly", "bun")
_SHARES = (0.26, 0.2, 0.14, 0.2, 0.12, 0.08)


@dataclasses.dataclass(frozen=True)
class Style:
    """How hair is worn.

    Attributes:
      kind: one of STYLES.
      volume: by how much it stands out over the skull.
      line: y of the hairline over the middle of the forehead.
      part: x of the parting.
      length: y at which hair that hangs ends.
      waves: amplitude of the waves of its outline.
      beard: opacity of a beard, 0 for none.
      bumps: (16,) deviations of a curly outline.
      tones: (96,) brightness of strands round the crown, about 1.
    """

    kind: str
    volume: float
    line: float
    part: float
    length: float
    waves: float
    beard: float
    bumps: np.ndarray
    tones: np.ndarray


def sample(rng: np.random.Generator) -> Style:
    """Returns a random style."""
    kind = str(rng.choice(STYLES, p=_SHARES))
    volume = rng.uniform(0.06, 0.16)
    line = rng.uniform(-0.62, -0.45)
    if kind == "curly":
        volume = rng.uniform(0.16, 0.34)
    if kind == "bob":
        line = rng.uniform(-0.36, -0.29)  # a fringe
    beard = rng.uniform(0.35, 0.85) if kind in ("short", "parted") and rng.random() < 0.4 else 0.0
    tones = rng.standard_normal(96).astype(np.float32)
    tones = 1 + 0.1 * cv2.GaussianBlur(np.tile(tones, 3)[None], (0, 0), 0.8)[0, 96:192]
    return Style(
        kind=kind,
        volume=float(volume),
        line=float(line),
        part=float(rng.uniform(-0.35, 0.35)),
        length=float(rng.uniform(0.62, 0.9) if kind == "bob" else rng.uniform(1.15, 1.7)),
        waves=float(rng.uniform(0, 0.05)),
        beard=float(beard),
        bumps=rng.normal(0, 0.035, 16),
        tones=tones,
    )


def colour(head: Head, style: Style, base: np.ndarray, portrait: Portrait) -> np.ndarray:
    """Returns the colour of the hair everywhere, float32 (H, W, 3), with strands, light, gloss."""
    x, y = head.pose.grid()
    crown = head.at(0.6 * style.part, -1.0, 0.1)
    around = np.arctan2(x - crown[0], y - crown[1] + 0.25)
    around = around + style.waves * np.sin(9 * y)
    place = (around / (2 * np.pi) * len(style.tones) * 1.6) % len(style.tones)
    low = np.floor(place).astype(int)
    share = place - low
    count = len(style.tones)
    strands = style.tones[low % count] * (1 - share) + style.tones[(low + 1) % count] * share
    side = 1 + 0.42 * portrait.light * np.clip(x / 0.8, -1, 1) - 0.12 * np.clip(y, -1, 1.5)
    distance = np.hypot(x - crown[0] - 0.25 * portrait.light, y - crown[1])
    gloss = np.exp(-(((distance - 0.32) / 0.1) ** 2)) * np.exp(-((y + 0.75) / 0.4) ** 2)
    lit = strands * np.clip(side, 0.4, 1.5)
    shown = base * lit[..., None] + (base * 0.5 + 26) * (0.32 * gloss * strands)[..., None]
    return shown.astype(np.float32)


def behind(head: Head, style: Style) -> list[np.ndarray]:
    """Returns the closed shapes that the neck and the face hide."""
    shapes = []
    if style.kind in ("long", "bob"):
        out = head.width + style.volume + 0.05
        wave = style.waves * 1.5
        half = [
            (0.5, -0.74, -0.1), (out, -0.36, -0.2), (out + wave, 0.1, -0.2),
            (out + 0.06 - wave, 0.5 * style.length, -0.25), (out + 0.02 + wave, style.length, -0.2),
            (0.25, style.length + 0.05, -0.2),
        ]  # fmt: skip
        mirrored = [(-x, y, z) for x, y, z in half[::-1]]
        shapes.append(head.curve([(0, -0.84 - style.volume, -0.1), *half, *mirrored], 100))
    if style.kind == "curly":
        shapes.append(_crown(head, style, 0.42))
    if style.kind == "bun":
        shapes.append(ellipse(*head.at(0.0, -0.9 - style.volume, -0.25), 0.26, 0.22))
    return shapes


def front(head: Head, style: Style) -> list[np.ndarray]:
    """Returns the closed shapes that hide the forehead's rim and what is beside the face."""
    side = head.width
    end = 0.0 if style.kind != "curly" else 0.15
    angle = np.linspace(-0.06, np.pi + 0.06, 16)
    stand = style.volume + (style.bumps if style.kind == "curly" else 0.0)
    out = side + 0.55 * stand + 0.02
    arc = np.stack([
        -out * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.8,
        end - 0.02 - (0.82 + stand + end) * np.maximum(np.sin(angle), -0.05),
        np.full(16, -0.05),
    ], -1)  # fmt: skip
    line, part = style.line, style.part
    if style.kind == "bob":
        right = [(side * 0.93, 0.0, 0.05), (0.5, line + 0.05, 0.3), (0.2, line, 0.42)]
        inner = [*right, *[(-x, y, z) for x, y, z in right[::-1]]]
    else:
        # The hairline is highest at the parting and falls to the temples.
        height = lambda x: line - 0.1 + 0.34 * (x - part) ** 2
        inner = [
            (side * 0.95, end + 0.02, 0.02), (side * 0.9, -0.25, 0.1), (0.42, height(0.42), 0.28),
            (part, height(part), 0.4), (-0.42, height(-0.42), 0.28), (-side * 0.9, -0.25, 0.1),
            (-side * 0.95, end + 0.02, 0.02),
        ]  # fmt: skip
    shapes = [closed_curve(head.project([*arc, *inner]), 110)]
    if style.kind in ("long", "bob"):
        out = side + style.volume + 0.06
        for sign in (-1, 1):
            shapes.append(head.curve([
                (sign * side * 0.8, -0.45, 0.1), (sign * (out - 0.02), -0.35, -0.05),
                (sign * (out + style.waves), 0.2, -0.05),
                (sign * (out + 0.03 - style.waves), style.length, -0.05),
                (sign * (side - 0.12), style.length - 0.02, 0.0),
                (sign * (side - 0.02 + style.waves), 0.5 * style.length, 0.02),
                (sign * side * 0.94, 0.0, 0.05),
            ], 60))  # fmt: skip
    return shapes


def beard(head: Head, style: Style) -> np.ndarray:
    """Returns the coverage of a beard over jaw, chin and upper lip, float32 (H, W)."""
    half = [
        (head.width * 1.02, 0.2, 0.05), (head.jaw + 0.1, 0.66, 0.15),
        (head.chin + 0.1, head.length + 0.04, 0.4),
    ]  # fmt: skip
    inner = [(-head.width * 0.86, 0.3, 0.1), (-0.3, 0.52, 0.45), (-0.1, 0.46, 0.6),
             (0.1, 0.46, 0.6), (0.3, 0.52, 0.45), (head.width * 0.86, 0.3, 0.1)]  # fmt: skip
    mirrored = [(-x, y, z) for x, y, z in half[::-1]]
    shape = head.curve([*half, (0, head.length + 0.06, 0.45), *mirrored, *inner], 90)
    cover = fill(head.pose, [shape])
    soft = 0.05 * head.pose.radius
    return cv2.GaussianBlur(cover, (0, 0), max(soft, 0.3))


def _crown(head: Head, style: Style, low: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    reach = head.width + 0.7 * style.volume + style.bumps
    x = reach * np.cos(angle)
    y = -0.2 - (0.72 + style.volume + style.bumps) * np.sin(angle)
    points = np.stack([x, np.minimum(y, low), np.full(16, -0.1)], -1)
    return closed_curve(head.project(points), 100)

