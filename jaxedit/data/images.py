"""Reading and writing image files: any common form in, uint8 RGB out.

Right for: EXIF orientation, CMYK (through the embedded profile where there is one), 16 bits per
channel, float, alpha, palette, greyscale and 1-bit files. RGB values are otherwise left as they
are stored: a colour profile is not applied but handed on by `read_metadata`, so that the pixels
of a photograph that is read and written again do not change.

A file may be given as a path or as its bytes (a record of an archive); `name` is then what
messages call it. All failures are `UserError`s that name the file.
"""

from __future__ import annotations

import io
import os
import pathlib

import numpy as np
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, TiffImagePlugin

from jaxedit.data import metadata as metadata_of
from jaxedit.data.metadata import Metadata
from jaxedit.errors import UserError
from jaxedit.host import levels
from jaxedit.host.atomic import atomic_file

# Pillow refuses files of more than twice this figure by itself, whatever the limit here.
MAX_PIXELS = 89_478_485
# What a folder is searched for; a file given by name may have any suffix.
SUFFIXES = (
    ".avif", ".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".jp2", ".png", ".ppm", ".pgm", ".pbm",
    ".tga", ".tif", ".tiff", ".webp",
)  # fmt: skip
# What a file may be, told by its content: the forms that people keep pictures in.
FORMS = (
    "PNG", "JPEG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "PPM", "AVIF", "JPEG2000", "TGA",
)  # fmt: skip
# Deep greyscale TIFF files that Pillow does not know: both byte orders, white as the largest number
# or as 0, which `open_image` turns round.
for _order, _white, _mode, _raw in (
    (b"MM", 0, "I;16B", "I;16B"), (b"II", 0, "I", "I;32N"), (b"MM", 0, "I", "I;32BS"),
    (b"MM", 1, "I", "I;32BS"),
):  # fmt: skip
    _bits = 16 if _mode == "I;16B" else 32
    TiffImagePlugin.OPEN_INFO.setdefault((_order, _white, (1,), 1, (_bits,), ()), (_mode, _raw))
# Long texts are no reason to refuse a photograph; what they may take of the memory is bounded.
PngImagePlugin.MAX_TEXT_CHUNK = 2**25
PngImagePlugin.MAX_TEXT_MEMORY = 2**27
_PHOTOMETRIC, _SAMPLE_FORMAT = 262, 339  # tags of TIFF
_NEGATIVE, _UNSIGNED = "white is 0", "numbers are unsigned"  # notes in a Pillow image's `info`
# Distance from black or white, in 8-bit levels, that still counts as black or white, and the
# share of pixels that may lie further away: lossy compression and resampling blur edges.
_MASK_LEVELS = 48
_MASK_GREY_SHARE = 0.05

File = str | os.PathLike | bytes


