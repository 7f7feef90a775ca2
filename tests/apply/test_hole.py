"""A hole of another size, wider or narrower, and its soft edge."""

import numpy as np
import pytest

from jaxedit.apply import hole
from jaxedit.apply.photograph import Photograph


def square(side=11, low=4, high=7):
    mask = np.zeros((side, side), bool)
    mask[low:high, low:high] = True
    return mask


def test_a_hole_grows_and_shrinks_by_distance():
    mask = square()
    rows, columns = np.nonzero(mask)
    for pixels in (1, 2, 3):
        y, x = np.mgrid[:11, :11]
        near = np.hypot(y[..., None] - rows, x[..., None] - columns).min(-1) <= pixels
        np.testing.assert_array_equal(hole.grown(mask, pixels), near)
    np.testing.assert_array_equal(hole.grown(mask, -1), square(11, 5, 6))
    assert not hole.grown(mask, -2).any()
    assert hole.grown(mask, 0) is mask


def test_the_picture_s_border_shrinks_no_hole():
    mask = np.zeros((6, 6), bool)
    mask[:4] = True
    expected = np.zeros((6, 6), bool)
    expected[:3] = True
    np.testing.assert_array_equal(hole.grown(mask, -1), expected)


def test_whatever_the_hole_touches_belongs_to_it():
    mask = np.zeros((8, 8), bool)
    mask[5, 2] = True
    small = hole.resized(mask, (4, 4))
    assert small.sum() == 1 and small[2, 1]
    large = hole.resized(mask, (16, 24))
    assert large.shape == (16, 24) and large.sum() == 6 and large[10:12, 6:9].all()


@pytest.mark.parametrize("pixels", [np.uint8, np.uint16])
def test_the_edge_fades_to_the_photograph(pixels):
    most = np.iinfo(pixels).max
    shape = (11, 11, 3) if pixels == np.uint8 else (11, 11)
    photo = Photograph(np.zeros(shape, pixels))
    filled = Photograph(np.full(shape, most, pixels))
    result = hole.softened(photo, filled, square(), 3).pixels.reshape(11, 11, -1)[..., 0]
    row = result[5] / most
    np.testing.assert_allclose(row[:5], [0, 0.25, 0.5, 0.75, 1], atol=0.003)
    np.testing.assert_array_equal(row, row[::-1])
    assert (result[square()] == most).all()


def test_lines_survive_where_one_side_grows_and_the_other_shrinks():
    for line in range(200):
        mask = np.zeros((50, 200), bool)
        mask[:, line] = True
        assert hole.resized(mask, (100, 60)).any(0).sum() >= 1
        assert hole.resized(mask.T, (60, 100)).any(1).sum() >= 1


def test_a_distance_beyond_every_number_is_that_of_the_picture():
    assert hole.grown(square(), 10**400).all()
    assert not hole.grown(square(), -(10**400)).any()
