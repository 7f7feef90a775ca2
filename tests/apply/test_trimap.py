"""Trimaps of users: files with other values, files that are none."""

import numpy as np
import pytest
from PIL import Image

from jaxedit.apply import trimap
from jaxedit.data import trimaps
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
    np.testing.assert_array_equal(trimaps.to_levels(trimap.read(tmp_path / "t.png")), levels)


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
    assert found.tolist() == [[0, 0, 1, 1, 1, 2, 2]] * 3


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


def test_doubts_and_nothing_to_estimate():
    labels = trimaps.from_levels(three_bands())
    assert trimap.check(labels, "T") == []
    (line,) = trimap.check(np.where(labels == 2, 1, labels), "T")
    assert line.startswith("T marks no foreground (255)")
    (line,) = trimap.check(np.where(labels == 0, 1, labels), "T")
    assert line.startswith("T marks no background (0)")
    with pytest.raises(UserError, match="T has no unknown region.*nothing to estimate"):
        trimap.check(np.where(labels == 1, 2, labels), "T")
