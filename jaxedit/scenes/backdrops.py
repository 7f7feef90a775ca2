"""The backdrop of a scene: layers of materials, painted from far to near, and their layout.

A layer is a class, and the share of each pixel that it covers; the label map takes the nearest
layer that covers at least half of a pixel.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from jaxedit.scenes.materials import MATERIALS
from jaxedit.scenes.noise import blend, noise, smoothstep
from jaxedit.scenes.parameters import CLASSES, Parameters

# What the light of the hour does to colours (red, green, blue), and the glow at the horizon.
_LIGHT = {
    "morning": (1.0, 0.97, 0.92),
    "noon": (1.04, 1.03, 1.02),
    "evening": (0.98, 0.77, 0.6),
    "night": (0.44, 0.51, 0.68),
}
_GLOW = {"morning": (255, 226, 190, 0.3), "evening": (255, 156, 84, 0.62)}
# Between which shares of the height the ground's far edge lies.
_LEVEL = (0.42, 0.66)
# Class, the share of each pixel covered (None: all of it), the horizon's row or 0 if upright.
Layer = tuple[str, np.ndarray | None, float]


@dataclasses.dataclass(frozen=True)
class Light:
    """The light of a scene, the same on the subject and on what is behind it.

    Attributes:
      direction: unit vector (x, y) in the picture towards the light; y points down.
      ramp: float32 (H, W, 1), the brightness of each place.
      tint: float32 (3,), factors of red, green and blue.
    """

    direction: np.ndarray
    ramp: np.ndarray
    tint: np.ndarray

    def on(self, colour: np.ndarray) -> np.ndarray:
        """Returns the colour under this light."""
        return colour * (self.ramp * self.tint)


def make_light(parameters: Parameters, size: int) -> Light:
    """Returns the light of a scene."""
    rng = parameters.rng("light")
    angle = rng.uniform(-1.1, 1.1)
    direction = np.float32((np.sin(angle), -np.cos(angle)))
    rows, columns = np.mgrid[:size, :size].astype(np.float32) / size - 0.5
    along = columns * direction[0] + rows * direction[1]
    spots = noise(rng, size, 2, octaves=2)
    ramp = 1 + rng.uniform(0.05, 0.5) * along + rng.uniform(0, 0.1) * spots
    return Light(direction, ramp[..., None], np.float32(_LIGHT[parameters.time]))


def render_backdrop(
    parameters: Parameters, size: int, light: Light, layers: list[Layer] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the picture without a subject, float32 (H, W, 3), and its label map, uint8 (H, W).

    `layers` are those of `backdrop_layers`, for a caller that has them already.
    """
    layers = layers or backdrop_layers(parameters, size)
    picture = np.zeros((size, size, 3), np.float32)
    label = np.zeros((size, size), np.uint8)
    for number, (name, cover, horizon) in enumerate(layers):
        # The generator goes by material, so a setting that keeps a material keeps its look.
        rng = parameters.rng(f"material {name} {number if name == 'hills' else 0}")
        colour = MATERIALS[name](rng, parameters.part, size, horizon)
        if name == "sky":
            colour = _hour(parameters, colour, horizon)
        if cover is None:
            picture, label[:] = colour, CLASSES.index(name)
            continue
        edge = cv2.GaussianBlur(cover, (0, 0), size / 60)
        picture = picture * (1 - 0.25 * (edge * (1 - cover))[..., None])  # contact shadow
        picture = blend(picture, colour, cover)
        label[cover >= 0.5] = CLASSES.index(name)
    picture = light.on(picture)
    focus = parameters.rng("focus")
    strength = focus.uniform(1.2, 4.2) * size / 160
    if parameters.focus == "shallow":
        picture = cv2.GaussianBlur(picture, (0, 0), strength)
    return picture, label


