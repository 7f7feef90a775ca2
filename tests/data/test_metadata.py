"""What a photograph carries along: kept, unless it shows unedited pixels, is damaged or large."""

import io

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from jaxedit.data import images, metadata

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 10, 3), np.uint8)
MAKE, ORIENTATION, EXIF, GPS = 0x010F, 0x0112, 0x8769, 0x8825


def kept(path):
    """Returns (EXIF of what is kept, the whole)."""
    found = images.read_metadata(path)
    exif = Image.Exif()
    if found.exif is not None:
        exif.load(found.exif)
    return exif, found


@pytest.mark.parametrize("suffix", ["tif", "jpg", "png", "webp"])
def test_groups_of_cameras_are_kept_in_every_form(tmp_path, suffix):
    exif = Image.Exif()
    exif[MAKE], exif[ORIENTATION] = "Brownie", 6
    exif[EXIF] = {33434: (1, 60), 37386: 50.0}
    exif[GPS] = {1: "N", 2: (47.0, 30.0, 0.0)}
    read = Image.Exif()  # TIFF's writer takes no other
    read.load(exif.tobytes())
    Image.fromarray(PIXELS).save(tmp_path / f"a.{suffix}", exif=read)
    found, whole = kept(tmp_path / f"a.{suffix}")
    assert found[MAKE] == "Brownie" and found[ORIENTATION] == 1 and whole.notes == ()
    assert float(found.get_ifd(EXIF)[37386]) == 50 and found.get_ifd(GPS)[1] == "N"
    assert images.read_image(tmp_path / f"a.{suffix}").shape == (10, 12, 3)  # turned


def test_what_shows_the_unedited_picture_is_left_out(tmp_path):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[MAKE] = "Brownie"
    tags[34377], tags.tagtype[34377] = b"8BIM thumbnail", TiffImagePlugin.TiffTags.BYTE
    tags[37724], tags.tagtype[37724] = b"layers", TiffImagePlugin.TiffTags.UNDEFINED
    tags[700], tags.tagtype[700] = b"<xmpGImg:image>/9j/4AAQ", TiffImagePlugin.TiffTags.BYTE
    Image.fromarray(PIXELS).save(tmp_path / "a.tif", tiffinfo=tags)
    found, whole = kept(tmp_path / "a.tif")
    assert dict(found) == {MAKE: "Brownie"} and "ImageResources" in whole.notes[0]
    exif = Image.Exif()
    exif[EXIF] = {
        37500: bytes(range(256)) * 20,  # a maker's note, large enough for a preview
        37510: b"ASCII\0\0\0" + b"words " * 2000, 37121: b"..\xff\xd8\xff..",
    }
    Image.fromarray(PIXELS).save(tmp_path / "b.jpg", exif=exif)
    found, whole = kept(tmp_path / "b.jpg")
    assert list(found.get_ifd(EXIF)) == [37510] and "MakerNote" in whole.notes[0]


def test_damage_costs_what_is_damaged_and_no_pixel(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=b"not a TIFF header")
    assert images.read_metadata(tmp_path / "a.png").notes == (
        "its EXIF data is damaged and left out",
    )
    np.testing.assert_array_equal(images.read_image(tmp_path / "a.png"), PIXELS)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[MAKE] = "Brownie"
    tags[282], tags.tagtype[282] = "wide", TiffImagePlugin.TiffTags.ASCII  # a resolution
    block = io.BytesIO()
    tags.save(block)
    Image.fromarray(PIXELS).save(tmp_path / "b.jpg", exif=b"Exif\0\0" + block.getvalue())
    found, whole = kept(tmp_path / "b.jpg")
    assert dict(found) == {MAKE: "Brownie"} and "damaged is left out: XRes" in whole.notes[0]


def test_profiles_of_other_colours_and_what_a_jpeg_cannot_hold(tmp_path):
    profile = b"\0" * 16 + b"Lab " + b"\0" * 108
    Image.fromarray(PIXELS).save(tmp_path / "a.png", icc_profile=profile)
    assert images.read_metadata(tmp_path / "a.png").icc_profile is None
    exif = Image.Exif()
    exif[MAKE], exif[EXIF] = "Brownie", {37510: b"words " * 12_000}
    Image.fromarray(PIXELS).save(tmp_path / "b.png", exif=exif)
    _, whole = kept(tmp_path / "b.png")
    assert len(whole.exif) > metadata.JPEG_BYTES
    less = metadata.for_jpeg(whole)
    assert b"Brownie" in less.exif and "too large" in less.notes[-1]
    assert metadata.for_jpeg(less) == less
    Image.fromarray(PIXELS).save(tmp_path / "b.jpg", exif=less.exif)