def read_image(file: File, *, name: str | None = None, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Returns the image as uint8 (H, W, 3) RGB, upright; transparency lies over white.

    Args:
      file: path, or the bytes of an image file.
      name: what to call the image in messages; by default the path.
      max_pixels: a larger image is refused before it is decoded.

    Raises:
      UserError: missing, unreadable, truncated, or larger than `max_pixels`.
    """
    rgb, alpha = read_image_and_alpha(file, name=name, max_pixels=max_pixels)
    return rgb if alpha.min() == 255 else over_white(rgb, alpha)


def over_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Returns colours uint8 (H, W, 3) of opacity uint8 (H, W) over white, uint8."""
    weight = alpha[..., None].astype(np.uint32)
    return ((rgb * weight + 255 * (255 - weight) + 127) // 255).astype(np.uint8)


def read_image_and_alpha(
    file: File, *, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> tuple[np.ndarray, np.ndarray]:
    """Returns colours uint8 (H, W, 3) and opacity uint8 (H, W), 255 = opaque.

    Colours are as stored, not multiplied by the opacity. Errors as in `read_image`.
    """
    name = _name(file, name)
    return colours_and_opacity(open_image(file, name=name, max_pixels=max_pixels), name)


def colours_and_opacity(image: Image.Image, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns what `read_image_and_alpha` does, of an image from `open_image`."""
    return _convert(lambda: (_rgb(image), _alpha(image)), name)


def read_mask(
    file: File,
    *,
    name: str | None = None,
    invert: bool = False,
    strict: bool = True,
    white: str = "hole",
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Returns a mask as bool (H, W), True = hole (white).

    A mask has two values: 0 and 255, or 0 and 1, or the ends of its bit depth. Edges that lossy
    compression or resampling has softened are cut at one half. Transparent pixels count as black.

    Args:
      file: path, or the bytes of an image file.
      name: what to call the mask in messages; by default the path.
      invert: True where black marks the hole.
      strict: False cuts any image at one half, whatever its values.
      white: what white marks, for messages.
      max_pixels: a larger image is refused before it is decoded.

    Raises:
      UserError: unreadable, or an image of grey values instead of a mask.
    """
    name = _name(file, name)
    image = open_image(file, name=name, max_pixels=max_pixels)
    grey = _convert(lambda: _mask_levels(image), name)
    if strict:
        between = (grey > _MASK_LEVELS) & (grey < 255 - _MASK_LEVELS)
        if between.mean() > _MASK_GREY_SHARE:
            raise UserError(
                f"{name} is a mask of grey values: {_describe_levels(grey)}, where a mask has "
                f"two, white (255 or 1) = {white} and black (0) = the rest. Save it as a "
                "black-and-white image, and check that it is the mask and not the photograph."
            )
    mask = grey >= 128
    return ~mask if invert else mask


def read_metadata(file: File, *, name: str | None = None) -> Metadata:
    """Returns EXIF and colour profile, for `write_image`; see `metadata.py`.

    Errors as in `read_image`, but what is damaged beside the pixels is none.
    """
    name = _name(file, name)
    with _open(file, name) as image:
        return metadata_of.read(image)


def write_image(
    path: str | os.PathLike,
    image: np.ndarray,
    *,
    metadata: Metadata | None = None,
    quality: int = 95,
) -> None:
    """Writes uint8 (H, W, 3) RGB, (H, W, 4) RGBA, (H, W) grey, or bool (H, W) by the suffix.

    The file appears whole or not at all. `metadata` is kept where the format can hold it;
    `quality` is for the lossy formats.

    Raises:
      UserError: the suffix names no format that can hold the image, or it cannot be written.
    """
    path = pathlib.Path(path)
    form = Image.registered_extensions().get(path.suffix.lower())
    if form is None:
        raise UserError(
            f"Cannot write {path}: {path.suffix or 'no suffix'} names no image format. "
            "End the name in .png or .jpg."
        )
    if image.dtype == bool:
        image = image.astype(np.uint8) * 255
    if image.dtype != np.uint8:
        raise ValueError(f"write_image takes uint8 or bool, not {image.dtype} ({path})")
    if form == "JPEG" and image.ndim == 3 and image.shape[2] == 4:
        raise UserError(f"Cannot write {path}: JPEG holds no transparency. End the name in .png.")
    options: dict = {"quality": quality} if form in ("JPEG", "WEBP", "AVIF") else {}
    if form == "JPEG":
        options["subsampling"] = 0
    if metadata is not None and metadata.exif:
        options["exif"] = metadata.exif
    if metadata is not None and metadata.icc_profile and image.ndim == 3:
        options["icc_profile"] = metadata.icc_profile
    with atomic_file(path) as temporary, open(temporary, "xb") as file:
        try:
            Image.fromarray(np.ascontiguousarray(image)).save(file, form, **options)
        except (KeyError, ValueError) as error:
            raise UserError(f"Cannot write {path} as {form}: {error}.") from error


def check_header(
    file: File, *, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> tuple[int, int]:
    """Returns the (height, width) that the header states, before any turning by EXIF.

    Raises:
      UserError: the header already tells that `read_image` would fail.
    """
    name = _name(file, name)
    with _open(file, name) as image:
        _check_size(image, name, max_pixels)
        return image.height, image.width


def open_image(file: File, *, name: str | None = None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Returns the decoded Pillow image, upright, in its own mode. Errors as in `read_image`."""
    name = _name(file, name)
    with _open(file, name) as image:
        _check_size(image, name, max_pixels)
        return _convert(lambda: _upright(image), name)


def _name(file: File, name: str | None) -> str:
    if name is not None:
        return name
    return "an image in memory" if isinstance(file, bytes) else os.fspath(file)


def _open(file: File, name: str) -> Image.Image:
    """Reads the header only."""
    if not isinstance(file, bytes):
        path = pathlib.Path(file)
        if not path.exists():
            raise UserError(f"{name} does not exist. Check the path.")
        if not path.is_file():
            raise UserError(f"{name} is not a file. Name one image file.")
        if path.stat().st_size == 0:
            raise UserError(f"{name} is empty (0 bytes). Copy or download it again.")
    try:
        return Image.open(io.BytesIO(file) if isinstance(file, bytes) else file, formats=FORMS)
    except Image.DecompressionBombError as error:
        raise UserError(
            f"{name} is refused as a decompression bomb: {error}. If you trust the file, scale it "
            "down with an image editor."
        ) from error
    except PermissionError as error:
        raise UserError(f"{name} may not be read: permission denied.") from error
    except Exception as error:  # a damaged file can make any decoder raise anything
        raise UserError(
            f"{name} cannot be read as an image: it is damaged or of an unknown form. "
            "Convert it to PNG or JPEG."
        ) from error


def _check_size(image: Image.Image, name: str, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise UserError(
            f"{name} has {width} x {height} = {width * height} pixels, more than the {max_pixels} "
            "allowed, and could exhaust the memory (a decompression bomb). Scale it down, or "
            "raise max_pixels if you trust the file."
        )


def _convert(function, name: str):
    """Runs `function`, which decodes pixels; a failure becomes a UserError about the file."""
    try:
        return function()
    except Exception as error:  # a damaged file can make any decoder raise anything
        raise UserError(
            f"{name} cannot be decoded: {error}. The file is truncated or damaged; copy or "
            "download it again."
        ) from error


def _upright(image: Image.Image) -> Image.Image:
    tags = getattr(image, "tag_v2", {})
    # Of 8 bits and less, Pillow turns white as 0 round by itself.
    negative = image.mode[0] in "IF" and tags.get(_PHOTOMETRIC) == 0
    unsigned = bool(tags) and tags.get(_SAMPLE_FORMAT, (1,)) == (1,)
    image.load()
    try:
        upright = ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF: the pixels count
        upright = image
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        upright = ImageCms.profileToProfile(upright, lab, srgb, outputMode="RGB")
    elif negative and image.mode.startswith("I;16"):
        upright = Image.fromarray(np.uint16(65535) - np.asarray(upright).astype(np.uint16))
    elif image.mode in ("I", "F"):
        upright.info |= {_NEGATIVE: negative, _UNSIGNED: unsigned}
    upright.format = image.format
    return upright


def _rgb(image: Image.Image) -> np.ndarray:
    """Returns uint8 (H, W, 3), without regard to transparency."""
    if image.mode == "CMYK":
        return np.asarray(_cmyk_to_rgb(image))
    if image.mode.startswith("I") or image.mode == "F":
        return np.repeat(_eight_bits(image)[..., None], 3, axis=2)
    if image.mode in ("La", "RGBa"):
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    if image.mode in ("RGBA", "LA", "PA") or image.has_transparency_data:
        # Straight to RGB, Pillow would drop the transparency; by way of RGBA, the colours of
        # a palette with an alpha table stay right.
        return np.asarray(image.convert("RGBA"))[..., :3].copy()
    return np.asarray(image.convert("RGB"))


def _alpha(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I") and isinstance(image.info.get("transparency"), int):
        seen = np.asarray(image) != image.info["transparency"]  # 16-bit grey: one level is clear
        return seen.astype(np.uint8) * np.uint8(255)
    if image.has_transparency_data and not image.mode.startswith("I"):
        return np.asarray(image.convert("RGBA"))[..., 3].copy()
    return np.full((image.height, image.width), 255, np.uint8)


def _cmyk_to_rgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(
                image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            if converted is not None:
                return converted
        except ImageCms.PyCMSError:
            pass  # a broken profile: the plain conversion below is the best that is left
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> np.ndarray:
    """Returns a deep greyscale image (16 or 32 bits, float) as uint8 (H, W)."""
    values = np.asarray(image)
    unsigned = image.mode == "I" and image.info.get(_UNSIGNED, False)
    values = (values.view(np.uint32) if unsigned else values).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it holds NaN or infinite values")
    # Older Pillow opens 16-bit greyscale PNG files in mode I.
    if image.mode.startswith("I;16") or image.format == "PNG":
        white = 65535.0
    else:
        largest = 65535.0 if image.mode == "F" else 2.0**32 - 1 if unsigned else 2.0**31 - 1
        limits = [*([1.0] if image.mode == "F" else ()), 255.0, 65535.0, largest]
        white = next((limit for limit in limits if values.max() <= limit), largest)
    values = values / white
    return levels.of_opacity(1 - values if image.info.get(_NEGATIVE) else values)


def _mask_levels(image: Image.Image) -> np.ndarray:
    """Returns uint8 (H, W): the mask's values, stretched to 0..255 where they are 0 and 1."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image).astype(np.float64)
        if np.isin(values, (0, 1)).all():
            return levels.of_opacity(values)
        return _eight_bits(image)
    if image.has_transparency_data:
        rgb = _rgb(image).astype(np.float32)
        grey = np.where(_is_coloured(rgb), 127, rgb.mean(axis=2))
        grey = levels.rounded(grey * (_alpha(image) / 255.0))
    elif image.mode in ("1", "L"):
        grey = np.asarray(image.convert("L"))
    else:  # whole numbers: a mask of a large photograph is read several times as fast
        rgb = _rgb(image)
        total = rgb[..., 0].astype(np.uint16) + rgb[..., 1] + rgb[..., 2]
        mean = (total + 1) // 3  # rounded: a third never ends in a half
        grey = np.where(_is_coloured(rgb), 127, mean).astype(np.uint8)
    return grey * np.uint8(255) if grey.max() <= 1 else grey


def _is_coloured(rgb: np.ndarray) -> np.ndarray:
    """Returns where colours (H, W, 3) are neither black nor white nor grey, bool (H, W).

    One of middling brightness is neither black nor white, however bright its red is.
    """
    red, green, blue = (rgb[..., channel] for channel in range(3))
    most = np.maximum(np.maximum(red, green), blue)
    return most - np.minimum(np.minimum(red, green), blue) > 2 * _MASK_LEVELS


def _describe_levels(grey: np.ndarray) -> str:
    levels, counts = np.unique(grey, return_counts=True)
    if len(levels) <= 4:
        return "it holds the values " + ", ".join(str(level) for level in levels)
    common = ", ".join(str(level) for level in sorted(levels[np.argsort(-counts)[:4]]))
    return (
        f"it holds {len(levels)} values between {levels[0]} and {levels[-1]}, most often {common}"
    )
