"""Trimaps as labels."""

import numpy as np
from scipy import ndimage

from jaxedit.data import trimaps


def test_levels_and_labels():
    levels = np.array([0, 84, 85, 128, 169, 170, 255], np.uint8)
    assert trimaps.from_levels(levels).tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert trimaps.to_levels(np.array([0, 1, 2], np.uint8)).tolist() == [0, 128, 255]


def test_erosion_is_by_ellipses_and_the_rim_is_inside():
    rng = np.random.default_rng(0)
    opaque = ndimage.binary_dilation(rng.random((40, 50)) > 0.98, iterations=5)
    transparent = ~ndimage.binary_dilation(opaque, iterations=3)
    labels = trimaps.eroded(opaque, transparent, 5, 8)
    for label, mask, size in ((2, opaque, 5), (0, transparent, 8)):
        kernel = trimaps.ellipse(size).astype(bool)
        # OpenCV anchors an even kernel at size // 2, SciPy's erosion at the same place.
        expected = ndimage.binary_erosion(mask, kernel, border_value=1)
        np.testing.assert_array_equal(labels == label, expected)
    assert (labels[~(opaque | transparent)] == 1).all()


def test_a_width_of_zero_keeps_exactly_what_is_certain():
    alpha = np.array([[0, 1, 128, 254, 255]], np.uint8)
    assert trimaps.of_width(alpha, 0).tolist() == [[0, 1, 1, 1, 2]]
    assert (trimaps.of_width(np.full((9, 9), 255, np.uint8), 3) == 2).all()


def test_the_band_is_as_wide_as_asked():
    alpha = np.zeros((30, 60), np.uint8)
    alpha[:, 30:] = 255
    for width in (1, 4, 7):
        row = trimaps.of_width(alpha, width)[15]
        assert row.tolist() == [0] * (30 - width) + [1] * (2 * width) + [2] * (30 - width)
