"""Opacity maps, trimaps and label maps."""

import io

import numpy as np
import pytest
from PIL import Image

from jaxedit.data import annotations
from jaxedit.errors import UserError


def png(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def values():
    return np.random.default_rng(0).integers(0, 256, (6, 9), dtype=np.uint8)


def test_transparent_pictures_are_flattened_with_a_word(values, caplog):
    """Once a folder; over white; and opaque ones in silence."""
    colours = np.full((6, 9, 3), 40, np.uint8)
    transparent = png(np.dstack([colours, values]))
    opaque = annotations.read_flattened(png(colours), name="faces/0.png")
    np.testing.assert_array_equal(opaque, colours)
    assert not caplog.records
    for name in ("faces/a.png", "faces/b.png", "others/c.png"):
        found = annotations.read_flattened(transparent, name=name)
        expected = 255 + (40.0 - 255) * values[..., None] / 255
        np.testing.assert_allclose(found, np.broadcast_to(expected, (6, 9, 3)), atol=0.51)
    assert ["a.png" in caplog.messages[0], "c.png" in caplog.messages[1]] == [True, True]
    assert len(caplog.records) == 2 and "over white" in caplog.text


def test_alpha_from_a_grey_image_or_from_transparency(values):
    np.testing.assert_array_equal(annotations.read_alpha(png(values)), values)
    transparent = np.dstack([np.full((6, 9, 3), 40, np.uint8), values])
    np.testing.assert_array_equal(annotations.read_alpha(png(transparent)), values)
    with pytest.raises(UserError, match="a.png is not an opacity map"):
        annotations.read_alpha(png(np.dstack([values, values // 2, values // 3])), name="a.png")


def test_alpha_stored_as_a_colour_image_of_equal_channels(values):
    np.testing.assert_array_equal(
        annotations.read_alpha(png(np.repeat(values[..., None], 3, axis=2))), values
    )


def test_foreground_colours_are_not_laid_over_white(values):
    colours = np.dstack([values, values // 2, values // 3])
    transparent = np.dstack([colours, np.full((6, 9), 10, np.uint8)])
    np.testing.assert_array_equal(annotations.read_foreground(png(transparent)), colours)
    np.testing.assert_array_equal(annotations.read_foreground(png(colours)), colours)


def test_trimap_values_are_rounded_to_three_levels():
    levels = np.array([[0, 1, 127, 128, 129, 254, 255]], np.uint8)
    np.testing.assert_array_equal(
        annotations.read_trimap(png(levels)), [[0, 0, 128, 128, 128, 255, 255]]
    )
    with pytest.raises(UserError, match="t.png is not a trimap: it holds the value 64"):
        annotations.read_trimap(png(np.array([[0, 64, 255]], np.uint8)), name="t.png")


def test_labels_are_numbers_not_brightness(values):
    np.testing.assert_array_equal(annotations.read_label(png(values)), values)
    wide = values.astype(np.uint16) * 200
    found = annotations.read_label(png(wide))
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, wide)
    palette = Image.fromarray(values % 3).convert("P")
    palette.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    buffer = io.BytesIO()
    palette.save(buffer, "PNG")
    np.testing.assert_array_equal(annotations.read_label(buffer.getvalue()), values % 3)
    with pytest.raises(UserError, match="l.png is not a label map"):
        annotations.read_label(png(np.zeros((4, 4, 3), np.uint8)), name="l.png")
