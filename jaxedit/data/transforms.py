"""Image transforms: crops, flips and colour changes.

They have the semantics that PyTorch users know from torchvision's
transforms on Pillow images (crop before resizing, antialiased bilinear filter, 8-bit rounding
after every step), but with all randomness drawn from a `numpy.random.Generator` that is handed
in. Images are uint8 (H, W, 3) RGB until `to_unit_range`.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageEnhance

from jaxedit.errors import UserError


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns the image at (height, width), by Pillow's antialiased bilinear filter."""
    if image.shape[:2] == (height, width):
        return image
    pixels = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(pixels.resize((width, height), Image.Resampling.BILINEAR))


def resize_nearest(array: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns a bool or uint8 (H, W) array at (height, width) by nearest neighbour."""
    if array.shape[:2] == (height, width):
        return array
    pixels = Image.fromarray(array.astype(np.uint8))
    return np.asarray(pixels.resize((width, height), Image.Resampling.NEAREST)).astype(array.dtype)


def random_resized_crop(
    image: np.ndarray,
    height: int,
    width: int,
    rng: np.random.Generator,
    scale: tuple[float, float] = (0.08, 1.0),
    aspect: tuple[float, float] = (3 / 4, 4 / 3),
) -> np.ndarray:
    """Returns a random part of the image, resized to (height, width).

    Args:
      image: uint8 (H, W, 3).
      height: of the result, in pixels.
      width: of the result, in pixels.
      rng: where the randomness comes from.
      scale: range of the part's share of the image's area; uniform.
      aspect: range of the part's width over height before resizing; uniform in the logarithm.
    """
    top, left, crop_height, crop_width = _random_box(image.shape[:2], rng, scale, aspect)
    part = image[top : top + crop_height, left : left + crop_width]
    return resize(part, height, width)


def _random_box(
    size: tuple[int, int],
    rng: np.random.Generator,
    scale: tuple[float, float],
    aspect: tuple[float, float],
) -> tuple[int, int, int, int]:
    """Returns top, left, height, width. Ten tries, then the largest central box."""
    height, width = size
    for _ in range(10):
        area = height * width * rng.uniform(*scale)
        ratio = math.exp(rng.uniform(math.log(aspect[0]), math.log(aspect[1])))
        crop_width = round(math.sqrt(area * ratio))
        crop_height = round(math.sqrt(area / ratio))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top = int(rng.integers(height - crop_height + 1))
            left = int(rng.integers(width - crop_width + 1))
            return top, left, crop_height, crop_width
    crop_height, crop_width = height, width
    if width / height < aspect[0]:
        crop_height = min(height, max(1, round(width / aspect[0])))
    elif width / height > aspect[1]:
        crop_width = min(width, max(1, round(height * aspect[1])))
    return (height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width


def centre_crop(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns the central (height, width) pixels.

    Raises:
      UserError: the image is smaller than that.
    """
    if image.shape[0] < height or image.shape[1] < width:
        raise UserError(
            f"a centre crop of {width} x {height} pixels does not fit into an image of "
            f"{image.shape[1]} x {image.shape[0]}. Use larger images or a smaller crop."
        )
    top = round((image.shape[0] - height) / 2)
    left = round((image.shape[1] - width) / 2)
    return image[top : top + height, left : left + width]


def centre_crop_and_resize(image: np.ndarray, crop: int, height: int, width: int) -> np.ndarray:
    """Returns the central square of `crop` pixels at (height, width): CelebA uses 178 at 256."""
    return resize(centre_crop(image, crop, crop), height, width)


def resize_and_crop(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns the image scaled until it just covers (height, width), then cropped centrally."""
    if height * image.shape[1] >= width * image.shape[0]:
        covering = resize(image, height, height * image.shape[1] // image.shape[0])
    else:
        covering = resize(image, width * image.shape[0] // image.shape[1], width)
    return centre_crop(covering, height, width)


def random_flip(image: np.ndarray, rng: np.random.Generator, share: float = 0.5) -> np.ndarray:
    """Returns the image, mirrored left to right in `share` of the cases."""
    return image[:, ::-1] if rng.random() < share else image


def colour_jitter(
    image: np.ndarray,
    rng: np.random.Generator,
    brightness: float = 0.05,
    contrast: float = 0.05,
    saturation: float = 0.05,
    hue: float = 0.05,
) -> np.ndarray:
    """Returns the image with slightly changed colours, in random order of the four changes.

    Brightness, contrast and saturation are multiplied by a factor from U(1 - value, 1 + value),
    never below 0; the hue is turned by U(-hue, hue) of the full circle (`hue` at most 0.5).
    """
    factors = {
        "brightness": rng.uniform(max(0.0, 1 - brightness), 1 + brightness),
        "contrast": rng.uniform(max(0.0, 1 - contrast), 1 + contrast),
        "saturation": rng.uniform(max(0.0, 1 - saturation), 1 + saturation),
        "hue": rng.uniform(-hue, hue),
    }
    changes = {
        "brightness": adjust_brightness,
        "contrast": adjust_contrast,
        "saturation": adjust_saturation,
        "hue": adjust_hue,
    }
    names = list(factors)
    for position in rng.permutation(len(names)):
        image = changes[names[position]](image, factors[names[position]])
    return image


def adjust_brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Returns the blend of the image with black; `factor` 1 leaves it as it is."""
    return np.asarray(ImageEnhance.Brightness(_pillow(image)).enhance(factor))


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Returns the blend of the image with its mean grey; `factor` 1 leaves it as it is."""
    return np.asarray(ImageEnhance.Contrast(_pillow(image)).enhance(factor))


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Returns the blend of the image with its greyscale; `factor` 1 leaves it as it is."""
    return np.asarray(ImageEnhance.Color(_pillow(image)).enhance(factor))


def adjust_hue(image: np.ndarray, turn: float) -> np.ndarray:
    """Returns the image with its hue turned by `turn` of the full circle, through 8-bit HSV."""
    hue, saturation, value = _pillow(image).convert("HSV").split()
    # Truncated towards zero and wrapped, as torchvision's uint8 cast does.
    turned = np.asarray(hue) + np.int32(turn * 255)
    hue = Image.fromarray((turned % 256).astype(np.uint8))
    return np.asarray(Image.merge("HSV", (hue, saturation, value)).convert("RGB"))


def to_unit_range(image: np.ndarray) -> np.ndarray:
    """Returns uint8 (..., 3) as float32 in [-1, 1]: value / 127.5 - 1."""
    return image.astype(np.float32) / np.float32(127.5) - np.float32(1)


def _pillow(image: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(image))
