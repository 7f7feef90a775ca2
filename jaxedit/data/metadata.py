"""What a photograph carries beside its pixels: EXIF and colour profile, as far as an edit keeps it.

The pixels count. What would show them as they were before an edit (previews, layers, data of a
maker that may hold either) is left out, and so is what is damaged or does not fit into the form of
the result; `Metadata.notes` says what was.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from PIL import ExifTags, Image

JPEG_BYTES = 65_533 - 6  # of an EXIF block in a JPEG file's one segment
_ORIENTATION = 0x0112
# Groups of tags, each a directory of its own; the preview's (IFD1) is not among them.
_GROUPS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_OFFSETS = {int(group) for group in ExifTags.IFD}
# TIFF tags that describe how the pixels lie in the file that was read, not the photograph.
_LAYOUT = frozenset(
    (254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325,
     338, 339, 347, 512, 515, 518, 519, 520, 521, 530, 532, 34675)
)  # fmt: skip
# Previews and other pictures: reduced images, Photoshop's resources and layers, DNG's own data.
_PICTURES = frozenset((330, 513, 514, 34377, 37724, 50740))
# Binary data of this many bytes may be a preview, whatever it is called (a maker's note is).
_LARGE = 4096
# Profiles of colours that the result is not in.
_OTHER_SPACES = (b"CMYK", b"Lab ", b"XYZ ", b"YCbr", b"HSV ", b"CMY ")

Entry = tuple[int | None, int, Any]


@dataclasses.dataclass(frozen=True)
class Metadata:
    """What a photograph carries beside its pixels.

    Attributes:
      exif: the EXIF block, its orientation set to upright (`read_image` turns the pixels).
      icc_profile: the colour profile of the stored RGB or grey values.
      notes: what was left out, and why.
    """

    exif: bytes | None = None
    icc_profile: bytes | None = None
    notes: tuple[str, ...] = ()


def read(image: Image.Image) -> Metadata:
    """Returns what an image carries whose file is still open; damaged parts are left out."""
    profile = image.info.get("icc_profile") or None
    # Pixels of these are converted to RGB.
    if profile and (image.mode in ("CMYK", "LAB") or profile[16:20] in _OTHER_SPACES):
        profile = None
    try:
        entries = list(_entries(image.getexif()))
    except Exception:  # whatever a damaged block makes of its reader
        return Metadata(None, profile, ("its EXIF data is damaged and left out",))
    pictures = [entry for entry in entries if _holds_pixels(entry)]
    sound = [entry for entry in entries if entry not in pictures and _block([entry]) is not None]
    damaged = [entry for entry in entries if entry not in pictures and entry not in sound]
    notes = _left_out(pictures, "may show the photograph as it was")
    notes += _left_out(damaged, "is damaged")
    return Metadata(_block(sound) if sound else None, profile, notes)


def for_jpeg(kept: Metadata) -> Metadata:
    """Returns the metadata without what the one EXIF segment of a JPEG file cannot hold."""
    if kept.exif is None or len(kept.exif) <= JPEG_BYTES:
        return kept
    exif = Image.Exif()
    exif.load(kept.exif)
    entries = sorted(_entries(exif), key=lambda entry: len(_block([entry]) or b""))
    dropped = []
    while entries and len(_block(entries) or b"") > JPEG_BYTES:
        dropped.append(entries.pop())
    notes = _left_out(dropped, "is too large for a JPEG file")
    return Metadata(_block(entries) if entries else None, kept.icc_profile, kept.notes + notes)


def _entries(exif: Image.Exif) -> Iterable[Entry]:
    """Yields (the group or None, tag, value) of what describes the photograph, upright."""
    for tag, value in exif.items():
        if tag not in _LAYOUT and tag not in _OFFSETS:
            yield None, tag, 1 if tag == _ORIENTATION else value
    for group in _GROUPS:
        for tag, value in exif.get_ifd(group).items():
            # A number where a directory should be is its place in the file that was read.
            if tag not in _OFFSETS or tag == ExifTags.IFD.MakerNote:
                yield int(group), tag, value


def _holds_pixels(entry: Entry) -> bool:
    _, tag, value = entry
    if tag in _PICTURES:
        return True
    if isinstance(value, tuple) and value and isinstance(value[0], int):
        return len(value) > _LARGE  # bytes that a file calls numbers
    if not isinstance(value, bytes):
        return False
    if b"GImg:image" in value:  # a preview in XMP
        return True
    text = all(byte >= 32 or byte in (0, 9, 10, 13) for byte in value)
    return b"\xff\xd8\xff" in value or len(value) > _LARGE and not text


def _block(entries: list[Entry]) -> bytes | None:
    """Returns an EXIF block that holds the entries, or None where they cannot be written."""
    exif = Image.Exif()
    groups: dict[int, dict[int, Any]] = {}
    for group, tag, value in entries:
        if group is None:
            exif[tag] = value
        else:
            groups.setdefault(group, {})[tag] = value
    for group, values in groups.items():
        exif[group] = values
    try:
        return exif.tobytes()
    except Exception:  # a value of another type than its tag, and what else damage can be
        return None


def _left_out(entries: list[Entry], why: str) -> tuple[str, ...]:
    known = {ExifTags.IFD.GPSInfo: ExifTags.GPSTAGS}
    names = [
        known.get(group, ExifTags.TAGS).get(tag, f"tag {tag}") for group, tag, _ in entries
    ]
    shown = ", ".join(map(str, names[:5])) + (", .." if len(names) > 5 else "")
    return (f"of its metadata, what {why} is left out: {shown}",) if names else ()
