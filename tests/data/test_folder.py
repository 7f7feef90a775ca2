"""The source `folder:PATH`."""

import json
import os
import pickle

import numpy as np
import pytest
from PIL import Image

from jaxedit.data import folder, sources
from jaxedit.errors import UserError
from tests.data import folders


def ids(source):
    return [source[index]["id"] for index in range(len(source))]


def test_images_directly_in_the_folder_or_below_images(tmp_path):
    folders.write(tmp_path / "a", 6)
    folders.write(tmp_path / "b", 6, below=".")
    for root in (tmp_path / "a", tmp_path / "b"):
        source = sources.create(f"folder:{root}", "all")
        assert sorted(ids(source)) == [f"{number:03d}" for number in range(6)]
        for index in range(6):
            record = source[index]
            np.testing.assert_array_equal(record["image"], folders.picture(int(record["id"])))
    np.testing.assert_array_equal(
        ids(sources.create(f"folder:{tmp_path}/a", "train")),
        ids(sources.create(f"folder:{tmp_path}/b", "train")),
    )


def test_train_and_eval_are_disjoint_and_complete(tmp_path):
    root = folders.write(tmp_path, 40)
    parts = [set(ids(sources.create(f"folder:{root}", split))) for split in ("train", "eval")]
    assert parts[0] and parts[1] and not parts[0] & parts[1]
    assert len(parts[0] | parts[1]) == 40
    assert len(sources.create(f"folder:{root}", "eval", holdout=0.5)) > len(parts[1])


def test_folders_train_and_eval_replace_the_rule(tmp_path):
    folders.write(tmp_path / "train", 5)
    folders.write(tmp_path / "eval", 3, below=".")
    assert len(sources.create(f"folder:{tmp_path}", "train")) == 5
    assert len(sources.create(f"folder:{tmp_path}", "eval")) == 3
    everything = ids(sources.create(f"folder:{tmp_path}", "all"))
    assert len(set(everything)) == 8 and "train/000" in everything and "eval/000" in everything


def test_one_of_the_two_folders_alone_is_an_error(tmp_path):
    folders.write(tmp_path / "train", 5)
    with pytest.raises(UserError, match="train/ but no eval/"):
        sources.create(f"folder:{tmp_path}", "train")


def test_sub_folders_and_suffixes(tmp_path):
    folders.write(tmp_path, 3, below="images/holiday")
    folders.write(tmp_path, 2, below="images", suffix="JPG")
    (tmp_path / "images" / ".hidden.png").write_bytes(b"")
    (tmp_path / "images" / "notes.txt").write_text("no image")
    found = ids(sources.create(f"folder:{tmp_path}", "all"))
    assert sorted(found) == ["000", "001", "holiday/000", "holiday/001", "holiday/002"]


def test_images_that_share_a_stem_stay_apart_but_on_one_side(tmp_path):
    folders.write(tmp_path, 12)
    folders.write(tmp_path, 12, suffix="bmp")
    parts = [ids(sources.create(f"folder:{tmp_path}", split)) for split in ("train", "eval")]
    assert len(set(parts[0]) | set(parts[1])) == 24
    stems = [{name.split(".")[0] for name in part} for part in parts]
    assert not stems[0] & stems[1]


def test_stems_with_dots_are_split_one_by_one(tmp_path):
    (tmp_path / "images").mkdir()
    for number in range(30):
        Image.fromarray(folders.picture(number)).save(tmp_path / f"images/frame.{number:03d}.png")
    assert len(sources.create(f"folder:{tmp_path}", "eval", holdout=0.3)) > 1
    assert len(sources.create(f"folder:{tmp_path}", "train", holdout=0.3)) > 1


