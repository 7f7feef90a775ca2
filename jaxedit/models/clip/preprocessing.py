"""Pictures as CLIP and CLIPSeg want them, on the host and inside of a program."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from jaxedit.models import imagenet

MEAN = np.float32([0.48145466, 0.4578275, 0.40821073])
DEVIATION = np.float32([0.26862954, 0.26130258, 0.27577711])


def prepare(image: np.ndarray, side: int = 224) -> np.ndarray:
    """Returns CLIP's input, float32 (side, side, 3), of a picture uint8 (H, W, 3).

    The short side becomes `side` by Pillow's bicubic filter, the middle is cut out, and channels
    are normalised.
    """
    height, width = image.shape[:2]
    short = min(height, width)
    size = tuple(int(side * length / short) for length in (width, height))
    pixels = Image.fromarray(np.ascontiguousarray(image)).resize(size, Image.Resampling.BICUBIC)
    left, top = ((length - side) // 2 for length in size)
    return _normalised(np.asarray(pixels)[top : top + side, left : left + side], MEAN, DEVIATION)


def prepare_for_segmentation(image: np.ndarray, side: int = 352) -> np.ndarray:
    """Returns CLIPSeg's input, float32 (side, side, 3), of a picture uint8 (H, W, 3).

    The whole picture becomes a square by Pillow's bilinear filter.
    """
    pixels = Image.fromarray(np.ascontiguousarray(image))
    pixels = pixels.resize((side, side), Image.Resampling.BILINEAR)
    colours = np.float32(imagenet.MEAN), np.float32(imagenet.DEVIATION)
    return _normalised(np.asarray(pixels), *colours)


def _normalised(image: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    return (image.astype(np.float32) / 255 - mean) / deviation


def from_unit_range(images: jax.Array, side: int = 224) -> jax.Array:
    """Returns what `prepare` does, differentiable and without rounding to 8 bits.

    Args:
      images: (B, H, W, 3) in [-1, 1].
      side: of the result, (B, side, side, 3).
    """
    height, width = images.shape[1:3]
    short = min(height, width)
    size = [int(side * length / short) for length in (height, width)]
    if tuple(size) != (height, width):
        # Pillow's bicubic filter is Keys' with a = -1/2, stretched when shrinking, as JAX's.
        images = jax.image.resize(images, (len(images), *size, images.shape[-1]), "cubic")
    top, left = ((length - side) // 2 for length in size)
    images = images[:, top : top + side, left : left + side]
    return ((jnp.clip(images, -1, 1) + 1) / 2 - MEAN) / DEVIATION
