"""Rounding to the levels of a file."""

import numpy as np
import pytest

from jaxedit.host import levels


def test_rounded_takes_the_nearest_and_cuts_off():
    values = np.asarray([-3.0, 0.49, 0.51, 127.5, 254.6, 300.0])
    assert levels.rounded(values).tolist() == [0, 0, 1, 128, 255, 255]
    assert levels.rounded(np.asarray([70_000.0, 256.4]), np.uint16).tolist() == [65535, 256]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_level_of_a_picture_survives(dtype):
    top = np.iinfo(dtype).max
    stored = np.arange(top + 1).astype(dtype)
    picture = stored.astype(np.float32) / np.float32(top / 2) - np.float32(1)
    np.testing.assert_array_equal(levels.of_picture(picture, dtype), stored)
    assert levels.of_picture(np.float32([-1.5, 2])).tolist() == [0, 255]


def test_every_level_of_an_opacity_survives():
    stored = np.arange(256).astype(np.uint8)
    np.testing.assert_array_equal(levels.of_opacity(stored / np.float32(255)), stored)
