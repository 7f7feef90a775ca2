"""Subjects of the kinds `solid` and `soft`: opaque bodies, sharp or out of focus or glowing.

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
    gleam,
    inflate,
    reduce,
    revolve,
    stroke,
    surface,
)
from jaxedit.scenes.noise import blend, extend
from jaxedit.scenes.parameters import Parameters

_DULL = ("brick", "wooden", "leafy", "sandy")  # these surfaces have no highlight


def vase(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """A turned vase or urn, sometimes with handles."""
    rng = parameters.rng("shape")
    neck, belly, foot = rng.uniform(0.14, 0.34), rng.uniform(0.42, 0.66), rng.uniform(0.2, 0.4)
    place = rng.uniform(-0.2, 0.35)
    shapes = [revolve([(neck * rng.uniform(1.1, 1.6), -1.0), (neck, -0.8), (neck, -0.62),
                       (belly, place), (foot, 0.88), (foot * 1.1, 1.0)])]  # fmt: skip
    cover = fill(pose, shapes)
    if rng.random() < 0.4:
        canvas = fine_canvas(pose)
        t = np.linspace(0, np.pi, 20)
        for side in (-1, 1):
            x = side * (neck + 0.3 * np.sin(t) + (belly * 0.5 - neck) * t / np.pi)
            stroke(canvas, pose, [np.stack([x, -0.68 + 0.45 * t / np.pi], -1)], 3.2)
        cover = np.maximum(cover, reduce(canvas))
    return _body(parameters, pose, light, cover, rng, shine=rng.random() < 0.6)


def mug(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """A mug with a handle that one can look through."""
    rng = parameters.rng("shape")
    wide, narrow = rng.uniform(0.5, 0.62), rng.uniform(0.38, 0.6)
    cup = fill(pose, [closed_curve([
        (-wide, -0.7), (-wide * 0.97, 0), (-narrow, 0.66), (0, 0.76), (narrow, 0.66),
        (wide * 0.97, 0), (wide, -0.7), (0, -0.72)], 80)])  # fmt: skip
    handle = fill(pose, [ellipse(wide, -0.05, 0.42, 0.44), ellipse(wide, -0.05, 0.27, 0.29)])
    rim = fill(pose, [ellipse(0, -0.7, wide * 1.0, 0.13)])
    drink = fill(pose, [ellipse(0, -0.69, wide * 0.92, 0.1)])
    cover = np.maximum.reduce([cup, handle, rim])
    matte = _body(parameters, pose, light, cover, rng, shine=True)
    dark = np.float32(((66, 42, 28), (150, 92, 44), (214, 196, 170))[int(rng.integers(3))])
    matte.colour = blend(blend(matte.colour, matte.colour * 0.8 + 30, rim), dark, drink)
    return matte


def ball(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """A sphere."""
    rng = parameters.rng("shape")
    cover = fill(pose, [ellipse(0, 0, 0.8, 0.8, 120)])
    return _body(parameters, pose, light, cover, rng, shine=rng.random() < 0.7)


def kite(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """A kite with a tail of bows."""
    rng = parameters.rng("shape")
    wide, top = rng.uniform(0.5, 0.75), rng.uniform(0.55, 0.7)
    corners = np.float32([(0, -1), (wide, -1 + top), (0, 0.6), (-wide, -1 + top)])
    sheet = fill(pose, [corners])
    t = np.linspace(0, 1, 40)
    wave = 0.25 * np.sin(rng.uniform(5, 9) * t) + rng.normal(0, 0.3)
    tail = np.stack([wave * t, 0.6 + t], -1)
    canvas = fine_canvas(pose)
    stroke(canvas, pose, [tail], 0.7)
    bows = []
    for place in range(6, 40, 8):
        x, y = tail[place]
        for side in (-1, 1):
            end = x + side * 0.12
            bows.append(np.float32([(x, y), (end, y - 0.07), (end, y + 0.07)]))
    cover = np.maximum.reduce([sheet, reduce(canvas)] + [fill(pose, [bow]) for bow in bows])
    matte = _body(parameters, pose, light, cover, rng, shine=False)
    spars = fine_canvas(pose)
    stroke(spars, pose, [corners[[0, 2]], corners[[1, 3]]], 1.2)
    half = (pose.grid()[0] > 0).astype(np.float32) * sheet
    colour = matte.colour * (1 - 0.18 * half)[..., None]
    matte.colour = blend(colour, np.float32(60), reduce(spars) * 0.7)
    return matte


def star(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """A star with straight or round points."""
    rng = parameters.rng("shape")
    points, inner = int(rng.integers(4, 9)), rng.uniform(0.35, 0.6)
    angle = np.arange(2 * points) * np.pi / points - np.pi / 2
    radius = np.where(np.arange(2 * points) % 2, inner, 0.95)
    outline = np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)
    outline = closed_curve(outline, 120) if rng.random() < 0.5 else outline
    return _body(parameters, pose, light, fill(pose, [outline]), rng, shine=rng.random() < 0.3)


def mushroom(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """A cap on a stalk."""
    rng = parameters.rng("shape")
    wide, tall, stalk = rng.uniform(0.6, 0.9), rng.uniform(0.55, 0.85), rng.uniform(0.13, 0.24)
    cap = fill(pose, [closed_curve([
        (0, -0.25 - tall), (wide * 0.7, -0.25 - 0.68 * tall), (wide, -0.15), (wide * 0.5, -0.08),
        (0, -0.04), (-wide * 0.5, -0.08), (-wide, -0.15), (-wide * 0.7, -0.25 - 0.68 * tall),
    ], 80)])  # fmt: skip
    stem = fill(pose, [closed_curve([
        (-stalk, -0.2), (-stalk * 0.9, 0.4), (-stalk * 1.5, 0.9), (0, 1.0), (stalk * 1.5, 0.9),
        (stalk * 0.9, 0.4), (stalk, -0.2)], 50)])  # fmt: skip
    matte = _body(parameters, pose, light, cap, rng, shine=rng.random() < 0.5)
    pale = np.float32((216, 204, 182)) * inflate(stem, light)
    pale = pale * (1 + 0.07 * pose.noise(rng, 20, stretch=(0.3, 1.6)))[..., None]
    only = np.clip(stem - cap, 0, 1)
    matte.colour = blend(matte.colour, pale, cv2.dilate(only, np.ones((3, 3))) * (1 - cap))
    matte.alpha = matte.body = np.maximum(cap, stem)
    return matte


def fish(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """A fish with fins and scales."""
    rng = parameters.rng("shape")
    tall, tail = rng.uniform(0.3, 0.52), rng.uniform(0.3, 0.55)
    body = closed_curve([
        (-0.9, 0), (-0.6, -tall * 0.8), (-0.1, -tall), (0.4, -tall * 0.45), (0.62, -0.07),
        (0.62, 0.07), (0.4, tall * 0.45), (-0.1, tall), (-0.6, tall * 0.8)], 80)  # fmt: skip
    back = closed_curve([(0.56, 0), (1.05, -tail), (0.9, 0), (1.05, tail)], 50)
    fin = closed_curve([(-0.4, -tall * 0.8), (0, -tall - 0.3), (0.35, -tall * 0.5)], 40)
    trunk = fill(pose, [body])
    cover = np.maximum.reduce([trunk, fill(pose, [back]), fill(pose, [fin])])
    matte = _body(parameters, pose, light, cover, rng, shine=True)
    x, y = pose.grid()
    scales = np.sin(34 * (x + 0.3 * y)) * np.sin(34 * (x - 0.3 * y))
    matte.colour = matte.colour * (1 + 0.1 * scales * trunk)[..., None]
    for radius, shade in ((0.09, 236), (0.05, 20)):
        eye = fill(pose, [ellipse(-0.62, -0.1 * tall / 0.4, radius, radius)])
        matte.colour = blend(matte.colour, np.float32(shade), eye)
    return matte


def balloon(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """One or three balloons on strings, out of focus."""
    rng = parameters.rng("shape")
    canvas, covers = fine_canvas(pose), []
    places = [(0, -0.2, 0.75)] if rng.random() < 0.5 else [
        (-0.5, -0.1, 0.5), (0.5, -0.2, 0.5), (0, -0.55, 0.5)]  # fmt: skip
    for x, y, radius in places:
        covers.append(fill(pose, [closed_curve([
            (x, y - radius), (x + 0.6 * radius, y - 0.75 * radius),
            (x + 0.82 * radius, y - 0.15 * radius), (x + 0.45 * radius, y + 0.6 * radius),
            (x, y + radius), (x - 0.45 * radius, y + 0.6 * radius),
            (x - 0.82 * radius, y - 0.15 * radius), (x - 0.6 * radius, y - 0.75 * radius),
        ], 70)]))  # fmt: skip
        t = np.linspace(0, 1, 16)
        string = np.stack([x * (1 - t) + 0.06 * np.sin(6 * t), y + radius + t * (1.4 - y)], -1)
        stroke(canvas, pose, [string], 0.9)
    matte = _body(parameters, pose, light, np.maximum.reduce(covers + [reduce(canvas)]), rng, True)
    for nearer, cover in enumerate(covers):
        shade = inflate(cover, light) * (1 - 0.12 * nearer)
        matte.colour = blend(matte.colour, surface(parameters, pose) * shade, cover)
    return _defocus(pose, matte, rng.uniform(1.5, 6.0))


def bird(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """A bird in flight whose wings are blurred by their beat."""
    rng = parameters.rng("shape")
    lift, broad = rng.uniform(-0.25, 0.85), rng.uniform(0.8, 1.3)
    trunk = fill(pose, [closed_curve([
        (-0.3, 0.02), (-0.2, -0.09), (0, -0.1), (0.25, -0.03), (0.62, 0.06), (0.6, 0.17),
        (0.2, 0.17), (-0.1, 0.14), (-0.26, 0.1)], 80)])  # fmt: skip
    wings = []
    for side in (-1, 1):
        tip = (side * 1.05 + 0.1, -lift)
        elbow = (side * 0.5 - 0.05, -0.5 * lift - 0.22)
        back = (side * 0.55 + 0.12, -0.4 * lift + 0.1 * broad)
        wings.append(fill(pose, [closed_curve([
            (side * 0.06 - 0.12, -0.06), elbow, tip, back, (side * 0.1 + 0.2, 0.08 * broad + 0.04),
        ], 60)]))  # fmt: skip
    length = rng.uniform(2, 12) * pose.size / 160
    blurred = _streak(np.maximum(*wings), length, np.pi / 2 + rng.normal(0, 0.4))
    alpha = np.maximum(cv2.GaussianBlur(trunk, (0, 0), 0.8 * pose.size / 160), blurred)
    solid = np.maximum.reduce([trunk, *wings])
    matte = _body(parameters, pose, light, solid, rng, shine=False)
    beak = fill(pose, [np.float32([(-0.27, 0.0), (-0.42, 0.07), (-0.26, 0.09)])])
    matte.colour = blend(matte.colour, np.float32((214, 150, 52)), beak)
    eye = fill(pose, [ellipse(-0.19, 0.0, 0.035, 0.035)])
    matte.colour = blend(matte.colour, np.float32(24), eye)
    matte.alpha = matte.body = np.maximum(alpha, beak)
    return matte


def cushion(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """A cushion near the lens, out of focus."""
    rng = parameters.rng("shape")
    edge, corner = rng.uniform(0.68, 0.8), rng.uniform(0.74, 0.82)
    outline = closed_curve([
        (-corner, -corner), (0, -edge), (corner, -corner), (edge, 0), (corner, corner), (0, edge),
        (-corner, corner), (-edge, 0)], 100)  # fmt: skip
    matte = _body(parameters, pose, light, fill(pose, [outline]), rng, shine=False)
    return _defocus(pose, matte, rng.uniform(1.5, 7.0))


def lantern(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """A paper lantern in a halo of its own light."""
    rng = parameters.rng("shape")
    x, y = pose.grid()
    tall = rng.uniform(0.4, 0.6)
    shade = fill(pose, [ellipse(0, 0, 0.46, tall, 90)])
    caps = np.maximum(*(fill(pose, [ellipse(0, end, 0.16, 0.05)]) for end in (-tall, tall)))
    distance = np.sqrt((x / 0.46) ** 2 + (y / tall) ** 2)
    far = rng.uniform(1.9, 2.4)
    halo = np.clip(1 - (distance - 0.9) / (far - 0.9), 0, 1) ** rng.uniform(1.6, 3.2)
    halo = halo * rng.uniform(0.45, 0.85)
    alpha = np.maximum(np.maximum(shade, caps), halo)
    tint = surface(parameters, pose, "plain")
    glow = np.clip(1.2 - distance, 0, 1)[..., None]
    ribs = 1 - 0.16 * np.exp(-((np.sin(np.arcsin(np.clip(y / tall, -1, 1)) * 6) / 0.25) ** 2))
    paper = (tint * 0.75 + 45 + np.float32((150, 120, 60)) * glow**1.5) * ribs[..., None]
    light_colour = tint * 0.35 + np.float32((160, 140, 92))
    colour = blend(light_colour + np.zeros_like(paper), paper, shade)
    colour = blend(colour, np.float32((58, 40, 34)), caps)
    return Matte(alpha, colour, np.maximum(shade, caps), glows=True)


def move(pose: Pose, matte: Matte, parameters: Parameters) -> Matte:
    """Returns the subject blurred along a straight line by its motion."""
    rng = parameters.rng("motion")
    length, angle = rng.uniform(5, 20) * pose.size / 160, rng.uniform(0, np.pi)
    return _smear(matte, lambda field: _streak(field, length, angle))


def _body(
    parameters: Parameters,
    pose: Pose,
    light: np.ndarray,
    cover: np.ndarray,
    rng: np.random.Generator,
    shine: bool,
) -> Matte:
    """Returns an opaque body with the subject's surface, rounded by light and shade."""
    colour = surface(parameters, pose) * inflate(cover, light, rng.uniform(0.6, 1.1))
    if shine and parameters.texture not in _DULL:
        size = rng.uniform(0.06, 0.16)
        spot = gleam(pose, 0.4 * light[0], rng.uniform(-0.5, -0.3), size, size)
        colour = blend(colour, np.float32((252, 250, 244)), rng.uniform(0.25, 0.7) * spot)
    return Matte(cover, colour, cover)


