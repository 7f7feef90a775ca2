"""Frames: padding by reflection, and cutting at every scale."""

import numpy as np
import pytest

from jaxedit.data import padding


@pytest.mark.parametrize("size", [(5, 9), (1, 4), (8, 8)])
def test_cutting_undoes_padding_at_every_scale(size):
    frame = padding.centred(size, (12, 16))
    pictures = np.random.default_rng(0).integers(0, 9, (2, *size, 3))
    for one in (pictures, pictures[..., 0]):  # with and without channels
        padded = frame.pad(one)
        assert padded.shape[1:3] == frame.padded == (12, 16)
        np.testing.assert_array_equal(frame.cut(padded), one)
        large = padded.repeat(3, 1).repeat(3, 2)
        np.testing.assert_array_equal(frame.cut(large, 3), one.repeat(3, 1).repeat(3, 2))
    with pytest.raises(ValueError, match=r"Expected \(24, 32\) pixels, got \(12, 16\)"):
        frame.cut(padded, 2)
    with pytest.raises(ValueError, match=r"the picture \(12, 16\)"):
        frame.pad(padded)


def test_margins():
    frame = padding.with_margin((40, 64), (64, 64), 32)
    assert frame.padded == (128, 128) and frame.rims == ((32, 56), (32, 32))
