"""Subjects of the kind `lace`: thin structures and holes, as of plants, nets and spokes.

A function of (parameters, pose, light direction) returns a `Matte`.
"""

from __future__ import annotations

import cv2
import numpy as np

from jaxedit.scenes.drawing import (
    Matte,
    Pose,
    ellipse,
    fill,
    fine_canvas,
    reduce,
    stroke,
    surface,
    taper,
)
from jaxedit.scenes.noise import blend
from jaxedit.scenes.parameters import Parameters

_LEAF = np.float32(
    [(0, 0), (0.25, 0.22), (0.55, 0.24), (0.85, 0.1), (1, 0), (0.85, -0.1), (0.55, -0.24),
     (0.25, -0.22)]
)  # fmt: skip


def fern(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """A few fronds from one root, with paired leaflets."""
    rng = parameters.rng("shape")
    stems, leaflets = [], []
    fronds = int(rng.integers(3, 8))
    fan = np.linspace(-1.15, 1.15, fronds) + rng.normal(0, 0.12, fronds)
    for angle in fan:
        bend, length = rng.normal(0, 0.3) + 0.7 * angle, rng.uniform(1.2, 2.0)
        t = np.linspace(0, 1, int(rng.integers(20, 30)))
        heading = angle + bend * t
        steps = np.stack([np.sin(heading), -np.cos(heading)], -1) * length / len(t)
        stem = (0, 0.95) + steps.cumsum(0)
        stems.append(stem)
        reach = rng.uniform(0.2, 0.34) * np.sin(np.pi * np.clip(0.12 + 0.9 * t, 0, 1)) ** 0.8
        for side in (-1, 1):
            turn = heading[4:] + side * rng.uniform(0.9, 1.3) + rng.normal(0, 0.05, len(t) - 4)
            leaflets.append((stem[4:], turn, reach[4:]))
    canvas = fine_canvas(pose)
    stroke(canvas, pose, stems, 1.0)
    width = rng.uniform(0.35, 0.65)
    for roots, turn, reach in leaflets:
        _leaves(canvas, pose, roots, turn, reach, width)
    return _thin(parameters, pose, rng, canvas)


def branch(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """A twig that forks, with or without leaves."""
    rng = parameters.rng("shape")
    segments: list[list] = [[], [], [], [], []]
    ends, headings = [], []
    fork = rng.uniform(0.35, 0.65)

    def grow(start: np.ndarray, heading: float, length: float, level: int) -> None:
        t = np.linspace(0, 1, 8)
        path = heading + rng.normal(0, 0.35) * t + 0.08 * rng.normal(size=8)
        line = start + np.concatenate(
            [[(0, 0)], (np.stack([np.sin(path), -np.cos(path)], -1) * length / 8).cumsum(0)]
        )
        segments[level].append(line)
        if level >= 2:
            ends.extend(line[2::2])
            headings.extend(path[1::2] + rng.normal(0, 0.7, 4))
        if level == 4:
            return
        for place in (4, 6, 8)[: int(rng.integers(2, 4))]:
            turn = rng.choice((-1, 1)) * rng.uniform(0.6, 1.4) * fork * 1.5
            grow(line[place], path[place - 1] + turn, length * rng.uniform(0.5, 0.78), level + 1)

    grow(np.float32((rng.normal(0, 0.1), 1.05)), rng.normal(0, 0.2), rng.uniform(0.8, 1.1), 0)
    # The whole twig is brought to the middle, whichever way it has grown.
    grown = np.concatenate([point for lines in segments for point in lines])
    low, high = grown.min(0), grown.max(0)
    centre, scale = (low + high) / 2, 1.9 / max(high - low)
    segments = [[(line - centre) * scale for line in lines] for lines in segments]
    ends = (np.stack(ends) - centre) * scale
    canvas = fine_canvas(pose)
    for level, lines in enumerate(segments):
        if lines:
            thick = 3.4 * 0.56**level
            taper(canvas, pose, np.stack(lines), (thick, 0.8 * thick, 0.6 * thick))
    wood = reduce(canvas)
    headings = np.float32(headings)
    if rng.random() < 0.65:
        kept = rng.random(len(ends)) < rng.uniform(0.3, 1.0)
        reach = rng.uniform(0.07, 0.15) * rng.uniform(0.7, 1.2, kept.sum())
        _leaves(canvas, pose, ends[kept], headings[kept], reach, rng.uniform(0.7, 1.4))
    matte = _thin(parameters, pose, rng, canvas)
    bark = np.float32((92, 70, 54)) * (1 + 0.15 * pose.noise(rng, 40, octaves=2))[..., None]
    share = np.clip(wood / np.maximum(matte.alpha, 1e-3), 0, 1) * (matte.alpha > 0.01)
    matte.colour = blend(matte.colour, bark, cv2.GaussianBlur(share, (0, 0), 0.7))
    return matte


def net(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """A hanging net of knotted cord."""
    rng = parameters.rng("shape")
    count = int(rng.integers(9, 17))
    sag, sway = rng.uniform(0.05, 0.3), rng.normal(0, 0.07, 4)
    waist = rng.uniform(0, 0.35)

    def hang(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        width = 1 - waist * (1 - b**2)
        x = a * width * 0.95 + sway[0] * np.sin(2 * b + 3 * a) + sway[1] * np.sin(5 * a)
        y = b * 0.95 + sag * (1 - a * a) * (0.4 + 0.6 * (b + 1) / 2) + sway[2] * np.sin(3 * a + b)
        return np.stack([x, y], -1)

    lines = []
    t = np.linspace(-1, 1, 60)
    slanted = rng.random() < 0.5
    for place in np.linspace(-1, 1, count):
        if slanted:
            for slope in (-1, 1):
                a = place * 2 + slope * t
                inside = np.abs(a) <= 1
                if inside.sum() > 1:
                    lines.append(hang(a[inside], t[inside]))
        else:
            lines += [hang(np.full(60, place), t), hang(t, np.full(60, place))]
    edge = np.ones(60)
    border = [hang(edge, t), hang(-edge, t), hang(t, edge), hang(t, -edge)]
    canvas, width = fine_canvas(pose), rng.uniform(0.35, 1.2)
    stroke(canvas, pose, lines, width)
    stroke(canvas, pose, border, 1.8 * width)
    sheet = np.concatenate([border[2][::-1], border[1][::-1], border[3], border[0]])
    return _thin(parameters, pose, rng, canvas, sheet)


def doily(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """A round crochet cloth: rings of petals and holes."""
    rng = parameters.rng("shape")
    petals = int(rng.integers(8, 17))
    angle = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    canvas = fine_canvas(pose)
    holes = [
        ellipse(0.19 * np.cos(a), 0.19 * np.sin(a), 0.045, 0.045, 16)
        for a in np.linspace(0, 2 * np.pi, petals, endpoint=False)
    ]
    core = fill(pose, [ellipse(0, 0, 0.3, 0.3, 90), *holes])
    lines, width = [], rng.uniform(0.7, 1.3)
    closed = np.append(angle, 2 * np.pi)
    for radius in np.linspace(0.36, 0.86, int(rng.integers(4, 7))):
        wave = radius + 0.035 * rng.uniform(0.4, 1.3) * np.abs(np.sin(petals / 2 * closed))
        lines.append(np.stack([wave * np.cos(closed), wave * np.sin(closed)], -1))
    scallop = 0.88 + rng.uniform(0.06, 0.14) * np.abs(np.sin(petals * closed / 2))
    scallops = np.stack([scallop * np.cos(closed), scallop * np.sin(closed)], -1)
    lines.append(scallops)
    t = np.linspace(0.28, 0.9, 30)
    for place in np.linspace(0, 2 * np.pi, 2 * petals, endpoint=False):
        bow = np.pi / petals * np.sin((t - 0.28) / 0.62 * np.pi * rng.choice((1, 2)))
        for side in (-1, 1):
            turn = place + side * bow
            lines.append(np.stack([t * np.cos(turn), t * np.sin(turn)], -1))
    stroke(canvas, pose, lines, width)
    stroke(canvas, pose, [scallops], 1.6 * width)
    matte = _thin(parameters, pose, rng, canvas, scallops)
    matte.alpha = np.maximum(matte.alpha, core)
    return matte


def spider_web(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """Spokes and a spiral of the thinnest threads, hung with dew."""
    rng = parameters.rng("shape")
    spokes = int(rng.integers(13, 22))
    angle = np.sort(np.linspace(0, 2 * np.pi, spokes, endpoint=False) + rng.normal(0, 0.06, spokes))
    reach = rng.uniform(0.9, 1.25, spokes)
    tips = np.stack([reach * np.cos(angle), reach * np.sin(angle)], -1)
    canvas = fine_canvas(pose)
    stroke(canvas, pose, np.stack([0 * tips, tips], 1), 0.5)
    dew = []
    turns = int(rng.integers(9, 17))
    for turn in range(1, turns):
        radius = (0.08 + 0.88 * turn / turns) * (1 + rng.normal(0, 0.012, spokes))
        corners = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1) * reach[:, None]
        ends = np.roll(corners, -1, 0)
        middle = (corners + ends) / 2 * (1 - 0.07)
        threads = np.stack([corners, (corners + 2 * middle + ends) / 4 * 0.99, ends], 1)
        stroke(canvas, pose, threads, 0.25)
        dew.append(middle[rng.random(spokes) < 0.35])
    for x, y in np.concatenate(dew):
        stroke(canvas, pose, [np.float32(((x, y), (x, y + 0.004)))], rng.uniform(0.8, 1.8))
    matte = _thin(parameters, pose, rng, canvas, 0.94 * tips)
    matte.colour = matte.colour * 0.25 + 178
    return matte


def bicycle_wheel(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """Tyre, rim, hub and crossed spokes."""
    rng = parameters.rng("shape")
    squash = rng.uniform(0.45, 1.0)  # the wheel is seen at an angle
    angle = np.linspace(0, 2 * np.pi, 121)
    spokes = int(rng.choice((20, 24, 28, 32)))

    def ring(radius: float) -> np.ndarray:
        return np.stack([radius * squash * np.cos(angle), radius * np.sin(angle)], -1)

    canvas = fine_canvas(pose)
    place = np.linspace(0, 2 * np.pi, spokes, endpoint=False)
    cross = place + np.where(np.arange(spokes) % 2, 0.9, -0.9)
    starts = np.stack([0.07 * squash * np.cos(cross), 0.07 * np.sin(cross)], -1)
    ends = np.stack([0.8 * squash * np.cos(place), 0.8 * np.sin(place)], -1)
    stroke(canvas, pose, np.stack([starts, ends], 1), rng.uniform(0.3, 0.6))
    tyre = fill(pose, [ring(0.96), ring(0.86)])
    rim = fill(pose, [ring(0.85), ring(0.79)])
    hub = fill(pose, [ring(0.09)])
    alpha = np.maximum.reduce([reduce(canvas), tyre, rim, hub])
    x, y = pose.grid()
    steel = np.float32((172, 174, 178)) * (1 + 0.35 * np.cos(5 * np.arctan2(y, x)))[..., None]
    colour = blend(steel, surface(parameters, pose), np.clip(2 * np.maximum(tyre, hub), 0, 1))
    inside = ((x / squash) ** 2 + y * y < 0.92).astype(np.float32)
    return Matte(alpha, colour, np.maximum(alpha, inside))


def _leaves(
    canvas: np.ndarray, pose: Pose, roots: np.ndarray, turn: np.ndarray, length: np.ndarray,
    width: float,
) -> None:  # fmt: skip
    """Fills a leaf at each root (N, 2), pointing to `turn` (0 is upwards)."""
    along = np.stack([np.sin(turn), -np.cos(turn)], -1)[:, None]
    across = np.stack([np.cos(turn), np.sin(turn)], -1)[:, None]
    shape = along * _LEAF[None, :, :1] + width * across * _LEAF[None, :, 1:]
    shapes = roots[:, None] + length[:, None, None] * shape
    fine = canvas.shape[0] // pose.size
    for points in np.round((pose.place(shapes) * fine - 0.5) * 16).astype(np.int32):
        cv2.fillPoly(canvas, [points], 255, cv2.LINE_8, 4)


def _thin(
    parameters: Parameters,
    pose: Pose,
    rng: np.random.Generator,
    canvas: np.ndarray,
    outline: np.ndarray | None = None,
) -> Matte:
    """Returns what is on the canvas, with the subject's surface.

    The holes inside `outline` (N, 2) belong to the body, though one looks through them.
    """
    alpha = reduce(canvas)
    colour = surface(parameters, pose)
    # Leaves and cords differ in brightness from one to the next.
    colour = colour * (1 + 0.16 * pose.noise(rng, 22, octaves=3, gain=0.8))[..., None]
    body = alpha if outline is None else np.maximum(alpha, fill(pose, [outline]))
    return Matte(alpha, colour, body)
