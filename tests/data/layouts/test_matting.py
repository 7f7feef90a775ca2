"""Published matting data sets are read where they lie; nearly right ones are explained."""

import json

import numpy as np
import pytest
from PIL import Image

from jaxedit.data import sources
from jaxedit.errors import UserError


def save(path, value, channels=3):
    """Writes an image of one colour (or level), 12 x 16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (12, 16, 3) if channels == 3 else (12, 16)
    Image.fromarray(np.full(shape, value, np.uint8)).save(path)


def read(root, split, **options):
    source = sources.create(f"folder:{root}", split, **options)
    return {record["id"]: record for record in source}


def level(record, key):
    return int(record[key].flat[0])


@pytest.fixture
def composition(tmp_path):
    base = tmp_path / "Combined_Dataset"
    for part, numbers in (("Adobe-licensed images", range(3)), ("Other", (1, 5))):
        folder = base / "Training_set" / part
        for number in numbers:
            shift = 50 if part == "Other" else 0
            save(folder / f"fg/n{number}.jpg", 100 + shift + number)
            save(folder / f"alpha/n{number}.png", 10 + shift + number, channels=1)
    folder = base / "Test_set/Adobe-licensed images"
    for number in range(2):
        save(folder / f"fg/t_{number}.png", 200 + number)
        # Some of the published alphas are stored as colour images of equal channels.
        save(folder / f"alpha/t_{number}.png", 30 + number, channels=3 if number else 1)
        for index in range(3):
            save(folder / f"trimaps/t_{number}_{index}.png", (0, 128, 255)[index], channels=1)
    return tmp_path


def compose_test_images(root):
    folder = root / "Combined_Dataset/Test_set/Adobe-licensed images"
    for number in range(2):
        for index in range(3):
            save(folder / f"merged/t_{number}_{index}.png", 60 + 10 * number + index)


def test_composition_1k(composition):
    compose_test_images(composition)
    train = read(composition, "train")
    # The name that is in both parts keeps apart.
    assert set(train) == {"n0", "n1", "n2", "Other/n1", "n5"}
    assert level(train["Other/n1"], "alpha") == 61 and level(train["n2"], "alpha") == 12
    assert abs(level(train["n5"], "image") - 155) <= 1 and "foreground" not in train["n5"]
    test = read(composition / "Combined_Dataset", "eval")
    assert set(test) == {f"t_{number}_{index}" for number in range(2) for index in range(3)}
    record = test["t_1_2"]
    assert [level(record, key) for key in ("image", "alpha", "foreground", "trimap")] == [
        72, 31, 201, 255,
    ]  # fmt: skip
    only = read(composition, "eval", keys=("alpha",))
    assert set(only["t_0_0"]) == {"image", "alpha", "id"}
    with pytest.raises(UserError, match="split train or eval"):
        read(composition, "all")


def test_composition_1k_before_composing(composition):
    with pytest.raises(UserError, match="not composed yet.*no merged/.*jaxedit data compose"):
        read(composition, "eval")
    assert len(read(composition, "train", keys=("alpha",))) == 5
    # Its parts can be named too: the subjects alone, and the test folder once it is composed.
    part = composition / "Combined_Dataset/Training_set/Adobe-licensed images"
    assert set(read(part, "all")) == {"n0", "n1", "n2"}
    compose_test_images(composition)
    assert len(read(composition / "Combined_Dataset/Test_set/Adobe-licensed images", "eval")) == 6


def test_composition_1k_nearly_right(composition):
    folder = composition / "Combined_Dataset/Training_set/Other"
    (folder / "alpha").rename(folder / "alfa")
    with pytest.raises(UserError, match="Other looks like Composition-1k: it has fg/ but no alpha"):
        read(composition, "train")
    folder.parent.rename(composition / "Combined_Dataset/Training")
    with pytest.raises(UserError, match="looks like Composition-1k, but has no Training_set/"):
        read(composition, "train")


def test_distinctions_646(tmp_path):
    for number in range(4):
        save(tmp_path / f"Train/FG/{number}.png", 100 + number)
        save(tmp_path / f"Train/GT/{number}.png", 10 + number, channels=1)
    train = read(tmp_path, "train")
    assert len(train) == 4
    assert [level(train["3"], key) for key in ("image", "alpha")] == [103, 13]
    with pytest.raises(UserError, match="has no Test/"):
        read(tmp_path, "eval")
    for number in range(2):
        save(tmp_path / f"Test/FG/test_{number}.png", 200 + number)
        save(tmp_path / f"Test/GT/test_{number}.png", 30 + number, channels=1)
    with pytest.raises(UserError, match="not composed yet.*no image/"):
        read(tmp_path, "eval")
    for number in range(2):
        save(tmp_path / f"Test/Image/test_{number}.png", 60 + number)
    test = read(tmp_path, "eval")
    assert [level(test["test_1"], key) for key in ("image", "alpha", "foreground")] == [61, 31, 201]


def test_aim_500(tmp_path):
    for number in range(4):
        save(tmp_path / f"original/o_{number}.jpg", 100 + number)
        save(tmp_path / f"mask/o_{number}.png", 10 + number, channels=1)
        save(tmp_path / f"trimap/o_{number}.png", 128, channels=1)
    rows = {f"o_{n}": {"type": "SO", "category": ("animal", "toy")[n % 2]} for n in range(4)}
    (tmp_path / "aim_category_type.json").write_text(json.dumps(rows))
    for split in ("eval", "all"):
        found = read(tmp_path, split)
        assert len(found) == 4 and level(found["o_2"], "alpha") == 12
        assert [found[f"o_{n}"]["kind"] for n in range(4)] == ["animal", "toy", "animal", "toy"]
        assert level(found["o_0"], "trimap") == 128 and "mask" not in found["o_0"]
    with pytest.raises(sources.EmptySplit, match="AIM-500, which is for testing only"):
        read(tmp_path, "train")
    (tmp_path / "aim_category_type.json").write_text('{"o_0": 3}')
    with pytest.raises(UserError, match="aim_category_type.json is damaged"):
        read(tmp_path, "eval")
    (tmp_path / "mask").rename(tmp_path / "masque")
    with pytest.raises(UserError, match="looks like AIM-500: it has original/ but no mask/"):
        read(tmp_path, "eval")


def test_ppm_100(tmp_path):
    for number in range(3):
        save(tmp_path / f"matte/{number}.jpg", 10 * number, channels=1)
    with pytest.raises(UserError, match="looks like PPM-100: it has matte/ but no image/"):
        read(tmp_path, "eval")
    for number in range(3):
        save(tmp_path / f"image/{number}.jpg", 100 + number)
    found = read(tmp_path, "eval")
    assert len(found) == 3 and level(found["2"], "alpha") == 20 and "trimap" not in found["2"]


def test_alphamatting_com(tmp_path):
    for number in range(12):
        save(tmp_path / f"input_training_lowres/GT{number:02d}.png", 100 + number)
        save(tmp_path / f"gt_training_lowres/GT{number:02d}.png", 10 + number)
        for width in (1, 2):
            trimap = tmp_path / f"trimap_training_lowres/Trimap{width}/GT{number:02d}.png"
            save(trimap, 128 if width == 1 else 0, channels=1)
    parts = [read(tmp_path, split) for split in ("train", "eval")]
    assert parts[0] and parts[1] and len(parts[0] | parts[1]) == 12
    record = read(tmp_path, "all")["GT07"]
    assert [level(record, key) for key in ("image", "alpha", "trimap")] == [107, 17, 128]


def test_subjects_alone(tmp_path):
    for number in range(12):
        save(tmp_path / f"fg/{number}.jpg", 100 + number)
    with pytest.raises(UserError, match="it has fg/ but no alpha.*images/ and alphas/"):
        read(tmp_path, "train")
    save(tmp_path / "alpha/other.png", 7, channels=1)
    with pytest.raises(UserError, match="No file in .*alpha belongs to one in .*fg"):
        read(tmp_path, "train")
    for number in range(12):
        save(tmp_path / f"alpha/{number}.png", number, channels=1)
    parts = [read(tmp_path, split) for split in ("train", "eval")]
    assert parts[0] and parts[1] and len(parts[0] | parts[1]) == 12


def test_the_plain_form_comes_first_and_other_folders_stay_what_they_were(tmp_path):
    for number in range(3):
        save(tmp_path / f"plain/images/{number}.png", number)
        save(tmp_path / f"plain/fg/{number}.png", 9)
        save(tmp_path / f"loose/holiday/{number}.png", number)
    assert set(read(tmp_path / "plain", "all")) == {"0", "1", "2"}
    assert set(read(tmp_path / "loose", "all")) == {"holiday/0", "holiday/1", "holiday/2"}
