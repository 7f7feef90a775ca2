"""Subjects of the kinds `glass` and `smoke`: bodies that are transparent all through.

A function of (parameters, pose, light direction) returns a `Matte`.
"""

from __future__ import annotations

import cv2
import numpy as np

from jaxedit.scenes.drawing import Matte, Pose, ellipse, fill, revolve, surface
from jaxedit.scenes.noise import blend, smoothstep
from jaxedit.scenes.parameters import Parameters

_DRINKS = ((120, 24, 40), (206, 150, 50), (150, 176, 190), (96, 130, 60), (86, 52, 30))
# The colours of fire from cool to hot.
_FIRE = np.float32(
    ((150, 24, 8), (226, 80, 16), (250, 158, 36), (255, 222, 110), (255, 248, 214))
)


def bottle(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """A bottle of tinted glass, often part full."""
    rng = parameters.rng("shape")
    wide, neck, shoulder = rng.uniform(0.26, 0.4), rng.uniform(0.085, 0.13), rng.uniform(-0.5, -0.1)
    profile = [(neck * 1.25, -1.08), (neck * 1.25, -1.0), (neck, -0.98), (neck, shoulder - 0.2),
               (wide, shoulder + 0.2), (wide, 0.9), (wide * 0.9, 1.02)]  # fmt: skip
    matte = _vessel(parameters, pose, light, profile, rng, (shoulder, 1.0))
    cap = fill(pose, [_box(0, -1.04, neck * 1.45, 0.09)])
    if rng.random() < 0.6:
        matte.alpha = np.maximum(matte.alpha, cap)
        matte.body = np.maximum(matte.body, cap)
        matte.colour = blend(matte.colour, np.float32((150, 118, 82)), cap)
    if rng.random() < 0.4:
        paper = fill(pose, [_box(0, rng.uniform(0.3, 0.5), wide, rng.uniform(0.16, 0.28))])
        paper *= matte.body
        matte.alpha = np.maximum(matte.alpha, paper)
        x, _ = pose.grid()
        shade = (1 - 0.35 * (x / wide) ** 2)[..., None]
        text = surface(parameters, pose, "patterned") * 0.4 + 120
        matte.colour = blend(matte.colour, text * shade, np.clip(paper * 1.3, 0, 1))
    return matte


def wine_glass(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """Bowl, stem and foot."""
    rng = parameters.rng("shape")
    wide, rim, stem = rng.uniform(0.4, 0.56), rng.uniform(0.3, 0.44), rng.uniform(0.03, 0.05)
    profile = [(rim, -1.0), (wide, -0.45), (wide * 0.8, -0.12), (0.12, 0.1), (stem, 0.2),
               (stem, 0.78), (0.12, 0.88), (wide * 0.85, 0.97), (wide * 0.85, 1.0)]  # fmt: skip
    return _vessel(parameters, pose, light, profile, rng, (-0.55, 0.08))


def jar(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """A wide jar or glass vase."""
    rng = parameters.rng("shape")
    wide, mouth = rng.uniform(0.5, 0.75), rng.uniform(0.3, 0.55)
    waist = rng.uniform(0.8, 1.1)
    profile = [(mouth, -0.95), (mouth * 0.94, -0.8), (wide, -0.4), (wide * waist, 0.3),
               (wide * 0.75, 0.9), (wide * 0.72, 0.95)]  # fmt: skip
    return _vessel(parameters, pose, light, profile, rng, (-0.3, 0.9))


def bubble(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """Soap bubbles: a bright rim, play of colours, window-shaped highlights."""
    rng = parameters.rng("shape")
    alpha = np.zeros((pose.size, pose.size), np.float32)
    body, colour = alpha.copy(), None
    x, y = pose.grid()
    tint = surface(parameters, pose, "plain")
    for place in range(int(rng.integers(1, 5))):
        radius = rng.uniform(0.75, 0.95) if place == 0 else rng.uniform(0.12, 0.34)
        at = np.float32((0, 0)) if place == 0 else np.float32(rng.uniform(-1.1, 1.1, 2))
        cover = fill(pose, [ellipse(*at, radius, radius, 90)])
        u, v = (x - at[0]) / radius, (y - at[1]) / radius
        near = np.clip(np.sqrt(u * u + v * v), 0, 1)
        thickness = 5 * near**2 + 1.5 * v + 0.5 * pose.noise(rng, 3) + rng.uniform(0, 6)
        play = 150 + 95 * np.cos(thickness[..., None] * 1.3 + np.float32((0, 2.1, 4.2)))
        film = 0.1 + 0.12 * near + 0.6 * near**7 + 0.06 * pose.noise(rng, 4) * near
        shine = np.exp(-(((u + 0.45) / 0.16) ** 2) - ((v + 0.5) / 0.2) ** 2)
        shine += 0.6 * np.exp(-(((u - 0.4) / 0.12) ** 2) - ((v - 0.55) / 0.1) ** 2)
        shine = np.clip(1.5 * shine, 0, 1)
        film = np.clip(film, 0.05, 0.95) * (1 - shine) + shine
        here = blend(play * 0.6 + 0.4 * tint, np.float32((252, 252, 250)), shine)
        share = cover if colour is not None else np.ones_like(cover)
        colour = here if colour is None else blend(colour, here, share)
        alpha = blend(alpha, film, cover)
        body = np.maximum(body, cover)
    return Matte(alpha, colour, body)


def smoke(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """A rising column that widens and frays."""
    rng = parameters.rng("shape")
    x, y = pose.grid()
    height = np.clip((1.1 - y) / 2.3, 0, 1.2)
    drift = rng.normal(0, 0.5) * height**1.5
    sway = rng.uniform(0.1, 0.3) * height * np.sin(rng.uniform(4, 9) * height + rng.uniform(0, 6.3))
    width = rng.uniform(0.05, 0.12) + rng.uniform(0.35, 0.7) * height ** rng.uniform(0.7, 1.3)
    field = _billow(pose, rng, rng.uniform(2.5, 4.5), 0.03 + 0.12 * height)
    across = (x - drift - sway) / width + 0.4 * field * np.sqrt(height)
    room = np.clip(1 - across**2, 0, None) * smoothstep(1.2, 0.7, height) * smoothstep(1.15, 1.0, y)
    thinning = 1 - rng.uniform(0.2, 0.6) * height
    return _cloud(parameters, pose, light, room * thinning, field, rng)


def steam(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """A drifting cloud with frayed edges."""
    rng = parameters.rng("shape")
    x, y = pose.grid()
    field = _billow(pose, rng, rng.uniform(2.5, 4.5), np.float32(0.1))
    room = np.zeros_like(x)
    for _ in range(int(rng.integers(4, 9))):
        at, radius = rng.normal(0, (0.42, 0.2), 2), rng.uniform(0.35, 0.75)
        lump = 1 - ((x - at[0]) ** 2 + 1.6 * (y - at[1]) ** 2) / radius**2
        room = room + np.clip(lump + 0.3 * field, 0, None) ** 1.5 * (lump > -1)
    return _cloud(parameters, pose, light, np.minimum(room, 1.2), field, rng)


def flame(parameters: Parameters, pose: Pose, light: np.ndarray) -> Matte:
    """Tongues of fire, transparent at the edge."""
    rng = parameters.rng("shape")
    x, y = pose.grid()
    height = np.clip((1.0 - y) / 2.0, 0, 1.3)
    field = _billow(pose, rng, 3.0, 0.02 + 0.1 * height, stretch=(0.6, 1.2))
    sway = pose.noise(rng, 2.5, octaves=2, stretch=(1.2, 0.6))
    heat = np.full_like(x, -1)
    for tongue in range(int(rng.integers(3, 7))):
        tall = rng.uniform(0.85, 1.05) if tongue == 0 else rng.uniform(0.35, 0.85)
        foot = 0.0 if tongue == 0 else rng.uniform(-0.42, 0.42)
        rise = np.clip(height / tall, 0, 1.4)
        # Widest a quarter of the way up, drawn out to a tip that sways.
        width = rng.uniform(0.22, 0.4) * np.clip(1.02 - rise, 0.001, 1) ** 0.7 * (0.75 + 0.9 * rise)
        bent = x - foot * (1 - 0.4 * rise) - 0.22 * sway * rise - 0.05 * field * rise
        heat = np.maximum(heat, 1 - np.abs(bent / width) ** 1.6 - 1.6 * smoothstep(0.72, 1.1, rise))
    heat = (heat + 0.16 * field * (0.3 + height)) * smoothstep(1.1, 0.86, y)
    alpha = smoothstep(0.02, rng.uniform(0.3, 0.6), heat)
    level = np.clip(heat * 3.6 - 0.2 + 0.5 * (1 - height) * heat, 0, 3.999)
    low = level.astype(int)
    colour = blend(_FIRE[low], _FIRE[low + 1], level - low)
    return Matte(alpha, colour, np.clip(2 * alpha, 0, 1), glows=True)


def _vessel(
    parameters: Parameters,
    pose: Pose,
    light: np.ndarray,
    profile: list,
    rng: np.random.Generator,
    room: tuple[float, float],
) -> Matte:
    """Returns a turned body of glass; `room` is from where to where it can be filled."""
    cover = fill(pose, [revolve(profile)])
    x, y = pose.grid()
    half = np.interp(y, [p[1] for p in profile], [p[0] for p in profile]).astype(np.float32)
    signed = np.clip(x / np.maximum(half, 0.02), -1, 1)
    across = np.abs(signed)
    plateau = rng.uniform(0.14, 0.42)
    rim = rng.uniform(0.35, 0.6) * across ** rng.uniform(5, 9)
    ripple = 0.05 * pose.noise(rng, 5, octaves=2)
    film = plateau + rim + ripple
    tint = surface(parameters, pose, "plain")
    # Thick glass at the sides is darker and shows more of the tint; one side takes the light.
    shade = 1.06 - 0.5 * across**3 + 0.22 * signed * np.sign(light[0])
    colour = tint * shade[..., None]
    if rng.random() < 0.65:
        top = room[0] + rng.uniform(0.1, 0.7) * (room[1] - room[0])
        surface_line = y - top - 0.012 * (1 - across**2)
        wet = smoothstep(-0.5, 0.5, surface_line * pose.radius) * (y < room[1])
        wet = wet * smoothstep(1.0, 0.93, across)
        drink = np.float32(_DRINKS[int(rng.integers(len(_DRINKS)))])
        strength = rng.uniform(0.3, 0.85)
        film = blend(film, film + (1 - film) * strength, wet)
        colour = blend(colour, drink * (1.12 - 0.4 * across**2)[..., None], wet * 0.85)
        meniscus = np.exp(-((surface_line * pose.radius / 1.1) ** 2)) * (across < 0.96)
        film, colour = film + 0.3 * meniscus, blend(colour, colour * 0.5 + 120, 0.6 * meniscus)
    foot = smoothstep(profile[-1][1] - 0.1, profile[-1][1] - 0.02, y)
    mouth = np.exp(-(((y - profile[0][1] - 0.02) * pose.radius / 1.4) ** 2))
    film = film + 0.4 * foot + 0.5 * mouth
    shine = np.zeros_like(x)
    for strength in (1.0, *rng.uniform(0.5, 1, int(rng.integers(1, 4)))):
        place, width = rng.uniform(-0.75, 0.75), rng.uniform(0.02, 0.09)
        start, end = np.sort(rng.uniform(-1, 1, 2))
        streak = np.exp(-(((x / np.maximum(half, 0.05) - place) / width) ** 2)) * 1.3
        streak = streak * smoothstep(start - 0.06, start + 0.06, y)
        streak = streak * smoothstep(end + 0.4, end + 0.2, y)
        shine = np.maximum(shine, np.minimum(streak, 1) * np.float32(strength))
    film = np.clip(film, 0.08, 0.92) * (1 - shine) + shine
    colour = blend(colour, np.float32((250, 251, 252)), shine)
    alpha = cover * np.clip(film, 0, 1)
    return Matte(alpha.astype(np.float32), colour, cover)


def _billow(
    pose: Pose, rng: np.random.Generator, cells: float, warp: np.ndarray | float,
    stretch: tuple[float, float] = (1.0, 1.0),
) -> np.ndarray:  # fmt: skip
    """Returns noise that is curled by other noise, as a turbulent flow curls smoke."""
    field = pose.noise(rng, cells, octaves=5, gain=0.52, stretch=stretch)
    rows, columns = np.mgrid[: pose.size, : pose.size].astype(np.float32)
    reach = np.float32(pose.radius) * warp
    stream = pose.noise(rng, cells, octaves=3)
    # The flow follows the lines of equal height of a stream function, so it turns without sources.
    curl = pose.size / (14 * cells)
    move_x = reach * curl * 2 * cv2.Sobel(stream, cv2.CV_32F, 0, 1, scale=0.25)
    move_y = -reach * curl * 2 * cv2.Sobel(stream, cv2.CV_32F, 1, 0, scale=0.25)
    return cv2.remap(
        field, (columns + move_x).astype(np.float32), (rows + move_y).astype(np.float32),
        cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101,
    )  # fmt: skip


def _cloud(
    parameters: Parameters,
    pose: Pose,
    light: np.ndarray,
    room: np.ndarray,
    field: np.ndarray,
    rng: np.random.Generator,
) -> Matte:
    """Returns vapour that fills `room`, denser where `field` is high, lit from one side.

    Opacity follows the law of absorption, 1 - exp(-density), so it has no edge anywhere.
    """
    density = np.clip(room, 0, None) ** 1.2 * np.exp(rng.uniform(0.4, 0.8) * field)
    alpha = 1 - np.exp(-rng.uniform(1.3, 4.0) * density)
    alpha = np.clip(1.02 * alpha - 0.012, 0, 1).astype(np.float32)
    soft = cv2.GaussianBlur(density.astype(np.float32), (0, 0), max(1.0, pose.size / 60))
    slope = [cv2.Sobel(soft, cv2.CV_32F, *axis, scale=0.125) for axis in ((1, 0), (0, 1))]
    facing = (slope[0] * light[0] + slope[1] * light[1]) * pose.radius
    shade = 1 - 0.1 * np.tanh(facing) + 0.045 * field
    colour = surface(parameters, pose, "plain") * 0.8 + 34
    colour = colour * shade[..., None].astype(np.float32)
    return Matte(alpha, colour, np.clip(2 * alpha, 0, 1))


def _box(x: float, y: float, width: float, height: float) -> np.ndarray:
    """Returns a rectangle (4, 2) by its centre and half sides."""
    return np.float32(
        [(x - width, y - height), (x + width, y - height), (x + width, y + height),
         (x - width, y + height)]
    )  # fmt: skip


