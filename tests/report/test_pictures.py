"""Picture grids."""

import numpy as np
import pytest
from PIL import Image

from jaxedit.errors import UserError
from jaxedit.report import pictures


def test_grid_shows_every_pixel_of_every_image():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (2, 210, 195, 3), np.uint8)
    masks = rng.integers(0, 255, (2, 210, 195, 1), np.uint8)
    grid = pictures.grid({"image": images, "mask": masks}, labels=["first", "second"])
    found = 0
    windows = np.lib.stride_tricks.sliding_window_view(grid[..., 0], (4, 4))
    for image in (*images, *masks):
        corner = np.broadcast_to(image, (210, 195, 3))[:4, :4, 0]
        for y, x in np.argwhere((windows == corner).all((2, 3))):
            cut = grid[y : y + 210, x : x + 195]
            found += np.array_equal(cut, np.broadcast_to(image, (210, 195, 3)))
    assert found == 4


def test_small_images_are_enlarged_by_whole_factors():
    image = np.arange(27, dtype=np.uint8).reshape(1, 3, 3, 3) * 9
    grid = pictures.grid({"x": image})
    values = {tuple(p) for p in grid.reshape(-1, 3)}
    assert {tuple(p) for p in image.reshape(-1, 3)} <= values
    assert grid.shape[0] >= 128


def test_limit_and_errors():
    images = np.zeros((5, 195, 195, 3), np.uint8)
    assert pictures.grid({"a": images}, limit=2).shape[0] < 450
    with pytest.raises(ValueError, match="differ in length"):
        pictures.grid({"a": images, "b": images[:2]})
    with pytest.raises(ValueError, match="float32"):
        pictures.grid({"a": images.astype(np.float32)})
    with pytest.raises(ValueError, match="at least one"):
        pictures.grid({})


def test_write_is_whole_or_nothing(tmp_path, monkeypatch):
    picture = np.full((4, 5, 3), 7, np.uint8)
    pictures.write(tmp_path / "new" / "a.png", picture)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new" / "a.png")), picture)
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(UserError, match=r"b\.png"):
        pictures.write(tmp_path / "new" / "b.png", picture)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.png"]


def record(folder, steps):
    for step in steps:
        pictures.record(folder, "samples", step, np.full((4, 4, 3), step % 251, np.uint8))


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.png")}


def test_earlier_pictures_stay_few_and_spread(tmp_path):
    record(tmp_path, range(3, 400, 3))
    steps = list(pictures.history(tmp_path, "samples"))
    assert steps[0] == 3 and steps[-1] == 399 and 9 <= len(steps) <= 17
    assert max(np.diff(steps)) <= 2 * 36 and min(np.diff(steps[:-1])) > 24
    newest = (tmp_path / "samples.png").read_bytes()
    assert newest == (tmp_path / "samples" / "00000399.png").read_bytes()


def test_a_resumed_run_keeps_the_same_pictures(tmp_path):
    steps = [1, *range(7, 300, 7), 300]
    record(tmp_path / "whole", steps)
    record(tmp_path / "killed", [s for s in steps if s <= 200])
    record(tmp_path / "killed", [s for s in steps if s > 90])
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    # Begun again and not yet as far as before: nothing of the part to come.
    record(tmp_path / "killed", [14])
    assert max(pictures.history(tmp_path / "killed", "samples")) == 14
