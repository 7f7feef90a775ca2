"""The surfaces of a backdrop: sky, hills, water, grass, sand, road, bricks, wood, foliage.

A material is a function of (rng, part, size, horizon) that returns a colour, float32
(size, size, 3) from 0 to 255. Those that lie on the ground are seen in perspective below the row
`horizon`. Their detail comes from noise and from the photographs of the part.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from jaxedit.scenes.noise import blend, detail, noise, photograph, smoothstep

Material = Callable[[np.random.Generator, str, int, float], np.ndarray]

# Photographs whose texture is that of the material, where the part has them.
_PHOTOGRAPHS = {
    "hills": ("grass", "moon"),
    "grass": ("grass", "chelsea"),
    "sand": ("gravel", "coins"),
    "road": ("gravel", "camera"),
    "brick wall": ("brick", "coins"),
    "wood": ("coffee", "ihc"),
    "foliage": ("flower", "grass", "chelsea"),
}
_GREENS = ((92, 118, 50), (70, 100, 44), (124, 132, 66), (104, 112, 42), (60, 92, 56))
_BROWNS = ((126, 88, 54), (98, 66, 42), (158, 118, 74), (110, 84, 66), (146, 96, 52))


def sky(rng: np.random.Generator, part: str, size: int, horizon: float) -> np.ndarray:
    """A gradient with clouds."""
    del part
    top = _choose(rng, ((66, 112, 176), (92, 142, 196), (122, 150, 180), (150, 158, 168)))
    low = _choose(rng, ((188, 208, 222), (214, 220, 220), (226, 216, 200)))
    fall = np.clip(np.arange(size, dtype=np.float32) / max(horizon, 0.4 * size), 0, 1) ** 0.8
    base = np.broadcast_to(blend(top, low, fall[:, None, None]), (size, size, 3))
    field = noise(rng, size, rng.uniform(1.5, 4), octaves=5, stretch=(1.6, 1))
    cover = rng.uniform(-0.4, 1.6)
    clouds = smoothstep(cover, cover + rng.uniform(0.6, 1.8), field)
    relief = cv2.Sobel(cv2.GaussianBlur(field, (0, 0), size / 100), cv2.CV_32F, 0, 1)
    white = 226 + 24 * np.clip(-relief * size / 90, -1.6, 0.6)
    return blend(base, np.repeat(white[..., None], 3, 2), clouds * rng.uniform(0.4, 0.9))


def hills(rng: np.random.Generator, part: str, size: int, horizon: float) -> np.ndarray:
    """Distant slopes of woods and rock, paled by the air."""
    base = _choose(rng, _GREENS + ((112, 108, 106), (118, 126, 108), (132, 104, 84)))
    surface = _rough(rng, part, size, base, "hills", contrast=16)
    slopes = noise(rng, size, 5, octaves=4, stretch=(1.4, 1))
    surface *= 1 + 0.16 * slopes[..., None]
    haze = np.float32((170, 184, 200))
    return blend(surface, haze, float(rng.uniform(0.15, 0.6)))


def water(rng: np.random.Generator, part: str, size: int, horizon: float) -> np.ndarray:
    """Ripples that grow towards the viewer, brighter where they mirror the sky."""
    del part
    deep = _choose(rng, ((44, 84, 110), (56, 100, 104), (40, 70, 84), (84, 110, 120)))
    bright = _choose(rng, ((150, 182, 200), (190, 200, 206), (164, 178, 170)))
    waves = noise(rng, size, 14, octaves=4, gain=0.8, stretch=(3.2, 0.6))
    waves = _lay(waves, horizon, rng.uniform(0.5, 1.0))
    near = _nearness(size, horizon)
    share = 0.3 + 0.24 * waves * (0.35 + near) + 0.34 * (1 - near)
    colour = blend(deep, bright, np.clip(share, 0, 1)[..., None])
    sparkle = smoothstep(1.9, 2.6, waves + noise(rng, size, 60, octaves=1))
    return blend(colour, np.float32((250, 248, 240)), 0.7 * sparkle[..., None])


def grass(rng: np.random.Generator, part: str, size: int, horizon: float) -> np.ndarray:
    """A meadow: patches of colour, and blades in front."""
    base = _choose(rng, _GREENS)
    surface = _rough(rng, part, size, base, "grass", contrast=26)
    surface *= 1 + 0.14 * noise(rng, size, 4, octaves=4)[..., None]
    surface = _lay(surface, horizon, rng.uniform(0.6, 1.2))
    surface = blend(surface, surface.mean((0, 1)), (0.55 * (1 - _nearness(size, horizon))))
    count = 420
    feet = rng.uniform((0, horizon / size), (1, 1.08), (count, 2))
    depth = np.clip((feet[:, 1] - horizon / size) / max(1 - horizon / size, 0.05), 0, 1)
    length = (0.012 + 0.07 * depth * rng.uniform(0.4, 1, count))[:, None]
    lean = rng.normal(0, 0.35, (count, 1))
    tips = feet + length * np.concatenate([lean, -np.ones((count, 1))], 1)
    middles = (feet + tips) / 2 - 0.2 * length * np.concatenate([lean, np.zeros((count, 1))], 1)
    blades = np.round(np.stack([feet, middles, tips], 1) * size * 16).astype(np.int32)
    for tone in range(6):
        shade = base * rng.uniform(0.6, 1.5) + rng.uniform(-8, 16, 3) * (1, 1, 0.2)
        chosen = list(blades[tone::6])
        cv2.polylines(surface, chosen, False, shade.tolist(), 1, cv2.LINE_AA, 4)
    # A few heads of flowers in some of the meadows.
    if rng.random() < 0.4:
        shade = _choose(rng, ((232, 226, 214), (216, 190, 66), (188, 66, 74), (150, 110, 180)))
        for x, y in (tips[:40:2] * size).astype(int):
            cv2.circle(surface, (int(x), int(y)), max(1, size // 130), shade.tolist(), -1)
    return surface


def sand(rng: np.random.Generator, part: str, size: int, horizon: float) -> np.ndarray:
    """Grains and wind ripples."""
    base = _choose(rng, ((208, 184, 142), (194, 160, 112), (220, 200, 168), (186, 146, 104)))
    surface = _rough(rng, part, size, base, "sand", contrast=12)
    ripples = noise(rng, size, 10, octaves=2, stretch=(2.6, 0.7))
    surface *= 1 + (0.05 * ripples + 0.06 * noise(rng, size, 3))[..., None]
    return _lay(surface, horizon, rng.uniform(0.5, 1.2))


def road(rng: np.random.Generator, part: str, size: int, horizon: float) -> np.ndarray:
    """Asphalt, gravel or paving stones."""
    base = _choose(rng, ((112, 110, 110), (134, 128, 120), (88, 88, 92), (150, 140, 124)))
    surface = _rough(rng, part, size, base, "road", contrast=15)
    if rng.random() < 0.45:
        joints, tones = _courses(rng, size, rng.uniform(5, 9), 1.6, 0.035, 0.0)
        surface = blend(surface * (1 + 0.1 * tones[..., None]), base * 0.55, 0.8 * joints)
    surface *= 1 + 0.08 * noise(rng, size, 3)[..., None]
    return _lay(surface, horizon, rng.uniform(0.6, 1.1))


def brick_wall(rng: np.random.Generator, part: str, size: int, horizon: float) -> np.ndarray:
    """Courses of bricks, each with a tone of its own, and mortar."""
    base = _choose(rng, ((158, 84, 60), (140, 74, 58), (172, 112, 82), (150, 132, 116)))
    return bricks(rng, part, size, base, rng.uniform(7, 13))


def bricks(
    rng: np.random.Generator, part: str, size: int, base: np.ndarray, courses: float
) -> np.ndarray:
    """Returns brickwork of a colour, `courses` rows of it along a side."""
    surface = _rough(rng, part, size, base, "brick wall", contrast=13)
    joints, tones = _courses(rng, size, courses, 2.4, 0.085, 0.5)
    surface *= 1 + 0.15 * tones[..., None] + 0.05 * noise(rng, size, 3)[..., None]
    mortar = _choose(rng, ((186, 178, 166), (150, 142, 132), (206, 200, 190)))
    relief = cv2.Sobel(joints, cv2.CV_32F, 0, 1, ksize=3)
    mortar = mortar * (1 + 0.07 * noise(rng, size, 40, octaves=2))[..., None]
    return blend(surface, mortar, joints) * (1 + 0.1 * np.clip(relief, -1, 1))[..., None]


def wood(rng: np.random.Generator, part: str, size: int, horizon: float) -> np.ndarray:
    """Upright boards; lying ones where the horizon is inside the picture."""
    base = _choose(rng, _BROWNS)
    surface = boards(rng, part, size, base, rng.uniform(4, 9))
    if horizon > 0:
        return _lay(surface, horizon, rng.uniform(0.6, 1.0))
    return surface


def boards(
    rng: np.random.Generator, part: str, size: int, base: np.ndarray, count: float
) -> np.ndarray:
    """Returns `count` upright boards of a colour, with grain."""
    surface = _rough(rng, part, size, base, "wood", contrast=7)
    x = np.arange(size, dtype=np.float32)[None] / size * count + rng.random()
    board = np.floor(x).astype(int)
    tone = rng.normal(0, 0.13, board.max() + 1).astype(np.float32)[board]
    grain = noise(rng, size, 26, octaves=3, gain=0.8, stretch=(0.08, 1.4))
    rings = np.sin(18 * x + 3.2 * noise(rng, size, 3, octaves=2, stretch=(0.5, 1)))
    gap = smoothstep(0.5 - 0.045, 0.5, np.abs(x - board - 0.5))
    shade = (1 + tone + 0.09 * grain + 0.045 * rings) * (1 - 0.72 * gap)
    return surface * shade[..., None]


def foliage(rng: np.random.Generator, part: str, size: int, horizon: float) -> np.ndarray:
    """Leaves over leaves, with dark gaps between them."""
    return leaves(rng, part, size, _choose(rng, _GREENS), rng.uniform(0.016, 0.04))


def leaves(
    rng: np.random.Generator, part: str, size: int, base: np.ndarray, length: float
) -> np.ndarray:
    """Returns leafage of a colour; `length` is that of a leaf, as a share of the side."""
    surface = _rough(rng, part, size, base * 0.62, "foliage", contrast=20)
    surface *= 1 + 0.3 * noise(rng, size, 9, octaves=3)[..., None]
    count = 640
    centre = rng.random((count, 1, 2))
    angle = rng.normal(0.6, 0.9, count) * rng.choice((-1, 1), count)
    axis = np.stack([np.cos(angle), np.sin(angle)], -1)[:, None]
    across = np.stack([-np.sin(angle), np.cos(angle)], -1)[:, None]
    along = np.float32((-1, -0.4, 0.3, 1, 0.3, -0.4))[None, :, None]
    side = np.float32((0, 0.38, 0.36, 0, -0.36, -0.38))[None, :, None]
    scale = (length * rng.uniform(0.6, 1.3, count))[:, None, None]
    shapes = np.round((centre + scale * (along * axis + side * across)) * size * 16)
    shapes = shapes.astype(np.int32)
    groups = 10
    for group in range(groups):
        light = 0.55 + 0.75 * (group + rng.random()) / groups
        shade = base * light + rng.normal(0, 7, 3) * (1, 0.8, 0.5)
        for shape in shapes[group::groups]:
            cv2.fillConvexPoly(surface, shape, shade.tolist(), cv2.LINE_AA, 4)
    return surface * (1 + 0.13 * noise(rng, size, 4, octaves=3))[..., None]


MATERIALS: dict[str, Material] = {
    "sky": sky,
    "hills": hills,
    "water": water,
    "grass": grass,
    "sand": sand,
    "road": road,
    "brick wall": brick_wall,
    "wood": wood,
    "foliage": foliage,
}


def _choose(rng: np.random.Generator, colours: tuple) -> np.ndarray:
    """Returns one of the colours, a little changed, float32 (3,)."""
    colour = np.float32(colours[int(rng.integers(len(colours)))])
    return colour * np.float32(rng.uniform(0.88, 1.1)) + rng.normal(0, 4, 3).astype(np.float32)


def _rough(
    rng: np.random.Generator, part: str, size: int, base: np.ndarray, name: str, contrast: float
) -> np.ndarray:
    """Returns a colour with the detail of a photograph, `contrast` in 8-bit levels."""
    deviation = detail(photograph(rng, part, size, _PHOTOGRAPHS.get(name, ())))
    grey = deviation.mean(2, keepdims=True)
    return base + np.float32(contrast) * (grey + 0.35 * (deviation - grey))


def _courses(
    rng: np.random.Generator, size: int, courses: float, ratio: float, joint: float, offset: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns where the joints of a bond are, from 0 to 1, and the tone of each stone.

    `ratio` is a stone's length over its height, `joint` half a joint's width in heights, and
    `offset` how far each course is moved against the one above, in lengths.
    """
    y, x = np.mgrid[:size, :size].astype(np.float32) / size * courses
    bend = 0.022 * noise(rng, size, 6, octaves=2)
    y, x = y + bend + rng.random(), x / ratio + 0.4 * bend
    row = np.floor(y)
    x = x + row * offset + 0.37 * np.sin(row * 5.1) * (offset == 0) + 8
    column = np.floor(x)
    distance = np.minimum(0.5 - np.abs(y - row - 0.5), ratio * (0.5 - np.abs(x - column - 0.5)))
    width = max(joint, 0.55 * courses / size)
    joints = 1 - smoothstep(0.55 * width, 1.45 * width, distance)
    tones = rng.standard_normal((64, 64), np.float32)
    return joints, tones[row.astype(int) % 64, column.astype(int) % 64]


def _nearness(size: int, horizon: float) -> np.ndarray:
    """Returns (size, 1): 0 at the horizon and above, 1 at the lower edge."""
    rows = np.arange(size, dtype=np.float32)[:, None]
    return np.clip((rows - horizon) / max(size - horizon, 1), 0, 1)


def _lay(surface: np.ndarray, horizon: float, scale: float) -> np.ndarray:
    """Returns a surface laid on the ground: ever smaller towards the row `horizon`."""
    size = surface.shape[0]
    if horizon <= 0:
        return surface
    depth = 1 / (0.16 + 0.84 * _nearness(size, horizon))
    columns = np.arange(size, dtype=np.float32)[None]
    x = (columns - size / 2) * depth * np.float32(scale) + size / 2
    y = np.broadcast_to(depth * np.float32(0.55 * scale * size), x.shape)
    return cv2.remap(
        np.ascontiguousarray(surface), x.astype(np.float32), np.ascontiguousarray(y, np.float32),
        cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101,
    )  # fmt: skip
