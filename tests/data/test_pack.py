"""Packing a folder into shards, and reading them as `array_record:PATH`."""

import json
import os
import pickle

import numpy as np
import pytest

from jaxedit.data import array_record, pack, sources
from jaxedit.errors import UserError
from tests.data import folders


@pytest.fixture
def root(tmp_path):
    root = folders.write(tmp_path / "folder", 20)
    folders.write_companions(root, 20)
    return root


def records(source):
    return {record["id"]: record for record in (source[i] for i in range(len(source)))}


@pytest.mark.parametrize("shards", [1, 3])
def test_round_trip(root, tmp_path, shards):
    seen = []
    packed = pack.pack(root, tmp_path / "out", shards, progress=lambda *count: seen.append(count))
    assert packed.skipped == {} and packed.output == tmp_path / "out"
    assert seen == [(number, 20) for number in range(1, 21)]
    assert len(list((tmp_path / "out").glob("train-*.arrayrecord"))) == shards
    for split in ("train", "eval", "all"):
        source = sources.create(f"array_record:{tmp_path}/out", split)
        expected = records(sources.create(f"folder:{root}", split))
        found = records(source)
        assert found.keys() == expected.keys()
        assert packed.records.get(split, 20) == len(source) == len(expected)
        for name in expected:
            assert found[name].keys() == expected[name].keys()
            for key, value in expected[name].items():
                np.testing.assert_array_equal(found[name][key], value)
        assert source.classes == {"classes": ["a", "b", "c", "d", "e"]}


def test_image_files_are_kept_byte_for_byte(root, tmp_path):
    pack.pack(root, tmp_path / "out")
    source = sources.create(f"array_record:{tmp_path}/out", "train")
    for index in range(len(source)):
        stem = source[index]["id"]
        for folder in ("images", "masks", "labels"):
            assert (root / folder / f"{stem}.png").read_bytes() in source._entries[index]


def test_keys_and_inverted_masks(root, tmp_path):
    pack.pack(root, tmp_path / "out", invert_masks=True)
    source = sources.create(f"array_record:{tmp_path}/out", "all", keys=("image", "mask"))
    expected = records(sources.create(f"folder:{root}", "all", invert_masks=True))
    for record in (source[index] for index in range(len(source))):
        assert set(record) == {"image", "mask", "id"}
        np.testing.assert_array_equal(record["mask"], expected[record["id"]]["mask"])


def test_missing_keys_are_bad_records(tmp_path):
    pack.pack(folders.write(tmp_path / "plain", 12), tmp_path / "out")
    source = sources.create(f"array_record:{tmp_path}/out", "train", keys=("mask",))
    with pytest.raises(sources.BadRecord, match="has no mask"):
        source.read(0)


def test_bad_files_are_left_out_and_reported(tmp_path):
    root = folders.write(tmp_path / "folder", 30)
    names = [item.id for item in sources.create(f"folder:{root}", "train").items[:2]]
    (root / "images" / f"{names[0]}.png").write_bytes(b"")
    cut = root / "images" / f"{names[1]}.png"
    cut.write_bytes(cut.read_bytes()[:-600])
    packed = pack.pack(root, tmp_path / "out", 2)
    assert sum(packed.records.values()) == 28
    assert {os.path.basename(path) for path in packed.skipped} == {f"{n}.png" for n in names}
    source = sources.create(f"array_record:{tmp_path}/out", "all")
    assert len(records(source)) == 28 and source.report() is None