def test_companions(tmp_path):
    root = folders.write(tmp_path, 12)
    folders.write_companions(root, 12)
    source = sources.create(f"folder:{root}", "all")
    for index in range(12):
        record = source[index]
        number = int(record["id"])
        picture = folders.picture(number)
        rows = np.arange(20)[:, None] < 2 + number % 10
        np.testing.assert_array_equal(record["mask"], np.broadcast_to(rows, (20, 24)))
        np.testing.assert_array_equal(record["alpha"], picture[..., 0])
        np.testing.assert_array_equal(
            record["trimap"], np.broadcast_to(np.where(rows, 255, 128), (20, 24))
        )
        np.testing.assert_array_equal(record["label"], picture[..., 0] % 5)
        assert record["label"].dtype == np.int32 and record["trimap"].dtype == np.uint8
        assert record["caption"] == f"picture {number}"
    assert source.classes == {"classes": ["a", "b", "c", "d", "e"]}
    inverted = sources.create(f"folder:{root}", "all", invert_masks=True)
    np.testing.assert_array_equal(inverted[0]["mask"], ~source[0]["mask"])


def test_layers_and_kinds(tmp_path):
    root = folders.write(tmp_path, 4)
    for name in ("foregrounds", "backgrounds"):
        (root / name).mkdir()
        for number in range(3):
            shift = 100 if name == "foregrounds" else 200
            Image.fromarray(folders.picture(shift + number)).save(root / name / f"{number:03d}.png")
    rows = [{"id": "000", "kind": "hair"}, {"id": "001", "license": "mine"}]
    (root / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    records = {record["id"]: record for record in sources.create(f"folder:{root}", "all")}
    np.testing.assert_array_equal(records["002"]["foreground"], folders.picture(102))
    np.testing.assert_array_equal(records["002"]["background"], folders.picture(202))
    assert set(records["003"]) == {"image", "id"}
    assert {key for key, record in records.items() if "kind" in record} == {"000"}
    assert records["000"]["kind"] == "hair"
    without = sources.create(f"folder:{root}", "all", keys=("image",))
    assert all(set(record) == {"image", "id"} for record in without)
    (root / "manifest.jsonl").write_text('{"kind": "hair"}\n')
    with pytest.raises(UserError, match="manifest.jsonl, line 1.*kind"):
        sources.create(f"folder:{root}", "all")


def test_keys_choose_and_demand(tmp_path):
    root = folders.write(tmp_path, 20)
    folders.write_companions(root, 20)
    (root / "masks" / "004.png").unlink()
    source = sources.create(f"folder:{root}", "all", keys=["image", "caption"])
    assert all(set(source[index]) == {"image", "caption", "id"} for index in range(20))
    demanding = sources.create(f"folder:{root}", "all", keys=("mask",))
    assert len(demanding) == 19 and "004" not in ids(demanding)
    assert "004.png" in demanding.report()
    everything = sources.create(f"folder:{root}", "all")
    assert len(everything) == 20
    assert sum("mask" in everything[index] for index in range(20)) == 19


@pytest.mark.parametrize(
    ("key", "content", "message"),
    [
        ("mask", lambda: np.full((20, 24), 77, np.uint8), "mask of grey values"),
        ("mask", lambda: np.zeros((10, 24), np.uint8), "24 x 10 pixels.*24 x 20"),
        ("trimap", lambda: np.full((20, 24), 60, np.uint8), "value 60"),
        ("alpha", lambda: folders.picture(3), "colour image"),
        ("label", lambda: folders.picture(3), "not a label map"),
    ],
)
def test_wrong_companions_are_bad_records(tmp_path, key, content, message):
    root = folders.write(tmp_path, 12)
    folders.write_companions(root, 12)
    Image.fromarray(content()).save(root / f"{key}s" / "003.png")
    source = sources.create(f"folder:{root}", "all")
    index = [item.id for item in source.items].index("003")
    with pytest.raises(sources.BadRecord, match=message):
        source.read(index)
    assert source[index]["id"] != "003"


def test_corrupt_and_empty_files_are_skipped_and_reported(tmp_path, caplog):
    root = folders.write(tmp_path, 30)
    (root / "images" / "004.png").write_bytes(b"")
    (root / "images" / "009.png").write_bytes(b"no image at all")
    cut = root / "images" / "017.png"
    cut.write_bytes(cut.read_bytes()[:-600])
    source = sources.create(f"folder:{root}", "all")
    assert len(source) == 28  # the two whose header tells
    assert "004.png is empty" in caplog.text and "009.png" in caplog.text
    found = ids(source)
    assert "017" not in found and len(set(found)) == 27
    assert found == ids(sources.create(f"folder:{root}", "all"))
    assert source.report().endswith("skipped 3 of 30 records: " + ", ".join(source.skipped))
    assert {os.path.basename(name) for name in source.skipped} == {"004.png", "009.png", "017.png"}


def test_too_many_bad_files_are_an_error(tmp_path):
    root = folders.write(tmp_path, 20)
    for number in range(3):
        (root / "images" / f"{number:03d}.png").write_bytes(b"")
    with pytest.raises(UserError, match="3 of 20 records.*max_bad_share"):
        sources.create(f"folder:{root}", "all")
    assert len(sources.create(f"folder:{root}", "all", max_bad_share=0.5)) == 17


def test_nothing_to_read_is_named(tmp_path):
    with pytest.raises(UserError, match="absent does not exist"):
        sources.create(f"folder:{tmp_path}/absent", "train")
    with pytest.raises(UserError, match="No image found in"):
        sources.create(f"folder:{tmp_path}", "train")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is not a folder"):
        sources.create(f"folder:{tmp_path}/file", "train")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "only.png").write_bytes(b"")
    with pytest.raises(UserError, match="no image can be read.*only.png"):
        sources.create(f"folder:{tmp_path}", "train")