def _defocus(pose: Pose, matte: Matte, strength: float) -> Matte:
    """Returns the subject out of focus; strength in pixels of a picture of 160."""
    radius = strength * pose.size / 160
    return _smear(matte, lambda field: cv2.GaussianBlur(field, (0, 0), radius * 0.6))


def _smear(matte: Matte, blur) -> Matte:
    """Returns the subject with opacity and colour blurred together, as a lens does it."""
    alpha = blur(matte.alpha)
    colour = blur(matte.colour * matte.alpha[..., None]) / np.maximum(alpha, 1e-3)[..., None]
    body = blur(matte.body)
    colour = extend(colour, np.clip(alpha * 4 - 0.1, 0, 1))
    return Matte(alpha, colour, body, matte.glows)


def _streak(field: np.ndarray, length: float, angle: float) -> np.ndarray:
    """Returns a field averaged along a line of that length in pixels."""
    side = 2 * int(np.ceil(length / 2)) + 3
    kernel = np.zeros((8 * side, 8 * side), np.uint8)
    middle = np.float32((4 * side - 0.5, 4 * side - 0.5))
    reach = 4 * length * np.float32((np.cos(angle), np.sin(angle)))
    ends = np.round(np.stack([middle - reach, middle + reach])).astype(int)
    cv2.line(kernel, ends[0].tolist(), ends[1].tolist(), 255, 8)
    small = cv2.resize(kernel, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
    return cv2.filter2D(field, -1, small / small.sum(), borderType=cv2.BORDER_REPLICATE)
