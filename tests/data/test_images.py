"""Reading and writing of image files in every common form."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from jaxedit.data import images
from jaxedit.errors import UserError

HEIGHT, WIDTH = 12, 20


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture
def smooth():
    """An image that survives lossy compression."""
    rows, columns = np.indices((HEIGHT, WIDTH))
    return np.stack([rows * 12, columns * 8, 255 - rows * 6 - columns * 4], -1).astype(np.uint8)


def png16(values: np.ndarray) -> bytes:
    """Returns a PNG file of 16 bits per channel from uint16 (H, W, channels)."""
    height, width, channels = values.shape
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_plain_rgb_is_exact(tmp_path, pixels):
    for suffix in ("png", "bmp", "tif", "ppm"):
        path = tmp_path / f"a.{suffix}"
        Image.fromarray(pixels).save(path)
        read = images.read_image(path)
        assert read.dtype == np.uint8
        np.testing.assert_array_equal(read, pixels)


def test_greyscale_and_one_bit_become_three_equal_channels(tmp_path, pixels):
    grey = pixels[..., 0]
    Image.fromarray(grey).save(tmp_path / "l.png")
    np.testing.assert_array_equal(
        images.read_image(tmp_path / "l.png"), np.repeat(grey[..., None], 3, 2)
    )
    bits = grey > 100
    Image.fromarray(bits).save(tmp_path / "1.png")
    assert Image.open(tmp_path / "1.png").mode == "1"
    np.testing.assert_array_equal(images.read_image(tmp_path / "1.png")[..., 2], bits * 255)


def test_palette(tmp_path, pixels):
    indices = (pixels[..., 0] % 3).astype(np.uint8)
    palette = np.array([[10, 200, 30], [0, 0, 255], [90, 80, 70]], np.uint8)
    image = Image.fromarray(indices).convert("P")
    image.putpalette(palette.tobytes())
    image.save(tmp_path / "p.png")
    assert Image.open(tmp_path / "p.png").mode == "P"
    np.testing.assert_array_equal(images.read_image(tmp_path / "p.png"), palette[indices])
    image.save(tmp_path / "t.gif", transparency=1)
    rgb, alpha = images.read_image_and_alpha(tmp_path / "t.gif")
    np.testing.assert_array_equal(alpha, np.where(indices == 1, 0, 255))
    np.testing.assert_array_equal(rgb[indices != 1], palette[indices][indices != 1])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits(tmp_path, pixels, channels):
    wide = np.dstack([pixels, pixels[..., :1]])
    wide = np.repeat(wide[..., :1], channels, 2) if channels < 3 else wide[..., :channels]
    (tmp_path / "a.png").write_bytes(png16(wide.astype(np.uint16) * 257))
    rgb, alpha = images.read_image_and_alpha(tmp_path / "a.png")
    expected = wide[..., :3] if channels >= 3 else np.repeat(wide[..., :1], 3, 2)
    np.testing.assert_array_equal(rgb, expected)
    np.testing.assert_array_equal(alpha, wide[..., -1] if channels in (2, 4) else 255)


def test_sixteen_bit_grey_is_rounded_not_clipped(tmp_path):
    values = np.array([[0, 128, 129, 300, 32768, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    expected = np.round(values / 257).astype(np.uint8)
    np.testing.assert_array_equal(images.read_image(tmp_path / "a.png")[..., 0], expected)


def test_float_and_deep_tiff(tmp_path, pixels):
    tifffile.imwrite(tmp_path / "f.tif", (pixels[..., 0] / 255).astype(np.float32))
    np.testing.assert_array_equal(images.read_image(tmp_path / "f.tif")[..., 1], pixels[..., 0])
    tifffile.imwrite(tmp_path / "d.tif", pixels.astype(np.uint16) * 257, photometric="rgb")
    np.testing.assert_array_equal(images.read_image(tmp_path / "d.tif"), pixels)
    tifffile.imwrite(tmp_path / "n.tif", np.full((4, 4), np.nan, np.float32))
    with pytest.raises(UserError, match="n.tif.*NaN"):
        images.read_image(tmp_path / "n.tif")


def test_transparency_lies_over_white_or_is_returned(tmp_path, pixels):
    alpha = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
    alpha[0, :3] = (0, 128, 255)
    Image.fromarray(np.dstack([pixels, alpha])).save(tmp_path / "a.png")
    rgb, read = images.read_image_and_alpha(tmp_path / "a.png")
    np.testing.assert_array_equal(read, alpha)
    np.testing.assert_array_equal(rgb, pixels)
    weight = alpha[..., None] / 255.0
    over_white = pixels * weight + 255 * (1 - weight)
    np.testing.assert_allclose(images.read_image(tmp_path / "a.png"), over_white, atol=0.51)
    assert (images.read_image(tmp_path / "a.png")[0, 0] == 255).all()


def test_transparent_colour_of_rgb_and_grey(tmp_path, pixels):
    colour = tuple(int(value) for value in pixels[3, 4])
    Image.fromarray(pixels).save(tmp_path / "a.png", transparency=colour)
    assert (images.read_image(tmp_path / "a.png")[3, 4] == 255).all()
    _, alpha = images.read_image_and_alpha(tmp_path / "a.png")
    assert alpha[3, 4] == 0 and alpha.mean() > 250


def test_cmyk(tmp_path, smooth):
    for suffix, tolerance in (("tif", 0), ("jpg", 12)):
        path = tmp_path / f"a.{suffix}"
        cmyk = Image.fromarray(smooth).convert("CMYK")
        cmyk.save(path, **({"quality": 98} if suffix == "jpg" else {}))
        assert Image.open(path).mode == "CMYK"
        difference = np.abs(images.read_image(path).astype(int) - smooth)
        # Plain black ink makes the round trip exact but for compression.
        assert difference.mean() <= tolerance, suffix


def test_cmyk_goes_through_a_broken_profile_unharmed(tmp_path, smooth):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(smooth).convert("CMYK").save(tmp_path / "a.tif", icc_profile=profile)
    # An RGB profile cannot describe CMYK values; the plain conversion has to serve.
    np.testing.assert_array_equal(images.read_image(tmp_path / "a.tif"), smooth)
    assert images.read_metadata(tmp_path / "a.tif").icc_profile is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, pixels, orientation):
    turns = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: a[::-1].transpose(1, 0, 2),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: a[:, ::-1].transpose(1, 0, 2),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "what it shows"
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    upright = images.read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(upright, turns[orientation](pixels))
    # Written again with its metadata, the photograph is upright and stays described.
    metadata = images.read_metadata(tmp_path / "a.png")
    images.write_image(tmp_path / "b.png", upright, metadata=metadata)
    np.testing.assert_array_equal(images.read_image(tmp_path / "b.png"), upright)
    assert Image.open(tmp_path / "b.png").getexif()[0x010E] == "what it shows"


def test_bytes_are_read_like_files_and_named(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    np.testing.assert_array_equal(images.read_image(buffer.getvalue(), name="shard 3"), pixels)
    with pytest.raises(UserError, match="shard 3"):
        images.read_image(buffer.getvalue()[:60], name="shard 3")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_truncated_files_are_named(tmp_path, pixels, suffix):
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(pixels.repeat(8, 0).repeat(8, 1)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(UserError, match=f"cut.{suffix}"):
        images.read_image(path)


def test_missing_empty_foreign_and_folder_are_told_apart(tmp_path):
    with pytest.raises(UserError, match="absent.png does not exist"):
        images.read_image(tmp_path / "absent.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(UserError, match="empty.png is empty"):
        images.read_image(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(UserError, match="text.png cannot be read as an image"):
        images.read_image(tmp_path / "text.png")
    with pytest.raises(UserError, match="is not a file"):
        images.read_image(tmp_path)


def test_decompression_bomb_is_refused_from_the_header(tmp_path, pixels):
    bomb = bytearray(png16(pixels[..., :1].astype(np.uint16)))
    bomb[16:24] = struct.pack(">II", 30000, 30000)
    bomb[29:33] = struct.pack(">I", zlib.crc32(bytes(bomb[12:29])))
    (tmp_path / "bomb.png").write_bytes(bytes(bomb))
    with pytest.raises(UserError, match="bomb.png.*decompression bomb"):
        images.read_image(tmp_path / "bomb.png")
    Image.fromarray(pixels).save(tmp_path / "big.png")
    with pytest.raises(UserError, match=f"{WIDTH} x {HEIGHT}.*max_pixels"):
        images.read_image(tmp_path / "big.png", max_pixels=WIDTH * HEIGHT - 1)
    assert images.read_image(tmp_path / "big.png", max_pixels=WIDTH * HEIGHT).shape[2] == 3


class TestMasks:
    @pytest.fixture
    def mask(self):
        mask = np.zeros((32, 48), bool)
        mask[4:20, 10:40] = True
        return mask

    def test_every_coding_of_two_values(self, tmp_path, mask):
        codings = {
            "bits.png": Image.fromarray(mask),
            "bytes.png": Image.fromarray(mask.astype(np.uint8) * 255),
            "ones.png": Image.fromarray(mask.astype(np.uint8)),
            "rgb.png": Image.fromarray(np.repeat(mask[..., None] * np.uint8(255), 3, 2)),
            "deep.png": Image.fromarray(mask.astype(np.uint16) * 65535),
            "deep_ones.png": Image.fromarray(mask.astype(np.uint16)),
            "lossy.jpg": Image.fromarray(mask.astype(np.uint8) * 255),
        }
        for name, image in codings.items():
            image.save(tmp_path / name)
            read = images.read_mask(tmp_path / name)
            assert read.dtype == bool
            np.testing.assert_array_equal(read, mask, err_msg=name)
            np.testing.assert_array_equal(images.read_mask(tmp_path / name, invert=True), ~mask)

    def test_painted_on_a_transparent_layer(self, tmp_path, mask):
        painted = np.where(mask[..., None], 255, 0).astype(np.uint8).repeat(4, 2)
        painted[..., :3] = 255
        Image.fromarray(painted).save(tmp_path / "a.png")
        np.testing.assert_array_equal(images.read_mask(tmp_path / "a.png"), mask)

    def test_softened_edges_are_cut_at_one_half(self, tmp_path, mask):
        large = mask.repeat(4, 0).repeat(4, 1)
        soft = Image.fromarray(large.astype(np.uint8) * 255).resize((95, 63), Image.BILINEAR)
        soft.save(tmp_path / "a.png")
        read = images.read_mask(tmp_path / "a.png")
        np.testing.assert_array_equal(read, np.asarray(soft) >= 128)

    def test_grey_values_are_refused_by_name_and_value(self, tmp_path, mask):
        grey = np.where(mask, 128, 0).astype(np.uint8)
        Image.fromarray(grey).save(tmp_path / "grey.png")
        with pytest.raises(UserError, match="grey.png is a mask of grey values: .* 0, 128"):
            images.read_mask(tmp_path / "grey.png")
        np.testing.assert_array_equal(images.read_mask(tmp_path / "grey.png", strict=False), mask)

    def test_a_photograph_is_refused(self, tmp_path, smooth):
        Image.fromarray(smooth).save(tmp_path / "photo.png")
        with pytest.raises(UserError, match="photo.png is a mask of grey values"):
            images.read_mask(tmp_path / "photo.png")

    def test_a_colour_is_neither_black_nor_white(self, tmp_path, mask):
        red = np.zeros((32, 48, 3), np.uint8)
        red[mask] = (255, 0, 0)
        Image.fromarray(red).save(tmp_path / "red.png")
        with pytest.raises(UserError, match="red.png"):
            images.read_mask(tmp_path / "red.png")


class TestWriting:
    def test_round_trip(self, tmp_path, pixels, smooth):
        images.write_image(tmp_path / "a.png", pixels)
        np.testing.assert_array_equal(images.read_image(tmp_path / "a.png"), pixels)
        images.write_image(tmp_path / "a.jpg", smooth)
        difference = images.read_image(tmp_path / "a.jpg").astype(int) - smooth
        assert np.abs(difference).mean() < 2
        images.write_image(tmp_path / "m.png", pixels[..., 0] > 99)
        np.testing.assert_array_equal(images.read_mask(tmp_path / "m.png"), pixels[..., 0] > 99)

    def test_metadata_is_kept_in_jpeg(self, tmp_path, smooth):
        exif = Image.Exif()
        exif[0x010F] = "a camera"
        exif[0x0112] = 6
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        Image.fromarray(smooth).save(tmp_path / "a.jpg", exif=exif, icc_profile=profile)
        metadata = images.read_metadata(tmp_path / "a.jpg")
        images.write_image(
            tmp_path / "b.jpg", images.read_image(tmp_path / "a.jpg"), metadata=metadata
        )
        with Image.open(tmp_path / "b.jpg") as written:
            assert written.getexif()[0x010F] == "a camera"
            assert written.getexif()[0x0112] == 1
            assert written.info["icc_profile"] == profile
            assert written.size == (HEIGHT, WIDTH)

    def test_layout_of_a_tiff_is_not_carried_over(self, tmp_path, smooth):
        Image.fromarray(smooth).save(tmp_path / "a.tif")
        metadata = images.read_metadata(tmp_path / "a.tif")
        images.write_image(tmp_path / "b.png", smooth, metadata=metadata)
        np.testing.assert_array_equal(images.read_image(tmp_path / "b.png"), smooth)
        assert 273 not in Image.open(tmp_path / "b.png").getexif()

    def test_failures_leave_nothing(self, tmp_path, pixels):
        images.write_image(tmp_path / "a.png", pixels)
        before = (tmp_path / "a.png").read_bytes()
        with pytest.raises(UserError, match="no image format"):
            images.write_image(tmp_path / "a.xyz", pixels)
        with pytest.raises(UserError, match="no transparency"):
            images.write_image(tmp_path / "a.jpg", np.dstack([pixels, pixels[..., :1]]))
        with pytest.raises(UserError, match="folder exists"):
            images.write_image(tmp_path / "absent" / "a.png", pixels)
        with pytest.raises(ValueError, match="float64"):
            images.write_image(tmp_path / "a.png", pixels / 255)
        assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
        assert (tmp_path / "a.png").read_bytes() == before

    def test_full_disk(self, tmp_path, pixels, monkeypatch):
        def full(*_arguments, **_options):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Image.Image, "save", full)
        with pytest.raises(UserError, match="No space left"):
            images.write_image(tmp_path / "a.png", pixels)
        assert not list(tmp_path.iterdir())


def _tiff(path, values, order, photometric, bits, sample_format):
    """Writes an uncompressed grey TIFF of any byte order and meaning of 0."""
    mark = "<" if order == b"II" else ">"
    data = values.astype(values.dtype.newbyteorder(mark)).tobytes()
    height, width = values.shape
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1,
            278: height, 279: len(data), 339: sample_format}
    entries = b"".join(struct.pack(f"{mark}HHII", t, 4, 1, v) for t, v in sorted(tags.items()))
    ifd = struct.pack(f"{mark}H", len(tags)) + entries + bytes(4)
    path.write_bytes(order + struct.pack(f"{mark}HI", 42, 8 + len(data)) + data + ifd)


@pytest.mark.parametrize("order", [b"II", b"MM"])
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "f4"])
def test_white_as_0_and_as_the_largest_number_in_both_byte_orders(
    tmp_path, order, photometric, kind
):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    white = 1.0 if kind == "f4" else np.iinfo(kind).max
    values = (grey / 255 if photometric else 1 - grey / 255) * np.float64(white)
    stored = values.astype(kind) if kind == "f4" else np.rint(values).astype(kind)
    sample_format = 3 if kind == "f4" else 1
    _tiff(tmp_path / "a.tif", stored, order, photometric, 8 * int(kind[1]), sample_format)
    np.testing.assert_array_equal(images.read_image(tmp_path / "a.tif")[..., 0], grey)
    if kind == "u2":
        assert np.asarray(images.open_image(tmp_path / "a.tif"))[0, 1] == 257


def test_lab_becomes_rgb(tmp_path):
    lab, srgb = (ImageCms.createProfile(name) for name in ("LAB", "sRGB"))
    patches = np.uint8([[[200, 60, 60], [60, 180, 80], [80, 90, 180], [128, 128, 128]]])
    turn = ImageCms.buildTransform(srgb, lab, "RGB", "LAB")
    ImageCms.applyTransform(Image.fromarray(patches), turn).save(tmp_path / "a.tif")
    assert Image.open(tmp_path / "a.tif").mode == "LAB"
    found = images.read_image(tmp_path / "a.tif").astype(int)
    assert np.abs(found - patches).max() <= 6


def test_forms_that_hold_no_photographs_are_not_opened(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.ico")
    (tmp_path / "b.png").write_bytes(b"8BPS" + bytes(40))
    for name in ("a.ico", "b.png"):
        with pytest.raises(UserError, match="unknown form"):
            images.read_image(tmp_path / name)


def test_a_mask_of_any_mode_has_the_same_levels():
    """Whole numbers and the short way of grey masks say what the mean of the colours does."""
    rng = np.random.default_rng(0)
    for high in (2, 256):
        pixels = Image.fromarray(rng.integers(0, high, (40, 50, 3), np.uint8))
        for mode in ("1", "L", "P", "RGB", "CMYK"):
            image = pixels.convert(mode)
            rgb = np.asarray(image.convert("RGB")).astype(np.float64)
            expected = np.where(np.ptp(rgb, axis=2) > 96, 127, np.round(rgb.mean(axis=2)))
            expected *= 255 if expected.max() <= 1 else 1
            np.testing.assert_array_equal(images._mask_levels(image), expected)
