"""A user's photograph: what must survive an edit survives it."""

import functools
import io

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from jaxedit.apply import photograph
from jaxedit.errors import UserError

ORIENTATION, MAKER, EXPOSURE = 0x0112, 0x010F, 0x829A


def picture(height=12, width=17, channels=3, seed=0):
    shape = (height, width, channels) if channels else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def exif_bytes(orientation=1):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[MAKER] = "Brownie"
    exif.get_ifd(0x8769)[EXPOSURE] = 0.125
    return exif.tobytes()


@functools.cache  # a profile has the second of its making in it
def profile_bytes():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def hole_of(photo):
    hole = np.zeros(photo.size, bool)
    hole[2:7, 3:9] = True
    return hole


def prediction_of(photo, level=0.5):
    return np.full((*photo.size, 3), level, np.float32)


@pytest.mark.parametrize("suffix", photograph.EXACT)
def test_known_pixels_exif_and_profile_survive(tmp_path, suffix):
    pixels = picture()
    image = Image.fromarray(pixels)
    image.save(tmp_path / "a.png", exif=exif_bytes(), icc_profile=profile_bytes())
    photo = photograph.read(tmp_path / "a.png")
    hole = hole_of(photo)
    photograph.write(tmp_path / f"b{suffix}", photo.filled(prediction_of(photo), hole))
    result = Image.open(tmp_path / f"b{suffix}")
    after = np.asarray(result)
    np.testing.assert_array_equal(after[~hole], pixels[~hole])
    assert (after[hole] == 191).all()  # (0.5 + 1) * 127.5 = 191.25
    assert result.info["icc_profile"] == profile_bytes()
    exif = result.getexif()
    assert exif[MAKER] == "Brownie" and float(exif.get_ifd(0x8769)[EXPOSURE]) == 0.125


