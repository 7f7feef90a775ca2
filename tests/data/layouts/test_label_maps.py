"""Published data sets with label maps are read where they lie; nearly right ones are explained."""

import json
import pickle

import numpy as np
import pytest
from PIL import Image

from jaxedit.data import classes, pack, sources
from jaxedit.data.layouts import camvid, cityscapes
from jaxedit.errors import UserError


def save(path, value, shape=(6, 8)):
    """Writes a picture of one level or colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.empty((*shape, *np.shape(value)), np.uint16 if np.max(value) > 255 else np.uint8)
    array[...] = value
    Image.fromarray(array).save(path)


def read(root, split):
    source = sources.create(f"folder:{root}", split)
    return source, {record["id"]: record for record in source}


def level(record, key="label"):
    return int(record[key].flat[0])


@pytest.fixture
def streets(tmp_path):
    for part, city, number in (("train", "aachen", 1), ("train", "bochum", 2), ("val", "ulm", 3)):
        name = f"{city}_00000{number}"
        save(tmp_path / f"leftImg8bit/{part}/{city}/{name}_leftImg8bit.png", (number, 0, 0))
        save(tmp_path / f"gtFine/{part}/{city}/{name}_gtFine_labelIds.png", (7, 26, 3)[number - 1])
        save(tmp_path / f"gtFine/{part}/{city}/{name}_gtFine_color.png", (9, 9, 9))
        save(tmp_path / f"gtFine/{part}/{city}/{name}_gtFine_instanceIds.png",
             (7, 26001, 3)[number - 1])
        save(tmp_path / f"disparity/{part}/{city}/{name}_disparity.png", (0, 2561, 300)[number - 1])
    return tmp_path


def test_cityscapes(streets):
    source, found = read(streets, "train")
    assert set(found) == {"aachen/aachen_000001", "bochum/bochum_000002"}
    first, second = found["aachen/aachen_000001"], found["bochum/bochum_000002"]
    assert (level(first), level(second)) == (0, 13)  # road and car of the 19
    assert (level(first, "instance"), level(second, "instance")) == (0, 26001)
    assert np.isnan(first["depth"]).all() and first["depth"].dtype == np.float32
    assert second["depth"][0, 0] == pytest.approx(473.57 / 10, rel=1e-3)
    assert classes.of_source(source) == cityscapes.CLASSES
    assert level(read(streets, "eval")[1]["ulm/ulm_000003"]) == 255  # out of the region
    assert len(read(streets, "all")[1]) == 3
    assert pickle.loads(pickle.dumps(source))[0]["id"] == source[0]["id"]


def test_a_packed_data_set_reads_the_same(streets, tmp_path):
    pack.pack(streets, tmp_path / "packed")
    source, found = read(streets, "train")
    packed = sources.create(f"array_record:{tmp_path / 'packed'}", "train")
    assert classes.of_source(packed) == classes.of_source(source)
    for record in packed:
        for key, value in found[record["id"]].items():
            np.testing.assert_array_equal(record[key], value)


def test_cityscapes_by_training_numbers(streets):
    for path in streets.glob("gtFine/*/*/*_labelIds.png"):
        save(path.with_name(path.name.replace("labelIds", "labelTrainIds")), 13)
        path.unlink()
    source, found = read(streets, "train")
    assert {level(record) for record in found.values()} == {13}
    assert classes.of_source(source).names == cityscapes.CLASSES.names


@pytest.mark.parametrize("base", ["", "ADEChallengeData2016/"])
def test_ade20k(tmp_path, base):
    for part, number in (("training", 0), ("training", 5), ("validation", 150)):
        stem = f"{base}{{}}/{part}/ADE_{number:04}"
        save(tmp_path / (stem.format("images") + ".jpg"), (1, 2, 3))
        save(tmp_path / (stem.format("annotations") + ".png"), number)
    source, found = read(tmp_path, "train")
    assert {name: level(record) for name, record in found.items()} == {
        "ADE_0000": 255, "ADE_0005": 4,
    }  # fmt: skip
    assert source.classes["classes"][4]["name"] == "class 5"
    assert level(read(tmp_path, "eval")[1]["ADE_0150"]) == 149
    rows = ["Idx\tRatio\tTrain\tVal\tStuff\tName"]
    rows += [f"{n}\t0.1\t2\t3\t0\tthing{min(n, 149)}, synonym" for n in range(1, 151)]
    path = tmp_path / base / "objectInfo150.txt"
    path.write_text("\n".join(rows))
    names = classes.of_source(sources.create(f"folder:{tmp_path}", "train")).names
    assert names[4] == "thing5" and names[148:] == ("thing149 149", "thing149 150")
    path.write_text("Idx\n1")
    with pytest.raises(UserError, match="objectInfo150.txt is damaged"):
        read(tmp_path, "train")


def test_coco_stuff(tmp_path):
    for images, labels in (("{}2017", "stuffthingmaps/{}2017"), ("images/{}2017",
                           "annotations/{}2017"), ("{}_img", "{}_label")):  # fmt: skip
        root = tmp_path / images.format("x").replace("/", "-")
        for part, number in (("train", 0), ("train", 255), ("val", 181)):
            save(root / images.format(part) / f"{number:012}.jpg", (1, 2, 3))
            save(root / labels.format(part) / f"{number:012}.png", number)
        source, found = read(root, "train")
        assert sorted(map(level, found.values())) == [0, 255]
        assert classes.of_source(source).count == 182
        assert [level(record) for record in read(root, "eval")[1].values()] == [181]
        lines = [f"{n}: {'unlabeled' if not n else f'thing {n}'}" for n in range(183)]
        (root / "labels.txt").write_text("\n".join(lines))
        assert classes.of_source(read(root, "train")[0]).names[0] == "thing 1"


@pytest.mark.parametrize(
    "names", [("train_rgb", "train_seg13"), ("nyu_train_rgb", "train_labels_13")]
)
def test_nyu(tmp_path, names):
    for number in (0, 13):
        save(tmp_path / names[0] / f"nyu_rgb_{number:04}.png", (1, 2, 3))
        save(tmp_path / names[1] / f"new_nyu_class13_{number:04}.png", number)
        save(tmp_path / "train_depth" / f"nyu_depth_{number:04}.png", number * 2000)
    _, found = read(tmp_path, "train")
    assert {name: level(record) for name, record in found.items()} == {
        "train/0000": 255, "train/0013": 12,
    }  # fmt: skip
    assert np.isnan(found["train/0000"]["depth"]).all()
    assert found["train/0013"]["depth"][0, 0] == pytest.approx(2.6)
    with pytest.raises(UserError, match="NYU Depth v2, but holds nothing of test"):
        read(tmp_path, "eval")


def test_the_published_file_of_nyu_is_named(tmp_path):
    (tmp_path / "nyu_depth_v2_labeled.mat").write_bytes(b"MATLAB")
    with pytest.raises(UserError, match="in one MATLAB file. Write its photographs"):
        read(tmp_path, "train")


def test_camvid_with_eleven_classes(tmp_path):
    for part, number in (("train", 0), ("val", 3), ("test", 11)):
        save(tmp_path / f"{part}/0001TP_{number:04}.png", (1, 2, 3))
        save(tmp_path / f"{part}annot/0001TP_{number:04}.png", number)
    source, found = read(tmp_path, "train")
    assert sorted(map(level, found.values())) == [0, 3]
    assert [level(record) for record in read(tmp_path, "eval")[1].values()] == [255]
    assert classes.of_source(source).names == camvid.CLASSES.names
    other = sources.create(f"held_out:0001TP_0003:folder:{tmp_path}", "eval")
    assert [record["id"] for record in other] == ["0001TP_0003"]


def test_camvid_as_published(tmp_path):
    colours = {"a": (128, 128, 128), "b": (64, 192, 0), "c": (0, 0, 0), "d": (128, 64, 64)}
    for name, colour in colours.items():
        save(tmp_path / f"701_StillsRaw_full/{name}.png", (1, 2, 3))
        save(tmp_path / f"LabeledApproved_full/{name}_L.png", colour)
    _, found = read(tmp_path, "all")
    # Walls are gathered with buildings, whatever else moves with cars.
    assert {name: level(record) for name, record in found.items()} == {
        "a": 0, "b": 1, "c": 255, "d": 8,
    }  # fmt: skip
    save(tmp_path / "LabeledApproved_full/b_L.png", (1, 1, 1))
    source, _ = read(tmp_path, "all")
    assert "holds the colour (1, 1, 1)" in next(iter(source.skipped.values()))


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("leftImg8bit/train",), "Cityscapes: it has leftImg8bit/ but no gtFine/"),
        (("gtFine/train",), "Cityscapes: it has gtFine/ but no leftImg8bit/"),
        (("annotations/training",), "ADE20K: it has annotations/ but no images/"),
        (("train_label",), "COCO-Stuff, but its images are missing"),
        (("train_seg13",), "NYU Depth v2, but its images are missing"),
        (("trainannot",), "CamVid, but its images are missing"),
    ],
)
def test_what_is_missing_is_named(tmp_path, folders, message):
    for folder in folders:
        save(tmp_path / folder / "x.png", 0)
    with pytest.raises(UserError, match=message):
        sources.create(f"folder:{tmp_path}", "train")


def test_label_maps_of_other_names_and_sizes_are_named(tmp_path):
    save(tmp_path / "train/a.png", (1, 2, 3))
    save(tmp_path / "trainannot/b.png", 0)
    with pytest.raises(UserError, match="No label map in .*trainannot belongs to an image"):
        read(tmp_path, "train")
    save(tmp_path / "trainannot/a.png", 0, shape=(4, 8))
    with pytest.raises(UserError, match="has 8 x 4 pixels, but its image.*8 x 6"):
        sources.create(f"folder:{tmp_path}", "train").read(0)


def test_a_plain_folder_beside_annotations_stays_plain(tmp_path):
    save(tmp_path / "images/a.png", (1, 2, 3))
    save(tmp_path / "images/b.png", (1, 2, 3))
    save(tmp_path / "labels/a.png", 3)
    save(tmp_path / "annotations/training/a.png", 0)
    (tmp_path / "classes.json").write_text(json.dumps(["a", "b", "c", "d"]))
    assert level(read(tmp_path, "all")[1]["a"]) == 3
