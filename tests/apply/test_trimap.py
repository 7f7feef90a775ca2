"""Trimaps of users: files with other values, and the band along a coarse mask."""

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image

from jaxedit.apply import trimap
from jaxedit.errors import UserError


def save(path, levels, **options):
    Image.fromarray(np.asarray(levels, np.uint8)).save(path, **options)
    return path


def three_bands(height=20, width=30):
    levels = np.zeros((height, width), np.uint8)
    levels[:, 10:20], levels[:, 20:] = 128, 255
    return levels


def disc(side=200, radius=60.0):
    rows, columns = np.mgrid[:side, :side]
    return np.hypot(rows - side / 2, columns - side / 2) < radius


@pytest.mark.parametrize("convert", ["L", "RGB", "P"])
def test_exact_files_come_back_as_they_are(tmp_path, convert):
    levels = three_bands()
    Image.fromarray(levels).convert(convert).save(tmp_path / "t.png")
    np.testing.assert_array_equal(trimap.read(tmp_path / "t.png"), levels)


def test_labels_are_a_networks_input():
    found = trimap.labels(three_bands())
    assert found.shape == (20, 30, 1) and found.dtype == np.float32
    assert [found[0, x, 0] for x in (0, 15, 25)] == [0, 1, 2]


@pytest.mark.parametrize("levels, described", [
    ([127] * 4 + [200], r"the values 127 \(40 pixels\), 200 \(10 pixels\)"),
    ([1], r"the value 1 \(10 pixels\)"),
    (list(range(20, 28)), r"the values 20 \(10 pixels\), .*, 23 \(10 pixels\) and 4 more"),
])
def test_other_values_are_counted_and_refused(tmp_path, levels, described):
    picture = np.concatenate([three_bands(10), np.tile(np.uint8(levels), (10, 1))], axis=1)
    save(tmp_path / "t.png", picture)
    with pytest.raises(UserError, match=f"t.png holds {described}; .*PNG.*--round-trimap"):
        trimap.read(tmp_path / "t.png")


def test_thresholds_are_those_of_published_loaders(tmp_path):
    save(tmp_path / "t.png", np.uint8([[0, 84, 85, 128, 169, 170, 255]] * 3))
    found = trimap.read(tmp_path / "t.png", by_thresholds=True)
    assert found.tolist() == [[0, 0, 128, 128, 128, 255, 255]] * 3


def test_a_jpeg_is_no_exact_trimap(tmp_path):
    levels = np.zeros((64, 64), np.uint8)
    levels[disc(64, 20)] = 128
    save(tmp_path / "t.jpg", levels, quality=70)
    with pytest.raises(UserError, match="JPEG make such values"):
        trimap.read(tmp_path / "t.jpg")


def test_what_is_no_trimap_is_refused(tmp_path):
    colour = np.repeat(three_bands()[..., None], 3, -1)
    colour[3, 4] = (10, 20, 30)
    save(tmp_path / "c.png", colour)
    with pytest.raises(UserError, match="colour image: 1 of its pixels"):
        trimap.read(tmp_path / "c.png")
    clear = np.full((20, 30, 4), 255, np.uint8)
    clear[0, 0, 3] = 0
    save(tmp_path / "a.png", clear)
    with pytest.raises(UserError, match="transparent pixels"):
        trimap.read(tmp_path / "a.png")
    (tmp_path / "d.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read"):
        trimap.read(tmp_path / "d.png")


@pytest.mark.parametrize("width", [0.02, 0.05, 0.15])
def test_the_band_follows_the_subjects_size(width):
    """Against Euclidean distances by SciPy; the disc's bounding box is twice its radius."""
    mask = disc()
    found = trimap.from_mask(mask, width)
    assert set(np.unique(found)) == {0, 128, 255} and found.dtype == np.uint8
    size = mask.any(0).sum()
    inner, outer = max(1, round(width * size / 3)), max(1, round(width * size * 2 / 3))
    assert trimap.band(mask, width) == (inner, outer)
    inside = scipy.ndimage.distance_transform_edt(mask)
    outside = scipy.ndimage.distance_transform_edt(~mask)
    np.testing.assert_array_equal(found == 255, inside > inner)
    np.testing.assert_array_equal(found == 0, outside > outer)


def test_the_outer_band_is_wider():
    row = trimap.from_mask(disc(), 0.1)[100]
    edge = np.flatnonzero(disc()[100])[0]
    unknown = np.flatnonzero(row[:100] == 128)
    assert (edge - unknown[0], unknown[-1] + 1 - edge) == (8, 4)


def test_the_frame_of_the_photo_is_no_outline():
    mask = np.zeros((100, 100), bool)
    mask[50:, 30:70] = True  # a subject that the lower edge cuts
    found = trimap.from_mask(mask, 0.2)
    assert found[99, 50] == 255 and found[99, 31] == 128 and found[99, 5] == 0


def test_thin_parts_become_unknown():
    mask = disc()
    mask[98:100] = True  # a thin line across the picture
    found = trimap.from_mask(mask, 0.1)
    assert (found[99, :20] == 128).all() and found[100, 100] == 255


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
        trimap.from_mask(mask, width)


def test_doubts_and_nothing_to_estimate():
    levels = three_bands()
    assert trimap.check(levels, "T") == []
    (line,) = trimap.check(np.where(levels == 255, 128, levels), "T")
    assert line.startswith("T marks no foreground (255)")
    (line,) = trimap.check(np.where(levels == 0, 128, levels), "T")
    assert line.startswith("T marks no background (0)")
    with pytest.raises(UserError, match="T has no unknown region.*nothing to estimate"):
        trimap.check(np.where(levels == 128, 255, levels), "T")
