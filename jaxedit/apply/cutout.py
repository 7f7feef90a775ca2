"""Cutting out a subject: its own colours, transparency, or another background behind it.

A pixel of the rim is a mixture, I = alpha F + (1 - alpha) B; with the photo's colours over another
background the old one would shine through as a fringe. F is estimated, see `data.alpha_matting`.
Mixing is done on the stored (gamma-encoded) values, as alphas are defined.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image, ImageOps

from jaxedit.apply.photograph import Photograph
from jaxedit.data import alpha_matting, images
from jaxedit.host import levels


def check_extra() -> None:
    """Raises UserError where foreground colours cannot be estimated on this machine."""
    alpha_matting.check(
        "Estimating the subject's own colours",
        "; or add --keep-colours, which leaves a fringe of the old background on soft edges",
    )


def own_colours(photo: Photograph, alpha: np.ndarray) -> np.ndarray:
    """Returns the subject's colours F, uint8 (H, W, 3), the photo's where alpha is 1.

    Where alpha is 0 they continue those of the subject: nothing of the old background is left.

    Args:
      photo: any size.
      alpha: (H, W) in [0, 1].

    Raises:
      UserError: pymatting is not installed.
    """
    check_extra()
    stored = rgb(photo)
    opaque = (np.asarray(alpha, np.float32) == 1)[..., None]
    return np.where(opaque, stored, alpha_matting.own_colours(stored, alpha))


def transparent(
    photo: Photograph, alpha: np.ndarray, colours: np.ndarray, *, premultiplied: bool = False
) -> Photograph:
    """Returns the subject with transparency around it.

    Args:
      photo: a grey one stays grey (8 bits); transparency that it has already is kept.
      alpha: (H, W) in [0, 1].
      colours: uint8 (H, W, 3), those of the subject.
      premultiplied: multiply the colours by the opacity, as some compositing programs want; PNG
        itself means straight alpha, which is the default.
    """
    opacity = levels.rounded(_opacity(photo, alpha) * 255)
    pixels = colours[..., 0] if photo.pixels.ndim == 2 else colours
    if premultiplied:
        share = opacity.astype(np.float32) / 255
        pixels = levels.rounded(pixels * (share if pixels.ndim == 2 else share[..., None]))
    return dataclasses.replace(photo, pixels=np.ascontiguousarray(pixels), alpha=opacity)


def composite(
    photo: Photograph, alpha: np.ndarray, colours: np.ndarray, background: np.ndarray
) -> Photograph:
    """Returns the subject over `background`, in colour and without transparency.

    Where alpha is 1 and where it is 0, the pixels are exactly those of `colours` and of
    `background`.

    Args:
      photo, alpha, colours: as in `transparent`.
      background: uint8 (H, W, 3), see `covering`.
    """
    share = _opacity(photo, alpha)[..., None]
    mixed = background + share * (colours.astype(np.float32) - background)
    metadata = photo.metadata
    if photo.pixels.ndim == 2:  # a grey profile does not describe the colours of the result
        metadata = dataclasses.replace(metadata, icc_profile=None)
    return dataclasses.replace(photo, pixels=levels.rounded(mixed), alpha=None, metadata=metadata)


def covering(background: Photograph, size: tuple[int, int]) -> np.ndarray:
    """Returns uint8 (H, W, 3): a picture scaled to cover `size` (H, W), its middle cut out."""
    height, width = size
    image = Image.fromarray(rgb(background))
    if image.size == (width, height):
        return np.asarray(image)
    return np.asarray(ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS))


def rgb(photo: Photograph) -> np.ndarray:
    """Returns the pixels as uint8 (H, W, 3); 16 bits are rounded to 8."""
    pixels = photo.pixels
    if pixels.dtype == np.uint16:
        pixels = levels.rounded(pixels.astype(np.float32) / 257)
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def opacity_map(alpha: np.ndarray) -> Photograph:
    """Returns the matte itself as a grey picture, uint8 (H, W)."""
    return Photograph(levels.of_opacity(alpha), None, images.Metadata())


def _opacity(photo: Photograph, alpha: np.ndarray) -> np.ndarray:
    alpha = np.asarray(alpha, np.float32)
    return alpha if photo.alpha is None else alpha * (photo.alpha.astype(np.float32) / 255)
