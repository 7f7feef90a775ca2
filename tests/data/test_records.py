"""Declared keys and their kinds: read from folders, packed, and read back without loss."""

import json

import numpy as np
import pytest
from PIL import Image

from jaxedit.data import array_record, pack, records, sources
from jaxedit.errors import UserError
from tests.data import folders


@pytest.fixture
def declared(monkeypatch):
    """Keys as a paper would declare them; forgotten after the test."""
    monkeypatch.setattr(records, "_declared", records.declared())
    records.declare("prompt", "text")
    records.declare("strength", "number")
    records.declare("latent", "array", folder="codes")


def equal(found, expected):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value)
        if isinstance(value, np.ndarray):
            assert found[key].dtype == value.dtype, key
        else:
            assert type(found[key]) is type(value), key


def write(root, count=6):
    """A folder with a value of every kind that a folder can hold."""
    folders.write(root, count)
    folders.write_companions(root, count)
    for name in ("codes", "depths", "instances", "targets"):
        (root / name).mkdir()
    rows = []
    for number in range(count):
        rng = np.random.default_rng(number)
        np.save(root / f"codes/{number:03d}.npy", rng.normal(size=(4, 2)).astype(np.float32))
        np.save(root / f"depths/{number:03d}.npy", rng.random((20, 24)))
        np.save(root / f"instances/{number:03d}.npy", rng.integers(0, 70_000, (20, 24)))
        Image.fromarray(folders.picture(100 + number)).save(root / f"targets/{number:03d}.png")
        rows.append({"id": f"{number:03d}", "prompt": f"ø {number}", "strength": number / 7,
                     "attributes": {"size": [1, number]}, "caption": "not this one"})
    (root / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return root


def test_a_folder_holds_any_declared_key_and_so_do_its_shards(declared, tmp_path):
    root = write(tmp_path / "folder")
    source = sources.create(f"folder:{root}", "all")
    found = {record["id"]: record for record in source}
    rng = np.random.default_rng(4)
    latent, depth = rng.normal(size=(4, 2)).astype(np.float32), rng.random((20, 24))
    equal(
        {key: found["004"][key] for key in records.declared().keys() & found["004"].keys()
         if key not in ("image", "mask", "alpha", "trimap", "label")},
        {"latent": latent, "depth": depth, "target": folders.picture(104), "prompt": "ø 4",
         "instance": rng.integers(0, 70_000, (20, 24)).astype(np.int32), "strength": 4 / 7,
         "attributes": {"size": [1, 4]}, "caption": "picture 4"},
    )
    pack.pack(root, tmp_path / "packed")
    packed = sources.create(f"array_record:{tmp_path}/packed", "all")
    assert len(packed) == len(found)
    for record in packed:
        equal(record, found[record["id"]])
    some = sources.create(f"array_record:{tmp_path}/packed", "all", keys=("latent", "prompt"))
    assert set(some[0]) == {"image", "id", "latent", "prompt"}


def test_a_record_of_any_origin_is_stored_without_loss(declared):
    rng = np.random.default_rng(0)
    record = {
        "id": "a/b", "image": folders.picture(1), "mask": rng.random((20, 24)) < 0.5,
        "alpha": folders.picture(2)[..., 0],
        "trimap": rng.choice(np.uint8([0, 128, 255]), (20, 24)),
        "foreground": folders.picture(3), "label": rng.integers(-9, 99_999, (20, 24), np.int32),
        "depth": rng.random((20, 24), np.float32), "latent": rng.normal(size=(2, 3, 4)),
        "caption": "ü", "kind": "hair", "prompt": "", "strength": 1, "class_label": 3,
        "attributes": {"a": None, "b": [1.5, "x"]},
    }
    equal(array_record.decode(array_record.encode_record(record), "here"), record)
    for key, value, message in (
        ("mask", record["alpha"], "'mask' is uint8.*no mask"),
        ("depth", np.zeros((3, 4)), r"'depth' has \(3, 4\) pixels"),
        ("strength", "much", "'strength' is str, which is no number"),
        ("mood", "good", "No record key 'mood'.*"),
        ("id", 3, "needs an `id`"),
    ):
        with pytest.raises(UserError, match=message):
            array_record.encode_record({**record, key: value})


def test_what_an_older_version_packed_still_reads():
    picture = array_record.encode_record({"id": "x", "image": folders.picture(1)})
    header = b'{"id": "x", "stem": "x", "files": [], "caption": "c", "kind": "k"}'
    old = b"JXR1" + len(header).to_bytes(4, "little") + header
    assert array_record.decode(old, "x") == {"id": "x", "caption": "c", "kind": "k"}
    assert b'"told"' not in picture  # what old keys need is written as it was


def test_declarations_are_checked(declared):
    records.declare("latent", "array", folder="codes")  # the same again
    for arguments, message in (
        ({"key": "latent", "kind": "image"}, "'latent' is declared already"),
        ({"key": "code", "kind": "array", "folder": "codes"}, "codes/ is declared already, for"),
        ({"key": "x", "kind": "imag"}, "Did you mean 'image'"),
        ({"key": "id", "kind": "text"}, "cannot be declared"),
        ({"key": "two words", "kind": "text"}, "cannot be declared"),
        ({"key": "hint", "kind": "text", "folder": "hints"}, "only kinds of files"),
    ):
        with pytest.raises(UserError, match=message):
            records.declare(**arguments)
    assert "code" not in records.declared()
    with pytest.raises(UserError, match="No record key 'dept'.*Did you mean 'depth'"):
        records.check_keys(("dept",))


def test_wrong_values_are_bad_records_or_named_lines(declared, tmp_path):
    root = write(tmp_path, 12)
    np.save(root / "depths/003.npy", np.zeros((4, 4)))
    (root / "codes/004.npy").write_bytes(b"\x93NUMPY\x01\x00")
    np.save(root / "codes/005.npy", np.array([{}]), allow_pickle=True)
    np.save(root / "instances/006.npy", np.zeros((20, 24)))
    source = sources.create(f"folder:{root}", "all", max_bad_share=0.9)
    places = {item.id: place for place, item in enumerate(source.items)}
    for name, message in (
        ("003", "4 x 4 pixels.*24 x 20"), ("004", "004.npy cannot be read as an array"),
        ("005", "005.npy cannot be read as an array"), ("006", "006.npy is not a label map"),
    ):
        with pytest.raises(sources.BadRecord, match=message):
            source.read(places[name])
    (root / "manifest.jsonl").write_text('{"id": "000", "strength": "much"}')
    with pytest.raises(UserError, match="manifest.jsonl, line 1: 'strength' is 'much'.*number"):
        sources.create(f"folder:{root}", "all")


def test_a_paper_declares_in_its_own_module(monkeypatch, tmp_path):
    import jaxedit.methods

    (tmp_path / "toy_paper").mkdir()
    (tmp_path / "toy_paper" / "__init__.py").write_text("")
    (tmp_path / "toy_paper" / "records.py").write_text(
        "from jaxedit.data import records\nrecords.declare('edit_prompt', 'text')\n"
    )
    monkeypatch.setattr(records, "_declared", records.declared())
    monkeypatch.setattr(
        jaxedit.methods, "__path__", [*jaxedit.methods.__path__, str(tmp_path)]
    )
    records._load_papers.cache_clear()
    assert records.declared()["edit_prompt"].kind == "text"


@pytest.mark.parametrize("number", [2**33, -(2**40), 2**63])
def test_a_class_number_that_would_wrap_round_is_refused(tmp_path, number):
    """2**33 would become class 0."""
    labels = np.zeros((3, 3), np.uint64 if number > 2**62 else np.int64)
    labels[1, 1] = number
    np.save(tmp_path / "a.npy", labels)
    with pytest.raises(UserError, match=f"class number {abs(number)}"):
        records.KINDS["label"].read(tmp_path / "a.npy")
