"""The composition rule against a plain loop over pixels, and the test sets made by it."""

import json
import math

import cv2
import numpy as np
import pytest
from PIL import Image

from jaxedit.data import compose, sources, trimaps
from jaxedit.errors import UserError
from tests import extras


def picture(seed, height=24, width=30):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def opacity(seed, height=24, width=30):
    alpha = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    alpha[:8], alpha[-8:] = 0, 255
    return alpha


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def by_pixel(foreground, alpha, background):
    """The rule, pixel by pixel in Python's own numbers."""
    height, width = alpha.shape
    pixels = Image.fromarray(background)
    ratio = max(width / pixels.width, height / pixels.height)
    if ratio > 1:
        size = (math.ceil(pixels.width * ratio), math.ceil(pixels.height * ratio))
        pixels = pixels.resize(size, Image.Resampling.BICUBIC)
    behind = np.asarray(pixels.crop((0, 0, width, height)))
    out = np.zeros_like(foreground)
    for y in range(height):
        for x in range(width):
            a = int(alpha[y, x]) / 255
            for c in range(3):
                out[y, x, c] = int(a * int(foreground[y, x, c]) + (1 - a) * int(behind[y, x, c]))
    return out


@pytest.mark.parametrize("size", [(24, 30), (60, 80), (10, 90), (13, 17)])
def test_the_rule_pixel_by_pixel(size):
    foreground, alpha, background = picture(0), opacity(1), picture(2, *size)
    background[:5] = foreground[:5, :1]  # equal values, where rounding would show
    found = compose.over(foreground, alpha, background)
    np.testing.assert_array_equal(found, by_pixel(foreground, alpha, background))


def test_large_backgrounds_are_cut_at_the_top_left_and_not_shrunk():
    background = picture(2, 60, 80)
    np.testing.assert_array_equal(compose.fit_background(background, 24, 30), background[:24, :30])
    assert compose.fit_background(picture(2, 10, 90), 24, 30).shape == (24, 30, 3)


@pytest.fixture
def folders(tmp_path):
    for number in range(3):
        save(tmp_path / f"subjects/fg/s{number}.png", picture(number))
        save(tmp_path / f"subjects/alpha/s{number}.png", opacity(10 + number))
    for number in range(5):
        save(tmp_path / f"backgrounds/b{number}.png", picture(20 + number, 40, 40))
    return tmp_path


def run(folders, output="out", per_foreground=3, **options):
    return compose.compose(
        folders / "subjects", folders / "backgrounds", folders / output, per_foreground, **options
    )


def manifest(folder):
    lines = (folder / "manifest.jsonl").read_text().splitlines()
    return {row["id"]: row for row in map(json.loads, lines)}


def test_a_test_set_is_a_source(folders):
    said = []
    assert run(folders, trimap_width=2, say=said.append) == 9
    assert said[-1] == "3 of 3 subjects: s2"
    source = sources.create(f"folder:{folders}/out", "all")
    rows = manifest(folders / "out")
    assert len(source) == 9 and set(rows) == {f"s{n}_{i}" for n in range(3) for i in range(3)}
    for index in range(9):
        record = source[index]
        row = rows[record["id"]]
        number = int(record["id"][1])
        behind = picture(20 + int(row["background"][1]), 40, 40)
        assert row["foreground"] == f"s{number}.png"
        alpha = opacity(10 + number)
        np.testing.assert_array_equal(record["image"], by_pixel(picture(number), alpha, behind))
        np.testing.assert_array_equal(record["alpha"], alpha)
        np.testing.assert_array_equal(record["foreground"], picture(number))
        np.testing.assert_array_equal(
            record["trimap"], trimaps.to_levels(trimaps.of_width(alpha, 2))
        )


def test_backgrounds_are_used_evenly_and_by_the_seed(folders):
    for output, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(folders, output, 5, seed=seed)
    a, b, c = (manifest(folders / name) for name in "abc")
    assert a == b and a != c
    for number in range(3):
        assert {a[f"s{number}_{i}"]["background"] for i in range(5)} == {
            f"b{i}.png" for i in range(5)
        }


def test_trimaps_are_copied_where_there_are_any(folders):
    for number in range(3):
        for index in range(2):
            values = np.full((24, 30), 128, np.uint8)
            values[: number + index + 1] = 255
            save(folders / f"subjects/trimaps/s{number}_{index}.png", values)
    run(folders, per_foreground=2)
    record = {r["id"]: r for r in sources.create(f"folder:{folders}/out", "all")}["s1_1"]
    assert (record["trimap"][:, 0] == 255).sum() == 3
    run(folders, "made", per_foreground=2, trimap_width=1, copy_trimaps=False)
    record = {r["id"]: r for r in sources.create(f"folder:{folders}/made", "all")}["s1_1"]
    np.testing.assert_array_equal(
        record["trimap"], trimaps.to_levels(trimaps.of_width(opacity(11), 1))
    )
    with pytest.raises(UserError, match="no trimap s0_2 or s0 "):
        run(folders, "more", per_foreground=3)
    assert not (folders / "more").exists()


