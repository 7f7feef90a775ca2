"""Reading the pictures of records, and what accompanies them: opacity, trimaps and label maps.

Each reader takes a path or the bytes of an image file, as `images.read_image` does, and raises
`UserError` naming the file where it cannot be read or does not hold what it should.
"""

from __future__ import annotations

import logging
import os
import pathlib

import numpy as np
from PIL import Image

from jaxedit.data import images
from jaxedit.data.images import MAX_PIXELS, File
from jaxedit.errors import UserError

_log = logging.getLogger(__name__)
# An 8-bit level this near to 0, 128 or 255 counts as it: published trimaps use 127 or 129 too.
_TRIMAP_LEVELS = 8


def read_alpha(file: File, *, name: str | None = None, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Returns an opacity map as uint8 (H, W), 255 = opaque.

    The file is either a grey image of the opacity or an image with transparency, whose opacity
    is then taken.
    """
    rgb, alpha = images.read_image_and_alpha(file, name=name, max_pixels=max_pixels)
    return (
        alpha if alpha.min() < 255 else _single_channel(rgb, _called(file, name), "an opacity map")
    )


def read_flattened(
    file: File, *, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Returns what `images.read_image` does; says so, once a folder, where white shows through.

    Networks of three channels see the white as part of the picture, so a person has to know.
    """
    colours, alpha = images.read_image_and_alpha(file, name=name, max_pixels=max_pixels)
    if alpha.min() == 255:
        return colours
    called = _called(file, name)
    _tell_of_transparency(str(pathlib.PurePath(called).parent), called)
    return images.over_white(colours, alpha)


_told: set[str] = set()


def _tell_of_transparency(folder: str, called: str) -> None:
    if folder not in _told:
        _told.add(folder)
        _log.warning(
            "%s is transparent in parts: it, and others in %s that are, lie over white. Lay them "
            "over another ground beforehand if that is not what a network is to learn.",
            called, folder,
        )


def read_foreground(
    file: File, *, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Returns a subject's colours as uint8 (H, W, 3), also where the file is transparent."""
    return images.read_image_and_alpha(file, name=name, max_pixels=max_pixels)[0]


def read_trimap(file: File, *, name: str | None = None, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Returns a trimap as uint8 (H, W) in {0, 128, 255}: background, unknown, foreground."""
    called = _called(file, name)
    rgb = images.read_image(file, name=name, max_pixels=max_pixels)
    grey = _single_channel(rgb, called, "a trimap").astype(np.int16)
    trimap = np.full(grey.shape, 1, np.uint8)
    for level in (0, 128, 255):
        trimap[np.abs(grey - level) <= _TRIMAP_LEVELS] = level
    if (trimap == 1).any():
        found = np.unique(grey[trimap == 1])
        raise UserError(
            f"{called} is not a trimap: it holds the value {found[0]} among others, where a trimap "
            "has 0 (background), 128 (unknown) and 255 (foreground). Save it losslessly, as PNG."
        )
    return trimap


def read_label(file: File, *, name: str | None = None, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Returns a label map as int32 (H, W): palette indices, or grey values of 8, 16 or 32 bits."""
    return label_of(images.open_image(file, name=name, max_pixels=max_pixels), _called(file, name))


def label_of(image: Image.Image, called: str) -> np.ndarray:
    """Returns the label map in an image that is open already; `called` is for messages."""
    if image.mode not in ("1", "L", "P") and not image.mode.startswith("I"):
        raise UserError(
            f"{called} is not a label map: its pixels are {image.mode}, where a label map has one "
            "class number per pixel. Save it as a greyscale or palette PNG."
        )
    return np.asarray(image).astype(np.int32)


def _single_channel(rgb: np.ndarray, called: str, kind: str) -> np.ndarray:
    if np.ptp(rgb, axis=2).max() > _TRIMAP_LEVELS:
        raise UserError(f"{called} is not {kind}: it is a colour image. Save it in greyscale.")
    return rgb[..., 0]


def _called(file: File, name: str | None) -> str:
    if name is not None:
        return name
    return "an image in memory" if isinstance(file, bytes) else os.fspath(file)
