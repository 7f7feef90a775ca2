"""Colours of the subject, transparency, composites and covering backgrounds."""

import numpy as np
import pytest

from jaxedit.apply import cutout, photograph
from jaxedit.apply.photograph import Photograph
from jaxedit.data import alpha_matting
from jaxedit.data.images import Metadata
from jaxedit.errors import UserError
from tests import extras

RED, BLUE, GREEN = np.float32((220, 40, 30)), np.float32((20, 60, 210)), np.uint8((0, 200, 0))


@pytest.fixture
def mixture():
    """A red subject before blue with a soft edge; returns (photo, alpha)."""
    alpha = np.tile(np.clip((30 - np.arange(60)) / 16 + 0.5, 0, 1), (40, 1)).astype(np.float32)
    pixels = np.rint(alpha[..., None] * RED + (1 - alpha[..., None]) * BLUE)
    return Photograph(pixels.astype(np.uint8), None, Metadata(b"Exif\0\0", b"profile")), alpha


def test_own_colours_leave_no_fringe(mixture):
    extras.need_pymatting()
    photo, alpha = mixture
    colours = cutout.own_colours(photo, alpha)
    assert colours.dtype == np.uint8 and colours.shape == photo.pixels.shape
    np.testing.assert_array_equal(colours[alpha == 1], photo.pixels[alpha == 1])
    green = np.broadcast_to(GREEN, colours.shape)
    truth = alpha[..., None] * RED + (1 - alpha[..., None]) * GREEN
    clean = cutout.composite(photo, alpha, colours, green).pixels
    fringed = cutout.composite(photo, alpha, photo.pixels, green).pixels
    soft = (alpha > 0) & (alpha < 1)
    errors = [np.abs(result - truth)[soft].mean() for result in (clean, fringed)]
    assert errors[0] < 4 and errors[1] > 5 * errors[0]
    # Nothing of the old background is left where the subject is not.
    assert np.abs(colours[alpha == 0] - RED).max() < 40


def test_a_composite_is_exact_where_alpha_is(mixture):
    photo, alpha = mixture
    background = np.random.default_rng(0).integers(0, 256, photo.pixels.shape, np.uint8)
    colours = photo.pixels[:, ::-1]
    result = cutout.composite(photo, alpha, colours, background)
    np.testing.assert_array_equal(result.pixels[alpha == 1], colours[alpha == 1])
    np.testing.assert_array_equal(result.pixels[alpha == 0], background[alpha == 0])
    expected = np.rint(alpha[..., None] * colours.astype(float)
                       + (1 - alpha[..., None]) * background.astype(float))
    assert np.abs(result.pixels - expected).max() <= 1
    assert result.alpha is None and result.metadata == photo.metadata


def test_straight_and_premultiplied(mixture):
    photo, alpha = mixture
    straight = cutout.transparent(photo, alpha, photo.pixels)
    np.testing.assert_array_equal(straight.pixels, photo.pixels)
    np.testing.assert_array_equal(straight.alpha, np.rint(255 * alpha))
    multiplied = cutout.transparent(photo, alpha, photo.pixels, premultiplied=True)
    np.testing.assert_array_equal(multiplied.alpha, straight.alpha)
    share = straight.alpha[..., None].astype(np.float64) / 255
    assert np.abs(multiplied.pixels - photo.pixels * share).max() <= 0.5 + 1e-4
    assert (multiplied.pixels[alpha == 0] == 0).all()


def test_transparency_that_a_photo_has_is_kept(mixture):
    photo, alpha = mixture
    clear = np.full(alpha.shape, 255, np.uint8)
    clear[:10], clear[10:20] = 0, 102
    photo = Photograph(photo.pixels, clear)
    found = cutout.transparent(photo, alpha, photo.pixels).alpha
    assert (found[:10] == 0).all() and found[10, 0] == 102 and found[30, 0] == 255
    black = np.zeros_like(photo.pixels)
    assert (cutout.composite(photo, alpha, photo.pixels, black).pixels[:10] == 0).all()


def test_grey_photos_stay_grey_and_deep_ones_become_8_bits(mixture, tmp_path):
    _, alpha = mixture
    deep = np.linspace(0, 65535, alpha.size).reshape(alpha.shape).astype(np.uint16)
    photo = Photograph(deep, None, Metadata(None, b"grey profile"))
    colours = cutout.rgb(photo)
    assert colours.dtype == np.uint8 and colours[0, 0, 0] == 0 and colours[-1, -1, 2] == 255
    result = cutout.transparent(photo, alpha, colours)
    assert result.pixels.shape == alpha.shape and result.pixels.dtype == np.uint8
    photograph.write(tmp_path / "grey.png", result)
    again = photograph.read(tmp_path / "grey.png")
    np.testing.assert_array_equal(again.alpha, result.alpha)
    np.testing.assert_array_equal(again.pixels, result.pixels)
    over = cutout.composite(photo, alpha, colours, np.broadcast_to(GREEN, colours.shape))
    assert over.pixels.shape == colours.shape and over.metadata.icc_profile is None


@pytest.mark.parametrize("size", [(40, 60), (60, 40), (13, 90), (33, 44), (200, 7)])
def test_backgrounds_cover_whatever_their_shape(size):
    picture = np.zeros((33, 44, 3), np.uint8)
    picture[:, :22], picture[:, 22:] = 200, 50
    found = cutout.covering(Photograph(picture), size)
    assert found.shape == (*size, 3)
    middle = size[1] // 2
    if size[1] > 10:
        # The middle stays the middle, nothing is stretched, and no border is left.
        assert (found[:, : middle - 3] > 195).all() and (found[:, middle + 4 :] < 55).all()
    if size == (33, 44):
        np.testing.assert_array_equal(found, picture)


def test_a_matte_as_a_picture():
    alpha = np.float32([[0, 0.5, 1]])
    result = cutout.opacity_map(alpha)
    assert result.pixels.tolist() == [[0, 128, 255]] and result.alpha is None
    assert result.metadata == Metadata()


def test_without_pymatting(mixture, monkeypatch):
    monkeypatch.setattr(alpha_matting, "available", lambda: False)
    with pytest.raises(UserError, match=r"pip install jaxedit\[matting\].*--keep-colours"):
        cutout.own_colours(*mixture)