def shadow_on_ground(
    parameters: Parameters, picture: np.ndarray, label: np.ndarray, alpha: np.ndarray, light: Light
) -> np.ndarray:
    """Returns the picture with the soft shadow of a subject of this opacity; the sky has none."""
    size = alpha.shape[0]
    rng = parameters.rng("shadow")
    strength, width = rng.uniform(0.15, 0.5), rng.uniform(1.5, 6) * size / 160
    distance = rng.uniform(0.02, 0.09) * size
    x, y = -light.direction * distance
    matrix = np.float32([[1, 0, x], [0, 1, y + 0.01 * size]])
    shadow = cv2.warpAffine(alpha, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
    shadow = cv2.GaussianBlur(shadow, (0, 0), width)
    shadow = shadow * (label != CLASSES.index("sky"))
    return picture * (1 - strength * shadow[..., None])


def _hour(parameters: Parameters, colour: np.ndarray, horizon: float) -> np.ndarray:
    """Returns the sky at the hour: a glow over the horizon, or stars."""
    size = colour.shape[0]
    rng = parameters.rng("hour")
    if parameters.time in _GLOW:
        *glow, strength = _GLOW[parameters.time]
        rows = np.arange(size, dtype=np.float32)[:, None]
        near = np.exp(-(((rows - max(horizon, 0.5 * size)) / (0.32 * size)) ** 2))
        sun = rng.uniform(0, size)
        columns = np.arange(size, dtype=np.float32)[None]
        near = near * (0.6 + 0.4 * np.exp(-(((columns - sun) / (0.3 * size)) ** 2)))
        return blend(colour, np.float32(glow), strength * near)
    if parameters.time == "night":
        colour = colour * np.float32(0.5)
        stars = rng.random((70, 2)) * size
        for (x, y), light in zip(stars.astype(int), rng.uniform(120, 330, 70), strict=True):
            colour[y, x] += light
        return np.minimum(colour, 420)
    return colour


def ground_level(parameters: Parameters) -> float:
    """Returns where the ground's far edge lies, as a share of the height from the top."""
    return parameters.rng("layout").uniform(*_LEVEL)


def backdrop_layers(parameters: Parameters, size: int) -> list[Layer]:
    """Returns the layers of a backdrop from far to near."""
    rng = parameters.rng("layout")
    rows = np.arange(size, dtype=np.float32)[:, None]
    level = rng.uniform(*_LEVEL)
    slope = rng.normal(0, 0.02)

    def below(share: float, rough: float, bumps: float, tilt: float = 0.0) -> np.ndarray:
        """Everything below an uneven line at that share of the height."""
        line = noise(rng, size, bumps, octaves=5, gain=0.5, stretch=(0.01, 1))[:1]
        ramp = np.linspace(-0.5, 0.5, size, dtype=np.float32)[None]
        edge = (share + rough * line + tilt * ramp) * size
        return np.clip(rows - edge + 0.5, 0, 1)

    horizon = level * size
    flat = below(level, 0.002, 2, slope)
    hilly = [("hills", below(level - rng.uniform(0.06, 0.22), 0.05, 2.5), 0.0)]
    if rng.random() < 0.5:
        hilly.append(("hills", below(level - rng.uniform(0.0, 0.05), 0.025, 3.5), 0.0))
    trees = ("foliage", below(level - rng.uniform(0.0, 0.12), 0.04, 8), 0.0)
    sky = ("sky", None, horizon)
    bank = below(rng.uniform(level + 0.12, 0.9), 0.02, 2, rng.normal(0, 0.15))
    setting = parameters.setting
    if setting == "meadow":
        return [sky, *hilly, *([trees] if rng.random() < 0.7 else []), ("grass", flat, horizon)]
    if setting == "beach":
        water = ("water", below(level - 0.1, 0.0, 2), horizon - 0.1 * size)
        return [sky, water, ("sand", bank, horizon)]
    if setting == "lake":
        return [sky, *hilly, trees, ("water", flat, horizon), ("grass", bank, horizon)]
    if setting == "desert":
        dunes = ("sand", below(level - 0.06, 0.05, 2), 0.4 * horizon)
        return [sky, *hilly[:1], dunes, ("sand", bank, horizon)]
    if setting == "street":
        pavement = ("road", below(rng.uniform(0.68, 0.85), 0.0, 2), horizon)
        return [("brick wall", None, 0.0), pavement]
    if setting == "country road":
        spread = np.clip((rows - horizon) / (size - horizon), 0, 1)
        middle = size * (0.5 + rng.normal(0, 0.12) + rng.normal(0, 0.35) * (1 - spread) ** 2)
        half = size * (0.015 + rng.uniform(0.25, 0.5) * spread)
        columns = np.arange(size, dtype=np.float32)[None]
        lane = np.clip(half - np.abs(columns - middle) + 0.5, 0, 1) * flat
        ground = ("grass", flat, horizon)
        return [sky, *hilly, trees, ground, ("road", lane, horizon)]
    if setting == "forest":
        trunks = np.zeros((size, size), np.float32)
        columns = np.arange(size, dtype=np.float32)[None]
        for _ in range(int(rng.integers(3, 8))):
            width = size * rng.uniform(0.012, 0.045)
            place = size * rng.random() + size * 0.03 * np.sin(rows / size * 4 + rng.uniform(0, 6))
            foot = size * (level + rng.uniform(0.0, 0.2))
            trunk = np.clip(width - np.abs(columns - place) + 0.5, 0, 1)
            trunks = np.maximum(trunks, trunk * np.clip(foot - rows + 0.5, 0, 1))
        return [("foliage", None, 0.0), ("grass", flat, horizon), ("wood", trunks, 0.0)]
    if setting == "barn":
        low = ("grass", below(rng.uniform(0.7, 0.88), 0.008, 12), 0.6 * size)
        return [("wood", None, 0.0), low]
    if setting == "brick wall":
        ivy = smoothstep(0.85, 0.95, noise(rng, size, 3) + rng.uniform(-0.8, 0.6))
        return [("brick wall", None, 0.0), ("foliage", ivy, 0.0)]
    if setting == "hedge":
        return [sky, ("foliage", below(rng.uniform(-0.1, 0.25), 0.03, 7), 0.0)]
    if setting == "table":
        back = rng.choice(("brick wall", "foliage"))
        return [(str(back), None, 0.0), ("wood", below(rng.uniform(0.55, 0.75), 0, 2), 0.5 * size)]
    return [sky]
