"""Degradations of real photographs for composed pictures: blur, noise, JPEG (host side).

The published configuration has a switch of this name ("real_world_aug") that does nothing. What it
does here, and every number below, is ours: each of the three with probability 1/2, in the order in
which a camera would add them. Only the composed picture is degraded; opacity, trimap and the two
pictures it was made of stay clean.
"""

from __future__ import annotations

import cv2
import numpy as np

from jaxedit.host import levels
from jaxedit.methods.matting import mixing

# Standard deviation of the Gaussian blur, in pixels.
BLUR = (0.3, 1.5)
# Standard deviation of the additive normal noise, of the range 0..255; the same for the channels.
NOISE = (1.0, 12.0)
# Quality of the JPEG file the picture has been through.
QUALITY = (40, 95)


def degrade(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns a degraded picture, float32 (H, W, 3) in [-1, 1], of one in the same range."""
    blurs, noisy, compressed = rng.random(3) < 0.5
    if blurs:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(*BLUR), borderType=cv2.BORDER_REFLECT)
    if noisy:
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        image = image + noise * np.float32(rng.uniform(*NOISE) / 127.5)
    if compressed:
        quality = int(rng.integers(QUALITY[0], QUALITY[1] + 1))
        image = jpeg(image, quality)
    return np.clip(image, -1, 1)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Returns the picture, float32 (H, W, 3) in [-1, 1], as a JPEG file of `quality` shows it."""
    pixels = levels.of_picture(image)
    # The encoder takes BGR; the red and the blue channel are compressed differently.
    blue_first = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", blue_first, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return mixing.unit_range(decoded)