def test_a_single_image_trains_and_leaves_nothing_to_evaluate(tmp_path):
    root = folders.write(tmp_path, 1)
    assert len(sources.create(f"folder:{root}", "train")) == 1
    with pytest.raises(sources.EmptySplit, match="too few images"):
        sources.create(f"folder:{root}", "eval")
    assert len(sources.create(f"folder:{folders.write(tmp_path, 2)}", "eval")) == 1


def test_impossible_options_are_named(tmp_path):
    root = folders.write(tmp_path, 3)
    with pytest.raises(UserError, match="holdout is 1.5"):
        sources.create(f"folder:{root}", "train", holdout=1.5)
    (root / "captions.jsonl").write_text('{"id": "000"}\n')
    with pytest.raises(UserError, match="captions.jsonl, line 1"):
        sources.create(f"folder:{root}", "train")
    (root / "captions.jsonl").unlink()
    (root / "classes.json").write_text("{")
    with pytest.raises(UserError, match="classes.json is not valid JSON"):
        sources.create(f"folder:{root}", "train")


def test_large_images_are_refused_from_the_header(tmp_path):
    root = folders.write(tmp_path, 20)
    Image.new("RGB", (100, 100)).save(root / "images" / "large.png")
    source = sources.create(f"folder:{root}", "all", max_pixels=20 * 24)
    assert len(source) == 20 and "max_pixels" in list(source.skipped.values())[0]


def test_the_cache_changes_nothing_and_keeps_to_its_limit(tmp_path):
    root = folders.write(tmp_path, 10)
    plain = sources.create(f"folder:{root}", "all", cache_mb=0)
    cached = sources.create(f"folder:{root}", "all", cache_mb=3 * 20 * 24 * 3 / 2**20)
    for _ in range(2):
        for index in range(10):
            np.testing.assert_array_equal(plain[index]["image"], cached[index]["image"])
    assert len(cached._cache) == 3 and not plain._cache
    cached[0]["image"] = None  # a transform may change the record, never the cache
    assert cached[0]["image"] is not None
    with pytest.raises(ValueError, match="read-only"):
        cached[0]["image"][:] = 0


def test_picklable(tmp_path):
    source = sources.create(f"folder:{folders.write(tmp_path, 5)}", "all")
    before = ids(source)
    assert ids(pickle.loads(pickle.dumps(source))) == before


def test_captions_may_name_the_file_with_its_suffix(tmp_path):
    root = folders.write(tmp_path, 3)
    folders.write(root, 1, suffix="bmp")  # 000.png and 000.bmp share a stem
    rows = [
        {"id": "000.png", "caption": "p"},
        {"id": "000.bmp", "caption": "b"},
        {"id": "001", "caption": "one"},
    ]
    (root / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    items = folder.FolderSource(root, "all").items
    captions = {item.id: item.told.get("caption") for item in items}
    assert captions == {"000.png": "p", "000.bmp": "b", "001": "one", "002": None}
