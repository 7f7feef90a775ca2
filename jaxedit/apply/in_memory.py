"""Pictures and masks in memory, PIL images or arrays, read by the same rules as files."""

from __future__ import annotations

import io
import numbers
from typing import Any

import numpy as np
from PIL import Image

from jaxedit.apply import subject
from jaxedit.apply.photograph import Photograph
from jaxedit.data import images
from jaxedit.errors import UserError

Picture = Image.Image | np.ndarray
# Modes of PIL images that no file holds, and what they are kept as.
_STORED = {"HSV": "RGB", "RGBX": "RGB", "PA": "RGBA", "La": "LA", "RGBa": "RGBA"}
_MASKS = ("1", "L", "P", "RGB", "RGBA", "LA", "I;16")  # modes of masks and trimaps


def photograph_of(image: Picture) -> Photograph:
    """Returns the pixels and the opacity of a picture, in their own depth."""
    if isinstance(image, Image.Image):
        file = io.BytesIO()
        if image.mode in ("I", "F"):
            raise UserError(
                f"The picture is of mode {image.mode}, which has no fixed range. Make it uint8 "
                "(H, W, 3) or uint16 (H, W)."
            )
        image = image.convert(_STORED.get(image.mode, image.mode))
        # Through the reader of files, which knows palettes, opacity and the many spaces of colour.
        image.save(file, "TIFF" if image.mode in ("CMYK", "YCbCr", "LAB") else "PNG")
        image = images.open_image(file.getvalue())
        if image.mode.startswith("I"):
            return Photograph(np.asarray(image).astype(np.uint16))
        rgb, alpha = images.colours_and_opacity(image, "the picture")
        grey = image.mode in ("1", "L", "LA")
        return Photograph(
            np.ascontiguousarray(rgb[..., 0]) if grey else rgb, alpha if alpha.min() < 255 else None
        )
    array = np.asarray(image)
    fits = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    known = array.dtype == np.uint8 or (array.dtype == np.uint16 and array.ndim == 2)
    if not fits or not known or not array.size:
        raise UserError(
            f"The picture is {array.dtype} {array.shape}; expected uint8 (H, W, 3), (H, W, 4) or "
            "(H, W), or uint16 (H, W). Of floats in [0, 1] make (255 * x).round().astype('uint8')."
        )
    if array.ndim == 3 and array.shape[2] == 4:
        return Photograph(np.ascontiguousarray(array[..., :3]), array[..., 3])
    return Photograph(array)


def mask_of(mask: Picture, name: str, white: str = "hole") -> np.ndarray:
    """Returns a mask as the verbs read it from a file, bool (H, W)."""
    return images.read_mask(encoded(mask), name=f"the {name}", white=white)


def coarse_mask(photo: Photograph, mask: Picture | None, box: Any) -> np.ndarray:
    """Returns the coarse mask of a subject, bool (H, W), that is given or that GrabCut makes."""
    if mask is not None:
        coarse = mask_of(mask, "mask", white="subject")
        check_size(photo, coarse.shape, "mask")
        return coarse
    if box is None:
        return subject.mask_in(photo, subject.whole(photo.size))
    whole = isinstance(box, tuple | list) and len(box) == 4 and all(
        isinstance(n, numbers.Integral) and not isinstance(n, bool) for n in box
    )
    if not whole:
        raise UserError(f"box is {box!r}; expected (x, y, width, height), whole numbers.")
    return subject.mask_in(photo, tuple(int(n) for n in box))


def encoded(picture: Picture) -> bytes:
    """Returns a mask or a trimap as the bytes of a PNG."""
    if not isinstance(picture, Image.Image):
        array = np.asarray(picture)
        array = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
        colours = array.ndim == 3 and array.shape[2] in (3, 4) and array.dtype == np.uint8
        known = array.ndim == 2 and array.dtype in (np.dtype(bool), np.dtype(np.uint8))
        if not array.size or not (known or colours):
            raise UserError(
                f"A mask or trimap is {array.dtype} {array.shape}; expected bool or uint8 (H, W)."
            )
        picture = Image.fromarray(array)
    if picture.mode not in _MASKS:
        raise UserError(
            f"A mask or trimap is of mode {picture.mode}; expected one of {', '.join(_MASKS)}."
        )
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def check_size(photo: Photograph, found: tuple[int, int], what: str) -> None:
    if photo.size != tuple(found):
        raise UserError(
            f"The {what} has {found[1]} x {found[0]} pixels and the picture {photo.size[1]} x "
            f"{photo.size[0]}. Make the {what} at the picture's own size."
        )


def like(given: Picture, photo: Photograph) -> Picture:
    """Returns a photograph as a PIL image or an array, as what was given."""
    pixels = photo.pixels
    if photo.alpha is not None:
        colours = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
        pixels = np.dstack([colours, photo.alpha])
    return Image.fromarray(pixels) if isinstance(given, Image.Image) else pixels
