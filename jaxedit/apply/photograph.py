"""A user's photograph: its pixels in their own depth, and what must survive an edit.

`jaxedit.data.images` reads any file as 8-bit RGB, which is what training wants. An editor must
return what it did not edit: grey stays grey, 16-bit grey keeps its 16 bits, transparency, EXIF
and colour profile stay. Rotation by EXIF is applied to the pixels and the tag set to upright;
an embedded preview, which would still show what was edited away, is not kept.
"""

from __future__ import annotations

import dataclasses
import io
import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from jaxedit.data import images, own_files
from jaxedit.data import metadata as metadata_of
from jaxedit.errors import UserError
from jaxedit.host import levels
from jaxedit.host.atomic import atomic_file

PNG = (".png",)
EXACT = (*PNG, ".webp", ".tif", ".tiff")
LOSSY = (".jpg", ".jpeg")
_EXACT_NAMES = ".png, .webp or .tif"
_WEBP_SIDE = 16_383  # pixels; the format's limit
_LUMA = np.asarray([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow's mode L


_JPEG = ("JPEG", {"quality": 95, "subsampling": 0})
# Above so many pixels a PNG is packed less thoroughly: in two fifths of the time, into 2 % more
# bytes of a photograph with noise, 17 % more of a smooth one.
_LARGE, _LARGE_LEVEL = 4_000_000, 3
_TIFF = ("TIFF", {})  # Pillow cannot compress one that has EXIF directories
# Pillow's name of the form, and how it is written. `exact`: colours under transparency stay.
_FORMS = {
    ".png": ("PNG", {}), ".webp": ("WEBP", {"lossless": True, "exact": True}), ".tif": _TIFF,
    ".tiff": _TIFF, ".jpg": _JPEG, ".jpeg": _JPEG,
}


@dataclasses.dataclass(frozen=True)
class Photograph:
    """A decoded photograph, upright.

    Attributes:
      pixels: uint8 (H, W, 3), or uint8 or uint16 (H, W) for a greyscale photograph.
      alpha: uint8 (H, W) opacity, None where there is none.
      metadata: EXIF and colour profile.
      notes: lines that say what could not be kept.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    metadata: images.Metadata = images.Metadata()
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[:2]

    def for_network(self) -> np.ndarray:
        """Returns float32 (H, W, 3) in [-1, 1]; opacity is left aside."""
        half = np.iinfo(self.pixels.dtype).max / 2
        values = (self.pixels / half - 1).astype(np.float32)
        return values if values.ndim == 3 else np.repeat(values[..., None], 3, axis=2)

    def filled(self, prediction: np.ndarray, hole: np.ndarray) -> Photograph:
        """Returns the photograph with the hole taken from `prediction`.

        Every pixel outside the hole keeps its stored value, bit for bit.

        Args:
          prediction: float (H, W, 3) in [-1, 1].
          hole: bool (H, W).
        """
        prediction = np.asarray(prediction, np.float32)
        values = prediction if self.pixels.ndim == 3 else prediction @ _LUMA
        values = levels.of_picture(values, self.pixels.dtype)
        inside = hole[..., None] if self.pixels.ndim == 3 else hole
        return dataclasses.replace(self, pixels=np.where(inside, values, self.pixels))


def read(path: str | os.PathLike) -> Photograph:
    """Returns the photograph in a file.

    Raises:
      UserError: the file is missing, no image, damaged, or too large.
    """
    image = images.open_image(path)
    metadata = images.read_metadata(path)
    notes = [*_header_notes(path), *(f"{path}: {note}." for note in metadata.notes)]
    # Older Pillow opens 16-bit greyscale PNG files in mode I.
    deep = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")
    if deep and "transparency" in image.info:
        notes.append(f"{path} has 16 bits and transparency; the result has 8 bits.")
    elif deep:
        return Photograph(np.asarray(image).astype(np.uint16), None, metadata, tuple(notes))
    if image.mode in ("I", "F"):
        notes.append(f"{path} has more than 16 bits per pixel; the result has 8.")
    rgb, alpha = images.colours_and_opacity(image, str(path))
    grey = image.mode in ("1", "L", "LA", "La", "I", "F") or deep
    return Photograph(
        np.ascontiguousarray(rgb[..., 0]) if grey else rgb,
        alpha if alpha.min() < 255 else None,
        metadata,
        tuple(notes),
    )


def read_opaque(path: str | os.PathLike, say: Callable[[str], None]) -> Photograph:
    """Returns a photograph without transparency, white where it has some, which `say` is told."""
    return over_white(read(path), str(path), say)


def over_white(photo: Photograph, name: str, say: Callable[[str], None]) -> Photograph:
    """Returns a photograph that `say` calls `name` without transparency, as `read_opaque` does."""
    if photo.alpha is None or photo.alpha.min() == 255:
        return dataclasses.replace(photo, alpha=None)
    say(f"warning: {name} is transparent in places; they are white.")
    colours = photo.pixels if photo.pixels.ndim == 3 else np.dstack([photo.pixels] * 3)
    return dataclasses.replace(photo, pixels=images.over_white(colours, photo.alpha), alpha=None)


def check_output_name(
    path: pathlib.Path, suffixes: Sequence[str] = (*EXACT, *LOSSY)
) -> None:
    """Raises UserError unless the suffix of `path` is one of `suffixes`, which `write` knows."""
    if path.suffix.lower() not in suffixes:
        lossy = [suffix for suffix in suffixes if suffix in LOSSY]
        raise UserError(
            f"Output {path} must end in {_EXACT_NAMES}, which keep every known pixel as it is, or "
            "in .jpg."
            if lossy
            else f"Output {path} must end in {_EXACT_NAMES if len(suffixes) > 1 else '.png'}: JPEG "
            "holds no transparency and no exact values."
        )


def check_holds(output: pathlib.Path, photo: Photograph) -> None:
    """Raises UserError where a file of the suffix of `output` cannot hold the pixels."""
    suffix = output.suffix.lower()
    if suffix == ".webp" and photo.pixels.dtype != np.uint8:
        raise UserError(f"Cannot write {output}: WebP holds 8 bits only. Use a .png or .tif name.")
    if suffix == ".webp" and max(photo.size) > _WEBP_SIDE:
        raise UserError(
            f"Cannot write {output}: WebP holds {_WEBP_SIDE} pixels a side and the photo has "
            f"{max(photo.size)}. Use a .png or .tif name."
        )
    if suffix not in LOSSY:
        return
    if photo.alpha is not None:
        raise UserError(f"Cannot write {output}: JPEG holds no transparency. Use a .png name.")
    if photo.pixels.dtype != np.uint8:
        raise UserError(f"Cannot write {output}: JPEG holds 8 bits only. Use a .png name.")


def fitting(photo: Photograph, output: pathlib.Path) -> Photograph:
    """Returns the photograph with what a file of the suffix of `output` can hold; see `notes`."""
    if output.suffix.lower() not in LOSSY:
        return photo
    kept = metadata_of.for_jpeg(photo.metadata)
    new = kept.notes[len(photo.metadata.notes) :]
    notes = (*photo.notes, *(f"{output}: {note}." for note in new))
    return dataclasses.replace(photo, metadata=kept, notes=notes)


def write(path: str | os.PathLike, photograph: Photograph, kind: str | None = None) -> None:
    """Writes a photograph as PNG, WebP or TIFF (exact) or as JPEG; whole or not at all.

    A PNG that is no result but lies beside one says so by a `kind` of `data.own_files`.

    Raises:
      UserError: another suffix, what the form cannot hold (transparency in a JPEG, 16 bits in a
        JPEG or WebP), or the file cannot be written.
    """
    path = pathlib.Path(path)
    check_output_name(path)
    check_holds(path, photograph)
    photograph = fitting(photograph, path)
    pixels, alpha = photograph.pixels, photograph.alpha
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if alpha is not None:
        if image.mode == "I;16":
            raise ValueError("16-bit grey with transparency has no PNG mode here")
        image.putalpha(Image.fromarray(alpha))
    form, options = _FORMS[path.suffix.lower()]
    options = dict(options)
    if form == "PNG" and image.width * image.height > _LARGE:
        options["compress_level"] = _LARGE_LEVEL
    if photograph.metadata.exif:
        options["exif"] = photograph.metadata.exif
    # A WebP has no grey; a grey profile does not describe the colours that it has instead.
    if photograph.metadata.icc_profile and not (form == "WEBP" and pixels.ndim == 2):
        options["icc_profile"] = photograph.metadata.icc_profile
    if kind is not None:
        options["pnginfo"] = own_files.as_side_product(kind)
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    with atomic_file(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def _header_notes(path: str | os.PathLike) -> list[str]:
    """Returns what the header tells of content that Pillow, and so the result, does not keep."""
    notes = []
    with Image.open(path, formats=images.FORMS) as image:
        if image.mode in ("CMYK", "LAB"):
            notes.append(f"{path} is a {image.mode} file; the result is RGB.")
        form, tags = image.format, getattr(image, "tag_v2", {})
        grey = image.mode.startswith("I")
        # A phone's MPO file has a second frame too, but it is the same photograph.
        if getattr(image, "n_frames", 1) > 1 and form != "MPO":
            notes.append(f"{path} has several frames or pages; only the first is used.")
    with open(path, "rb") as file:
        start = file.read(26)
    # PNG's IHDR chunk comes first: bit depth at byte 24, colour type at 25 (0 is plain grey).
    deep_png = form == "PNG" and len(start) == 26 and start[24] == 16 and start[25] != 0
    deep_tiff = form == "TIFF" and not grey and 16 in tuple(tags.get(258, ()))
    if deep_png or deep_tiff:
        notes.append(
            f"{path} has 16 bits per channel; its colours are read, and the result written, with 8."
        )
    return notes
