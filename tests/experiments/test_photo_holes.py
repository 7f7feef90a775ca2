"""Holes in whole photographs: what is measured, and on what."""

import numpy as np
import pytest
from PIL import Image

from experiments import photo_holes


@pytest.mark.parametrize("kind", photo_holes.KINDS)
def test_holes_are_of_their_seed(kind):
    mask = photo_holes.hole(kind, 120, 160, seed=3)
    assert mask.shape == (120, 160) and set(np.unique(mask)) == {0, 255}
    np.testing.assert_array_equal(mask, photo_holes.hole(kind, 120, 160, seed=3))
    assert (mask != photo_holes.hole(kind, 120, 160, seed=4)).any()
    share = {"spot": np.pi / 24**2 * 160 / 120, "box": 26 * 32 / 120 / 160}.get(kind)
    assert share is None or (mask > 0).mean() == pytest.approx(share, rel=0.25)


def test_figures_are_of_the_hole_alone():
    photo = np.full((20, 30, 3), 100, np.uint8)
    mask = np.zeros((20, 30), np.uint8)
    mask[5:9, 5:9] = 255
    filled = np.where(mask[..., None] > 0, np.uint8(110), np.uint8(7))
    assert photo_holes.psnr(filled, photo, mask) == pytest.approx(20 * np.log10(25.5))
    assert photo_holes.mean([1.0, 3.0]) == "  2.00 +- 1.00"


def test_a_folder(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    for name in "ab":
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
        coarse.resize((80, 60), Image.Resampling.BICUBIC).save(tmp_path / f"{name}.png")
    sheet = tmp_path / "sheet.png"
    monkeypatch.setattr("sys.argv", [
        "photo_holes.py", str(tmp_path), "--systems", "membrane", "telea", "--kinds", "spot",
        "--side", "64", "--sheet", str(sheet),
    ])
    photo_holes.main()
    told = capsys.readouterr().out
    assert "2 photographs" in told and "membrane ahead by" in told
    assert [line.split()[:2] for line in told.splitlines()[1:]] == [
        ["spot", "membrane"], ["spot", "telea"]
    ]
    assert Image.open(sheet).width > 3 * 64