def test_published_lists_decide(folders):
    root = folders / "Test_set"
    (folders / "subjects").rename(folders / "moved")
    root.mkdir()
    (folders / "moved").rename(root / "Adobe-licensed images")
    (root / "test_fg_names.txt").write_text("s2.png\ns0.png\n")
    (root / "test_bg_names.txt").write_text("b4.png\nb0.png\nb1.png\nb1.png\n")
    made = compose.compose(folders, folders / "backgrounds", folders / "out", 2)
    rows = manifest(folders / "out")
    assert made == 4
    assert {key: row["background"] for key, row in rows.items()} == {
        "s2_0": "b4.png", "s2_1": "b0.png", "s0_0": "b1.png", "s0_1": "b1.png",
    }  # fmt: skip
    with pytest.raises(UserError, match="2 subjects.*4 backgrounds, which are not 20 for each"):
        compose.compose(folders, folders / "backgrounds", folders / "no", 20)
    (root / "test_bg_names.txt").write_text("b4.png\nb0.png\nb1.png\nb9.png\n")
    with pytest.raises(UserError, match="'b9.png', which is not in"):
        compose.compose(folders, folders / "backgrounds", folders / "no", 2)


def test_images_with_transparency_are_subjects(folders, tmp_path):
    colours, alpha = picture(0), opacity(1)
    save(tmp_path / "cut/s.png", np.dstack([colours, alpha]))
    assert compose.compose(tmp_path / "cut", folders / "backgrounds", folders / "out", 1) == 1
    record = sources.create(f"folder:{folders}/out", "all")[0]
    np.testing.assert_array_equal(record["alpha"], alpha)
    np.testing.assert_array_equal(record["foreground"], colours)
    save(tmp_path / "opaque/s.png", colours)
    with pytest.raises(UserError, match="s.png has no transparency.*fg/ and opacity into alpha/"):
        compose.compose(tmp_path / "opaque", folders / "backgrounds", folders / "no", 1)


def test_the_subjects_own_colours_can_be_estimated(folders):
    extras.need_pymatting()
    green = np.full((24, 30, 3), (0, 200, 0), np.uint8)
    red = np.full((24, 30, 3), (220, 10, 10), np.uint8)
    alpha = np.zeros((24, 30), np.uint8)
    cv2.circle(alpha, (15, 12), 7, 255, -1)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 2)
    for number in range(3):
        save(folders / f"subjects/fg/s{number}.png", compose.over(red, alpha, green))
        save(folders / f"subjects/alpha/s{number}.png", alpha)
    run(folders, per_foreground=1, estimate_colours=True)
    found = sources.create(f"folder:{folders}/out", "all")[0]["foreground"].astype(int)
    soft = (alpha > 100) & (alpha < 250)
    stored = compose.over(red, alpha, green).astype(int)
    assert np.abs(found - red)[soft].mean() < 0.3 * np.abs(stored - red)[soft].mean()


def test_what_is_wrong_is_named_and_nothing_is_left(folders):
    with pytest.raises(UserError, match="per_foreground is 0"):
        run(folders, per_foreground=0)
    with pytest.raises(UserError, match="trimap_width is -1"):
        run(folders, trimap_width=-1)
    with pytest.raises(UserError, match="absent does not exist"):
        compose.compose(folders / "absent", folders / "backgrounds", folders / "out")
    with pytest.raises(UserError, match="nothing does not exist"):
        compose.compose(folders / "subjects", folders / "nothing", folders / "out")
    save(folders / "subjects/alpha/s1.png", opacity(0, 24, 31))
    with pytest.raises(UserError, match="s1.png has 31 x 24 pixels.*30 x 24"):
        run(folders)
    (folders / "subjects/alpha/s1.png").unlink()
    with pytest.raises(UserError, match="'s1' is in .*fg but not in .*alpha"):
        run(folders)
    (folders / "subjects/fg/s1.png").unlink()
    (folders / "backgrounds/b2.png").write_bytes(b"broken")
    with pytest.raises(UserError, match="b2.png cannot be read"):
        run(folders, per_foreground=5)
    assert not (folders / "out").exists()
    assert sorted(path.name for path in folders.iterdir()) == ["backgrounds", "subjects"]
    (folders / "out").mkdir()
    (folders / "out/mine.txt").write_text("keep")
    with pytest.raises(UserError, match="already exists"):
        run(folders)


def test_a_set_below_its_backgrounds_is_none_of_them_the_next_time(folders):
    assert run(folders, "backgrounds/set") == 9
    assert len(sources.create(f"folder:{folders}/backgrounds/set", "all")) == 9
    run(folders, "again")
    assert {line["background"] for line in manifest(folders / "again").values()} <= {
        f"b{number}.png" for number in range(5)
    }
    assert not (folders / "again" / ".jaxedit-results").exists()


def test_numbers_that_would_change_nothing_are_refused(folders):
    save(folders / "subjects/trimaps/s0.png", opacity(3))
    with pytest.raises(UserError, match="--trimap-width 4 is about trimaps that are made"):
        run(folders, trimap_width=4)
    (folders / "subjects" / "test_fg_names.txt").write_text("s0.png\n")
    (folders / "subjects" / "test_bg_names.txt").write_text("b0.png\nb1.png\nb2.png\n")
    with pytest.raises(UserError, match="--seed 5 is of backgrounds that are drawn"):
        run(folders, seed=5)
    assert not (folders / "out").exists()
