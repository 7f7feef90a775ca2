"""Subjects of the kind `hair`: fur, long hair, down and barbs, each strand drawn by itself.

A function of (parameters, pose, light direction) returns a `Matte`.
"""

from __future__ import annotations

import cv2
import numpy as np

from jaxedit.scenes.drawing import (
    Matte,
    Pose,
    closed_curve,
    ellipse,
    fill,
    fine_canvas,
    inflate,
    reduce,
    stroke,
    surface,
    taper,
)
from jaxedit.scenes.noise import blend
from jaxedit.scenes.parameters import Parameters

_POINTS = 7  # of a strand


def cat(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """The head of a cat, with pointed ears and whiskers."""
    rng = parameters.rng("shape")
    wide, tip = rng.uniform(0.62, 0.78), rng.uniform(0.95, 1.1)
    outline = closed_curve([
        (0, -0.55), (0.26, -0.56), (0.62 * wide / 0.7, -tip), (0.68 * wide / 0.7, -0.35),
        (wide, 0.05), (wide * 0.9, 0.42), (0.36, 0.72), (0, 0.8), (-0.36, 0.72),
        (-wide * 0.9, 0.42), (-wide, 0.05), (-0.68 * wide / 0.7, -0.35),
        (-0.62 * wide / 0.7, -tip), (-0.26, -0.56),
    ], 140)  # fmt: skip
    matte = _furry(parameters, pose, light, outline, rng.uniform(0.07, 0.2))
    return _animal_face(parameters, pose, matte, rng, 0.34, -0.05, 0.34)


def dog(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """The head of a shaggy dog, with hanging ears."""
    rng = parameters.rng("shape")
    wide, ear = rng.uniform(0.5, 0.62), rng.uniform(0.25, 0.6)
    outline = closed_curve([
        (0, -0.8), (0.35, -0.76), (0.62, -0.62), (wide + 0.32, -0.25), (wide + 0.3, ear),
        (wide + 0.06, ear + 0.05), (wide, 0.1), (0.42, 0.55), (0.2, 0.82), (0, 0.86),
        (-0.2, 0.82), (-0.42, 0.55), (-wide, 0.1), (-wide - 0.06, ear + 0.05),
        (-wide - 0.3, ear), (-wide - 0.32, -0.25), (-0.62, -0.62), (-0.35, -0.76),
    ], 150)  # fmt: skip
    matte = _furry(parameters, pose, light, outline, rng.uniform(0.1, 0.3))
    ears = np.zeros_like(matte.alpha)
    for side in (-1, 1):
        ear_shape = closed_curve([
            (side * 0.52, -0.62), (side * (wide + 0.34), -0.3), (side * (wide + 0.34), ear),
            (side * (wide + 0.08), ear + 0.08), (side * (wide - 0.06), 0.0)], 40)  # fmt: skip
        ears = np.maximum(ears, fill(pose, [ear_shape]))
    ears = cv2.GaussianBlur(ears, (0, 0), 0.03 * pose.radius + 0.5)
    matte.colour = matte.colour * (1 - rng.uniform(0.2, 0.55) * ears)[..., None]
    return _animal_face(parameters, pose, matte, rng, 0.24, -0.2, 0.5)


def pompom(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """A ball of loose fur."""
    rng = parameters.rng("shape")
    outline = ellipse(0, 0, rng.uniform(0.55, 0.7), rng.uniform(0.55, 0.7), 110)
    return _furry(parameters, pose, light, outline, rng.uniform(0.3, 0.6), radial=True)


def woman(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """Head and shoulders, with long loose hair in the wind."""
    rng = parameters.rng("shape")
    wind, curl = rng.normal(0, 0.5), rng.uniform(0.0, 0.07)
    length = rng.uniform(0.9, 1.75)
    turned_away = rng.random() < 0.5
    bust = closed_curve([
        (0.16, -0.1), (0.19, 0.3), (0.42, 0.42), (0.85, 0.58), (1.0, 1.0), (1.05, 2.4),
        (-1.05, 2.4), (-1.0, 1.0), (-0.85, 0.58), (-0.42, 0.42), (-0.19, 0.3), (-0.16, -0.1),
    ], 120)  # fmt: skip
    face = ellipse(0, -0.2, 0.285, 0.36)
    skull = ellipse(0, -0.36, 0.4, 0.46)
    count = 620
    # Roots over the crown; strands fall round the head, then hang, wave and are blown.
    side = np.sign(rng.normal(size=count)) * rng.beta(1.1, 1.0, count)
    t = np.linspace(0, 1, 18)[None]
    root_x, root_y = 0.1 * side, -0.8 + 0.06 * np.abs(side) + rng.normal(0, 0.012, count)
    spread = 0.24 + 0.26 * np.abs(side) + rng.normal(0, 0.035, count)
    reach = length * rng.uniform(0.6, 1.1, count)
    fall = np.clip(t * 2.4, 0, 1)
    loose = np.clip(t - 0.25, 0, None) ** 1.6
    free = rng.normal(0, 0.2, count) + np.where(rng.random(count) < 0.12, rng.normal(0, 0.6), 0)
    x = root_x[:, None] + (np.sign(side) * spread)[:, None] * np.sin(fall * np.pi / 2)
    x = x + (wind * (0.7 + 0.5 * rng.random(count)) + free)[:, None] * loose
    phase, waves = rng.uniform(0, 6.3, count)[:, None], rng.uniform(5, 9)
    x = x + curl * np.sin(waves * t * reach[:, None] * 2 + phase * 0.35 + 3 * side[:, None]) * t
    y = root_y[:, None] + reach[:, None] * (t**1.15) + 0.1 * np.abs(free)[:, None] * loose
    y = y - 0.3 * abs(wind) * loose
    strands = np.stack([x, y], -1)
    canvas = fine_canvas(pose)
    behind = np.abs(side) > (0.0 if turned_away else 0.5)
    taper(canvas, pose, strands[behind], (1.1, 0.9, 0.6, 0.4, 0.25))
    loose_ones = strands[rng.random(count) < 0.25]
    frizz = loose_ones + rng.normal(0, 0.016, (len(loose_ones), 18, 2)).cumsum(1)
    stroke(canvas, pose, frizz, 0.25)
    hair = np.maximum(reduce(canvas), fill(pose, [skull]))
    tones = _strand_tones(pose, rng, strands)
    colour = surface(parameters, pose) * (0.78 + 0.42 * tones[..., None])
    colour = colour * (1 + 0.25 * np.exp(-(((pose.grid()[1] + 0.45) / 0.16) ** 2)))[..., None]
    body = fill(pose, [bust])
    clothes = surface(parameters, pose, texture="patterned")
    clothes = clothes * inflate(body, light, 0.8)
    skin = np.float32(((224, 178, 150), (190, 140, 108), (138, 94, 68), (236, 196, 172))[
        int(rng.integers(4))])  # fmt: skip
    neck = fill(pose, [closed_curve([(0.15, -0.2), (0.17, 0.3), (0.26, 0.46), (0, 0.62),
                                     (-0.26, 0.46), (-0.17, 0.3), (-0.15, -0.2)], 40)])  # fmt: skip
    under = blend(clothes, skin * 0.86, neck)
    head = fill(pose, [face])
    shown = skin * inflate(head, light, 0.5)
    for eye in (-0.11, 0.11):
        for colour_of, *shape in (
            ((244, 240, 236), -0.26, 0.055, 0.028), ((52, 40, 36), -0.26, 0.028, 0.028),
            (skin * 0.5, -0.33, 0.07, 0.012),
        ):  # fmt: skip
            shown = blend(shown, np.float32(colour_of), fill(pose, [ellipse(eye, *shape)]))
    shown = blend(shown, np.float32((176, 84, 84)), fill(pose, [ellipse(0, -0.02, 0.08, 0.022)]))
    shown = blend(shown, skin * 0.8, fill(pose, [ellipse(0, -0.13, 0.04, 0.018)]))
    front = hair if turned_away else hair * (1 - head)
    if not turned_away:
        fringe = fine_canvas(pose)
        taper(fringe, pose, strands[np.abs(side) > 0.72], (1.0, 0.9, 0.8, 0.5, 0.25))
        front = np.maximum(front, reduce(fringe))
        under = blend(under, shown, head)
    alpha = np.maximum(np.maximum(hair, body), np.maximum(head, neck))
    return Matte(alpha, blend(under, colour, _front_share(front, body, head)), alpha)


def dandelion(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """A seed head: stalks from the middle, each with a parachute of fine hairs."""
    rng = parameters.rng("shape")
    seeds = int(rng.integers(80, 150))
    direction = rng.normal(size=(seeds, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    # Some of the seeds have flown away.
    gone = direction[:, 0] > rng.uniform(0.2, 1.4)
    direction = direction[~gone] if (~gone).sum() > 20 else direction
    seeds = len(direction)
    radius = 0.66
    ends = direction[:, :2] * radius
    hub = np.stack([0.08 * direction[:, :2], ends], 1)
    hairs = 15
    angle = rng.uniform(0, 2 * np.pi, (seeds, hairs))
    # The parachute is a disc across its stalk, seen at an angle.
    across = np.stack([-direction[:, 1], direction[:, 0]], -1)
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-3)
    along = direction[:, :2]
    length = rng.uniform(0.16, 0.27, (seeds, hairs, 1))
    tips = ends[:, None] + length * (
        np.cos(angle)[..., None] * across[:, None]
        + np.sin(angle)[..., None] * along[:, None] * direction[:, None, 2:]
        + 0.45 * along[:, None]
    )
    starts = np.broadcast_to(ends[:, None], tips.shape)
    filaments = np.stack([starts, (starts + tips) / 2, tips], 2).reshape(-1, 3, 2)
    canvas = fine_canvas(pose)
    stroke(canvas, pose, hub, 0.3)
    stroke(canvas, pose, filaments, 0.25)
    stem_x = rng.normal(0, 0.15)
    t = np.linspace(0, 1, 12)[:, None]
    stem = np.concatenate([stem_x * t**2 * 3, t * 2.6], 1)
    stroke(canvas, pose, [stem], rng.uniform(2.2, 3.6))
    core = fill(pose, [ellipse(0, 0, 0.11, 0.1)])
    stalk = fine_canvas(pose)
    stroke(stalk, pose, [stem], 5)
    stalk = reduce(stalk)
    alpha = np.maximum(reduce(canvas), core)
    x, y = pose.grid()
    near = np.sqrt(x * x + y * y)
    colour = surface(parameters, pose, "plain") * 0.45 + 0.55 * np.float32((228, 224, 212))
    colour = colour * (1 + 0.1 * pose.noise(rng, 60, octaves=1))[..., None]
    green = np.float32((112, 124, 62)) * (1 + 0.3 * np.clip((x - stem_x * y) * 9, -1, 1))[..., None]
    colour = blend(colour, green, cv2.GaussianBlur(stalk, (0, 0), 1) * (near > 0.1))
    colour = blend(colour, np.float32((110, 82, 54)), np.exp(-((near / 0.14) ** 4)))
    puff = np.clip((0.88 - near) * pose.radius, 0, 1) * 0.999
    return Matte(alpha, colour, np.maximum(alpha, puff))


def feather(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """A feather: a bent shaft and some hundreds of barbs, downy near the quill."""
    rng = parameters.rng("shape")
    bend, barbs = rng.normal(0, 0.22), 170
    t = np.linspace(0, 1, barbs)
    t = t[np.abs(((t * rng.uniform(2, 5)) % 1) - 0.5) > rng.uniform(0.0, 0.03)]
    shaft = np.stack([bend * np.sin(np.pi * t) * 0.7, 1.1 - 2.15 * t], -1)
    width = rng.uniform(0.26, 0.42) * np.sin(np.pi * np.clip(t * 0.92 + 0.06, 0, 1)) ** 0.6
    canvas, down = fine_canvas(pose), t < rng.uniform(0.12, 0.3)
    lines = []
    for side in (-1, 1):
        sweep = rng.uniform(0.5, 0.9)
        length = width * rng.uniform(0.9, 1.05, len(t))
        s = np.linspace(0, 1, _POINTS)[None]
        wobble = np.where(down, 0.1, 0.012)[:, None] * rng.normal(0, 1, (len(t), 1))
        x = shaft[:, :1] + side * length[:, None] * s + wobble * s * s
        rise = sweep * length[:, None] * (s**1.4)
        y = shaft[:, 1:] - rise + np.where(down, 0.16, 0.015)[:, None] * rng.normal(
            0, 1, (len(t), 1)) * s**2  # fmt: skip
        lines.append(np.stack([x, y], -1))
    strands = np.concatenate(lines)
    downy = np.concatenate([down, down])
    taper(canvas, pose, strands[~downy], (1.0, 0.8, 0.5, 0.25))
    taper(canvas, pose, strands[downy], (0.4, 0.25, 0.25))
    quill = np.concatenate([[[0.02, 1.3]], shaft])
    stroke(canvas, pose, [quill], 1.2)
    alpha = reduce(canvas)
    tones = _strand_tones(pose, rng, strands)
    spine = fine_canvas(pose)
    stroke(spine, pose, [quill], 1.4)
    colour = surface(parameters, pose) * (0.72 + 0.5 * tones[..., None])
    return Matte(alpha, blend(colour, colour * 0.4 + 140, reduce(spine)), alpha)


def _furry(
    parameters: Parameters,
    pose: Pose,
    light: np.ndarray,
    outline: np.ndarray,
    length: float,
    radial: bool = False,
) -> Matte:
    """Returns a body with an outline (N, 2) under fur of that length."""
    rng = parameters.rng("fur")
    centre = outline.mean(0)
    count = int(rng.integers(600, 1000))
    position = rng.integers(0, len(outline), count)
    inset = 1 - np.abs(rng.normal(0, 0.14, count))[:, None]
    roots = centre + (outline[position] - centre) * inset
    tangent = np.roll(outline, -1, 0) - np.roll(outline, 1, 0)
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], -1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    outward = normal[position]
    outward *= np.sign((outward * (outline[position] - centre)).sum(1, keepdims=True) + 1e-6)
    strands = _strands(rng, roots, outward, length, radial)
    canvas = fine_canvas(pose)
    weight = rng.uniform(0.6, 1.0)
    taper(canvas, pose, strands, (weight, 0.75 * weight, 0.5 * weight, 0.25, 0.25))
    stray = strands[rng.random(count) < 0.2]
    stray = roots[0] * 0 + stray[:, :1] + (stray - stray[:, :1]) * rng.uniform(1.2, 1.9)
    stroke(canvas, pose, stray, 0.25)
    core = fill(pose, [centre + (outline - centre) * 0.97])
    alpha = np.maximum(reduce(canvas), core)
    # Fur over the body itself, combed from the middle outwards and down.
    inner = centre + (outline[rng.integers(0, len(outline), 1100)] - centre) * np.sqrt(
        rng.random((1100, 1)))  # fmt: skip
    flow = (inner - centre) + (0, 0.12) + rng.normal(0, 0.12, inner.shape)
    flow /= np.maximum(np.linalg.norm(flow, axis=1, keepdims=True), 1e-3)
    coat = _strands(rng, inner, flow, length * 0.8 + 0.05, radial)
    tones = _strand_tones(pose, rng, np.concatenate([coat, strands]))
    colour = surface(parameters, pose) * inflate(core, light, 0.3 if radial else 0.6)
    return Matte(alpha, colour * (0.68 + 0.64 * tones[..., None]), alpha)


def _strands(
    rng: np.random.Generator, roots: np.ndarray, direction: np.ndarray, length: float, radial: bool
) -> np.ndarray:
    """Returns curved strands (N, points, 2) that leave the roots in a direction and then droop."""
    count = len(roots)
    tangent = np.stack([-direction[:, 1], direction[:, 0]], -1)
    reach = (length * rng.lognormal(-0.15, 0.35, count))[:, None, None]
    t = np.linspace(0, 1, _POINTS)[None, :, None]
    # Neighbours are combed alike: the comb turns slowly with the place.
    comb = 0.6 * np.sin(3 * roots[:, 0] + 2.3 * roots[:, 1] + rng.uniform(0, 6.3))
    turn = (comb * (0.25 if radial else 1.0) + rng.normal(0, 0.3, count))[:, None, None]
    curl = rng.normal(0, 0.35, count)[:, None, None]
    droop = np.float32((0, 0.12 if radial else 0.4))
    path = direction[:, None] * t + tangent[:, None] * (turn * t + curl * t * t)
    return roots[:, None] + reach * (path + droop * t * t)


def _strand_tones(pose: Pose, rng: np.random.Generator, strands: np.ndarray) -> np.ndarray:
    """Returns the brightness of strands drawn over each other, float32 (H, W) about 0.5."""
    half = np.full((2 * pose.size, 2 * pose.size), 118, np.uint8)
    order = rng.permutation(len(strands))
    groups = 12
    for group in range(groups):
        tone = int(np.clip(128 + rng.normal(0, 58), 12, 255))
        stroke(half, pose, strands[order[group::groups]], 0.75, tone)
    small = cv2.resize(half, (pose.size, pose.size), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255


def _animal_face(
    parameters: Parameters,
    pose: Pose,
    matte: Matte,
    rng: np.random.Generator,
    apart: float,
    level: float,
    snout: float,
) -> Matte:
    """Adds eyes, nose, mouth, pale muzzle and whiskers."""
    colour = matte.colour
    x, y = pose.grid()
    muzzle = np.exp(-((x / (0.75 * snout)) ** 2) - ((y - level - 0.42) / 0.24) ** 2)
    colour = blend(colour, colour * 0.55 + 95, 0.6 * muzzle)
    iris = np.float32(((196, 166, 60), (118, 150, 70), (112, 76, 40), (96, 140, 170))[
        int(rng.integers(4))])  # fmt: skip
    for eye in (-apart, apart):
        for shade, *shape in (
            ((24, 20, 20), eye, level, 0.15, 0.125), (iris, eye, level, 0.12, 0.1),
            ((16, 14, 16), eye, level, 0.05, 0.09),
            ((250, 250, 250), eye + 0.04, level - 0.04, 0.03, 0.03),
        ):  # fmt: skip
            colour = blend(colour, np.float32(shade), fill(pose, [ellipse(*shape)]))
    nose = closed_curve([(-0.11, level + 0.28), (0.11, level + 0.28), (0, level + 0.42)], 30)
    colour = blend(colour, np.float32((74, 50, 52)), fill(pose, [nose]))
    mouth = fine_canvas(pose)
    t = np.linspace(0, 1, 9)
    lines = [
        np.stack([side * 0.2 * t, level + 0.42 + 0.12 * np.sin(np.pi * t * 0.8)], -1)
        for side in (-1, 1)
    ]
    stroke(mouth, pose, lines, 0.9)
    colour = blend(colour, colour * 0.4, reduce(mouth))
    hairs = []
    for side in (-1, 1):
        for _ in range(7):
            start = np.float32((side * rng.uniform(0.12, 0.24), level + rng.uniform(0.36, 0.5)))
            end = start + (side * rng.uniform(0.6, 0.95), rng.normal(0.02, 0.16))
            bow = np.float32((0, -0.1)) * (4 * t * (1 - t))[:, None]
            hairs.append(start + (end - start) * t[:, None] + bow)
    whiskers = fine_canvas(pose)
    taper(whiskers, pose, np.stack(hairs), (0.5, 0.25))
    whiskers = reduce(whiskers)
    colour = blend(colour, np.float32((226, 222, 214)), np.clip(1.6 * whiskers, 0, 1))
    alpha = np.maximum(matte.alpha, whiskers)
    return Matte(alpha, colour, alpha)


def _front_share(front: np.ndarray, body: np.ndarray, head: np.ndarray) -> np.ndarray:
    """Returns how much of the visible colour is that of the hair in front."""
    other = np.maximum(body, head)
    # Where the hair is all there is, the colour is the hair's, at any opacity.
    total = np.maximum(front + (1 - front) * other, 1e-4)
    return np.where(total > 1e-3, np.clip(front / total, 0, 1), 1.0).astype(np.float32)
