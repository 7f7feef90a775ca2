"""Trimaps as labels."""

import numpy as np
import pytest
from scipy import ndimage

from jaxedit.data import trimaps
from jaxedit.errors import UserError


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


def disc(side=200, radius=60.0):
    rows, columns = np.mgrid[:side, :side]
    return np.hypot(rows - side / 2, columns - side / 2) < radius


@pytest.mark.parametrize("width", [0.02, 0.05, 0.15])
def test_the_band_follows_the_subjects_size(width):
    """Against Euclidean distances by SciPy; the disc's bounding box is twice its radius."""
    mask = disc()
    found = trimaps.from_mask(mask, width)
    assert set(np.unique(found)) == {0, 1, 2} and found.dtype == np.uint8
    size = mask.any(0).sum()
    inner, outer = max(1, round(width * size / 3)), max(1, round(width * size * 2 / 3))
    assert trimaps.band(mask, width) == (inner, outer)
    inside = ndimage.distance_transform_edt(mask)
    outside = ndimage.distance_transform_edt(~mask)
    np.testing.assert_array_equal(found == 2, inside > inner)
    np.testing.assert_array_equal(found == 0, outside > outer)


def test_the_outer_band_is_wider():
    row = trimaps.from_mask(disc(), 0.1)[100]
    edge = np.flatnonzero(disc()[100])[0]
    unknown = np.flatnonzero(row[:100] == 1)
    assert (edge - unknown[0], unknown[-1] + 1 - edge) == (8, 4)


def test_the_frame_of_the_photo_is_no_outline():
    mask = np.zeros((100, 100), bool)
    mask[50:, 30:70] = True  # a subject that the lower edge cuts
    found = trimaps.from_mask(mask, 0.2)
    assert found[99, 50] == 2 and found[99, 31] == 1 and found[99, 5] == 0


def test_thin_parts_become_unknown():
    mask = disc()
    mask[98:100] = True  # a thin line across the picture
    found = trimaps.from_mask(mask, 0.1)
    assert (found[99, :20] == 1).all() and found[100, 100] == 2


@pytest.mark.parametrize("mask, width, message", [
    (np.zeros((40, 40), bool), 0.02, "marks no subject"),
    (np.ones((40, 40), bool), 0.02, "whole photo as subject"),
    (disc(40, 4), 0.5, "No certain foreground is left.*smaller --trimap-width"),
    (disc(40, 9), 0.0, "--trimap-width 0: expected a share"),
    (disc(40, 9), 2.0, "--trimap-width 2: expected a share"),
    (disc(40, 9), float("nan"), "--trimap-width nan"),
])
def test_masks_that_make_no_trimap(mask, width, message):
    mask = mask.copy()
    if "No certain" in message:
        mask[:] = False
        mask[20] = True  # a line one pixel thick
    with pytest.raises(UserError, match=message):
        trimaps.from_mask(mask, width)