def test_round_trip_of_the_networks_range_is_exact():
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    photo = photograph.Photograph(pixels)
    whole = np.ones(photo.size, bool)
    assert photo.for_network().min() == -1 and photo.for_network().max() == 1
    np.testing.assert_array_equal(photo.filled(photo.for_network(), whole).pixels, pixels)
    deep = photograph.Photograph(np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16))
    np.testing.assert_array_equal(deep.filled(deep.for_network(), whole).pixels, deep.pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_and_the_tag_reset(tmp_path, orientation):
    upright = picture(16, 24)
    # What a camera stores so that a viewer that obeys the tag shows `upright`.
    undo = {1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_270}[orientation]
    stored = Image.fromarray(upright)
    stored = stored.transpose(undo) if undo is not None else stored
    stored.save(tmp_path / "a.png", exif=exif_bytes(orientation))
    photo = photograph.read(tmp_path / "a.png")
    np.testing.assert_array_equal(photo.pixels, upright)
    photograph.write(tmp_path / "b.png", photo)
    result = Image.open(tmp_path / "b.png")
    assert result.getexif()[ORIENTATION] == 1
    np.testing.assert_array_equal(np.asarray(result), upright)


def test_greyscale_stays_greyscale_and_palette_becomes_colour(tmp_path):
    grey = picture(channels=0)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    photo = photograph.read(tmp_path / "grey.png")
    assert photo.pixels.ndim == 2 and photo.for_network().shape == (12, 17, 3)
    hole = hole_of(photo)
    red = np.broadcast_to(np.asarray([1, -1, -1], np.float32), (12, 17, 3))
    photograph.write(tmp_path / "b.png", photo.filled(red, hole))
    result = Image.open(tmp_path / "b.png")
    assert result.mode == "L"
    np.testing.assert_array_equal(np.asarray(result)[~hole], grey[~hole])
    assert (np.asarray(result)[hole] == 76).all()  # red's share of luma, 0.299 * 255

    palette = Image.fromarray(picture()).quantize(16)
    palette.save(tmp_path / "palette.png")
    photo = photograph.read(tmp_path / "palette.png")
    np.testing.assert_array_equal(photo.pixels, np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("suffix", photograph.EXACT)
def test_transparency_is_kept(tmp_path, suffix):
    for channels, mode in ((4, "RGBA"), (2, "LA")):
        pixels = picture(channels=channels)
        pixels[..., -1] = np.arange(17) * 15
        Image.fromarray(pixels, mode).save(tmp_path / "a.png")
        photo = photograph.read(tmp_path / "a.png")
        hole = hole_of(photo)
        photograph.write(tmp_path / f"b{suffix}", photo.filled(prediction_of(photo), hole))
        result = np.asarray(Image.open(tmp_path / f"b{suffix}"))
        if (suffix, mode) == (".webp", "LA"):  # this form has colours alone
            assert (result[..., :1] == result[..., :3]).all()
            result = result[..., 2:]
        np.testing.assert_array_equal(result[~hole], pixels[~hole])
        np.testing.assert_array_equal(result[..., -1], pixels[..., -1])
        with pytest.raises(UserError, match="transparency"):
            photograph.write(tmp_path / "b.jpg", photo)
        assert not (tmp_path / "b.jpg").exists()


def test_sixteen_bit_grey_keeps_its_bits(tmp_path):
    deep = np.random.default_rng(1).integers(0, 65536, (12, 17)).astype(np.uint16)
    for name, to in (("a.png", "b.png"), ("a.tif", "b.png"), ("a.png", "b.tif")):
        Image.fromarray(deep).save(tmp_path / name)
        photo = photograph.read(tmp_path / name)
        hole = hole_of(photo)
        photograph.write(tmp_path / to, photo.filled(prediction_of(photo), hole))
        result = np.asarray(Image.open(tmp_path / to)).astype(np.uint16)
        np.testing.assert_array_equal(result[~hole], deep[~hole])
        # (0.5 + 1) / 2 * 65535 = 49151.25
        np.testing.assert_allclose(result[hole], 49151, atol=1)
    for name in ("b.jpg", "b.webp"):
        with pytest.raises(UserError, match="8 bits"):
            photograph.write(tmp_path / name, photo)


def test_sixteen_bit_colour_is_said_to_lose_bits(tmp_path):
    import struct
    import zlib

    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))

    rows = b"".join(b"\0" + bytes(range(24)) for _ in range(3))
    header = struct.pack(">IIBBBBB", 4, 3, 16, 2, 0, 0, 0)
    (tmp_path / "deep.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    photo = photograph.read(tmp_path / "deep.png")
    assert photo.size == (3, 4) and "16 bits" in photo.notes[0]


def test_cmyk_and_frames_are_noted(tmp_path):
    Image.fromarray(picture(channels=4), "CMYK").save(tmp_path / "a.jpg")
    assert any("CMYK" in n for n in photograph.read(tmp_path / "a.jpg").notes)
    frames = [Image.fromarray(picture(seed=s)) for s in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert any("frames" in n for n in photograph.read(tmp_path / "a.gif").notes)
    frames[0].save(tmp_path / "b.png")
    assert photograph.read(tmp_path / "b.png").notes == ()


def test_no_preview_of_the_old_picture_stays_in_the_exif(tmp_path):
    """A camera's EXIF holds a small JPEG of the scene, which would show what was edited away."""
    preview = io.BytesIO()
    Image.fromarray(picture(8, 8)).save(preview, "JPEG")
    preview = preview.getvalue()
    first = (b"\x01\x00" + b"\x0f\x01\x02\x00\x08\x00\x00\x00\x26\x00\x00\x00"
             + b"\x2e\x00\x00\x00")
    second = (b"\x02\x00" + b"\x01\x02\x04\x00\x01\x00\x00\x00\x4c\x00\x00\x00"
              + b"\x02\x02\x04\x00\x01\x00\x00\x00" + len(preview).to_bytes(4, "little")
              + b"\x00\x00\x00\x00")
    tiff = b"II*\x00\x08\x00\x00\x00" + first
    tiff = tiff.ljust(0x26, b"\0") + b"Brownie\0" + second
    tiff = tiff.ljust(0x4C, b"\0") + preview
    Image.fromarray(picture()).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + tiff)
    assert preview in (tmp_path / "a.jpg").read_bytes()
    photo = photograph.read(tmp_path / "a.jpg")
    photograph.write(tmp_path / "b.png", photo)
    photograph.write(tmp_path / "b.jpg", photo)
    assert Image.open(tmp_path / "b.png").getexif()[MAKER] == "Brownie"
    for name in ("b.png", "b.jpg"):
        assert preview not in (tmp_path / name).read_bytes()


def test_bad_files_and_names(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        photograph.read(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(UserError, match="cannot be read"):
        photograph.read(tmp_path / "text.png")
    photo = photograph.Photograph(picture())
    with pytest.raises(UserError, match=r"\.png"):
        photograph.write(tmp_path / "a.bmp", photo)
    long = photograph.Photograph(np.zeros((1, 16_384), np.uint8))
    with pytest.raises(UserError, match="16383 pixels a side"):
        photograph.write(tmp_path / "a.webp", long)
    with pytest.raises(UserError, match="Cannot write"):
        photograph.write(tmp_path / "missing" / "a.png", photo)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["text.png"]


def test_long_texts_and_one_clear_level_of_deep_grey(tmp_path):
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "word " * 1_000_000, zip=True)
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    Image.fromarray(deep).save(tmp_path / "a.png", pnginfo=text, transparency=5000)
    found = photograph.read(tmp_path / "a.png")
    assert found.pixels.dtype == np.uint8 and "transparency" in found.notes[0]
    np.testing.assert_array_equal(found.alpha == 0, deep == 5000)
    np.testing.assert_array_equal(found.pixels, np.rint(deep / 257))


def test_a_large_png_is_packed_sooner_and_is_the_same_picture(tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 9, (90, 90, 3), np.uint8).repeat(2, 1)
    photo = photograph.Photograph(pixels)
    sizes = []
    for limit in (10**6, 10**3):
        monkeypatch.setattr(photograph, "_LARGE", limit)
        photograph.write(tmp_path / "out.png", photo)
        np.testing.assert_array_equal(Image.open(tmp_path / "out.png"), pixels)
        sizes.append((tmp_path / "out.png").stat().st_size)
    assert sizes[0] < sizes[1] < 1.5 * sizes[0]