def test_failures_leave_nothing_behind(tmp_path):
    root = folders.write(tmp_path / "folder", 20)
    for number in range(8):
        cut = root / "images" / f"{number:03d}.png"
        cut.write_bytes(cut.read_bytes()[:-600])
    with pytest.raises(UserError, match="max_bad_share"):
        pack.pack(root, tmp_path / "out")
    with pytest.raises(UserError, match="absent does not exist"):
        pack.pack(tmp_path / "absent", tmp_path / "out")
    with pytest.raises(UserError, match="at least one"):
        pack.pack(root, tmp_path / "out", 0)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_an_interrupted_run_leaves_nothing_behind(tmp_path):
    root = folders.write(tmp_path / "folder", 5)

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack.pack(root, tmp_path / "out", progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_an_existing_output_is_not_touched(tmp_path):
    root = folders.write(tmp_path / "folder", 5)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("keep")
    with pytest.raises(UserError, match="out already exists"):
        pack.pack(root, tmp_path / "out")
    assert (tmp_path / "out" / "precious").read_text() == "keep"
    (tmp_path / "out" / "precious").unlink()
    pack.pack(root, tmp_path / "out")  # an empty folder may be filled
    assert (tmp_path / "out" / "index.json").is_file()


def test_a_single_image_makes_no_evaluation_shard(tmp_path):
    packed = pack.pack(folders.write(tmp_path / "folder", 1), tmp_path / "out", 4)
    assert packed.records == {"train": 1}
    with pytest.raises(sources.EmptySplit):
        sources.create(f"array_record:{tmp_path}/out", "eval")


class TestDamage:
    @pytest.fixture
    def packed(self, tmp_path):
        pack.pack(folders.write(tmp_path / "folder", 12), tmp_path / "out")
        return tmp_path / "out"

    def open(self, packed):
        return sources.create(f"array_record:{packed}", "train")

    def test_no_index(self, tmp_path):
        with pytest.raises(UserError, match="holds no index.json.*jaxedit data pack"):
            self.open(tmp_path)

    def test_truncated_or_missing_shard(self, packed):
        shard = packed / "train-00000-of-00001.arrayrecord"
        shard.write_bytes(shard.read_bytes()[:-10])
        with pytest.raises(UserError, match="train-00000.*truncated"):
            self.open(packed)
        shard.unlink()
        with pytest.raises(UserError, match="train-00000.*missing"):
            self.open(packed)

    def test_damaged_or_foreign_index(self, packed):
        index = json.loads((packed / "index.json").read_text())
        (packed / "index.json").write_text(json.dumps({**index, "version": 99}))
        with pytest.raises(UserError, match="version 99"):
            self.open(packed)
        for key, value in (("bytes", None), ("records", 2.5), ("file", 3)):
            shard = {**index["splits"]["train"][0], key: value}
            damaged = {**index, "splits": {"train": [shard]}}
            (packed / "index.json").write_text(json.dumps(damaged))
            with pytest.raises(UserError, match="index.json is damaged"):
                self.open(packed)
        (packed / "index.json").write_text("{}")
        with pytest.raises(UserError, match="index.json is damaged"):
            self.open(packed)

    def test_flipped_bytes_make_bad_records(self, packed):
        shard = packed / "train-00000-of-00001.arrayrecord"
        content = bytearray(shard.read_bytes())
        content[3000:3040] = bytes(40)  # inside the second record
        shard.write_bytes(content)
        source = self.open(packed)
        with pytest.raises(sources.BadRecord, match="record 1 cannot be read.*hash mismatch"):
            source.read(1)
        assert source[1]["id"] == source[2]["id"]
        assert source.report().startswith(f"array_record:{packed}: skipped 1 of ")

    def test_foreign_entries_are_named(self):
        with pytest.raises(UserError, match="entry 3 is not a record"):
            array_record.decode(b"something else", "entry 3")
        with pytest.raises(UserError, match="entry 3 is damaged"):
            array_record.decode(b"JXR1\xff\xff\xff\xff{}", "entry 3")

    def test_picklable(self, packed):
        source = self.open(packed)
        source[0]
        copy = pickle.loads(pickle.dumps(source))
        np.testing.assert_array_equal(copy[3]["image"], source[3]["image"])


def test_nothing_is_packed_where_no_picture_can_be_read(tmp_path):
    root = folders.write(tmp_path / "in", 1)
    picture = root / "images" / "000.png"
    picture.write_bytes(picture.read_bytes()[:900])  # its header is sound
    with pytest.raises(UserError, match="not one picture.*000.png"):
        pack.pack(root, tmp_path / "out")
    assert not (tmp_path / "out").exists()
