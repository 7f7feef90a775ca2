"""`jaxedit bank`: built from a folder, shown, and rid of a picture, as a person types it."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from jaxedit import cli
from jaxedit.data import sources
from jaxedit.host import locks
from jaxedit.methods.sims import bank as bank_lib
from jaxedit.run import artifacts
from tests.host.test_locks import holder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five pictures of sky over road, one of them under a licence of its own."""
    root = tmp_path_factory.mktemp("streets")
    for name in ("images", "labels"):
        (root / name).mkdir()
    for number in range(5):
        label = np.zeros((16, 32), np.uint8)
        label[8 + number :] = 1
        colours = np.where(label[..., None] == 0, (10, 20, 200 + number), (90, 80, 70))
        Image.fromarray(colours.astype(np.uint8)).save(root / "images" / f"{number}.png")
        Image.fromarray(label).save(root / "labels" / f"{number}.png")
    (root / "classes.json").write_text(json.dumps(["sky", "road", "car"]))
    row = {"id": "3", "licence": "CC0-1.0", "source": "an archive <b>"}
    (root / "manifest.jsonl").write_text(json.dumps(row) + "\n")
    return root


def bank(*words):
    return cli.main(["bank", *map(str, words)])


def test_build_inspect_remove(folder, tmp_path, capsys):
    made, page = tmp_path / "streets.bank", tmp_path / "pages" / "streets.html"
    assert bank("build", folder, made, "--licence", "own work", "--size", "32x16",
                "--scale", 2, "--thin", "car") == 0
    said = capsys.readouterr().err
    assert "cutting 5 pictures" in said and "10 segments of 5 pictures, in " in said
    assert not made.with_name("streets.bank.partial").exists()
    opened = bank_lib.opened(made)
    assert opened.facts["licences"] == {"CC0-1.0": 1, "own work": 4}
    assert opened.size == (16, 32) and opened.scale == 2
    part = tmp_path / "part.bank"
    assert bank("build", folder, part, "--licence", "x", "--size", "32x16", "--split", "train") == 0
    names = sources.create(f"folder:{folder}", "train")
    assert 0 < len(bank_lib.opened(part).images) == len(names) < 5
    capsys.readouterr()

    assert bank("inspect", made, "--output", page, "--per-class", 2) == 0
    shown, text = capsys.readouterr().out, page.read_text()
    assert "| road | 5 | 5 |" in shown and "| car | 0 | 0 |" in shown and "1 CC0-1.0" in shown
    assert text.count("data:image/png") == 4 and "an archive &lt;b&gt;" in text
    assert "http" not in text and "src=\"data:" in text

    assert bank("remove", made, "3", "nobody") == 2  # none goes if one is unknown
    assert len(bank_lib.opened(made).images) == 5
    assert bank("remove", made, "3") == 0
    left = bank_lib.opened(made)
    assert [image["id"] for image in left.images].count("3") == 0 and len(left) == 8
    assert all(b"archive" not in path.read_bytes() for path in made.rglob("*") if path.is_file())
    capsys.readouterr()
    assert bank("build", folder, made, "--licence", "x") == 2
    assert "already exists" in capsys.readouterr().err


@pytest.mark.parametrize("words, message", [
    (("--licence", "x", "--size", "32"), "WIDTHxHEIGHT"),
    (("--licence", " "), "licence is empty"),
    (("--licence", "x", "--scale", "0"), "give 1 or more"),
    (("--licence", "x", "--thin", "cars"), "Did you mean 'car'"),
    (("--licence", "x", "--only", "MIT"), "under MIT"),
])
def test_bad_words(folder, tmp_path, capsys, words, message):
    assert bank("build", folder, tmp_path / "bank", *words) == 2
    assert message in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_licence_must_be_said_and_labels_be_there(folder, tmp_path, capsys):
    with pytest.raises(SystemExit):
        bank("build", folder, tmp_path / "bank")
    assert "--licence" in capsys.readouterr().err
    assert bank("build", folder / "images", tmp_path / "bank", "--licence", "x") == 2
    assert "no label map" in capsys.readouterr().err and not list(tmp_path.iterdir())
    assert bank("build", tmp_path / "none", tmp_path / "bank", "--licence", "x") == 2
    assert "does not exist. Check the path." in capsys.readouterr().err
    assert bank("inspect", folder) == 2
    assert "no memory bank" in capsys.readouterr().err


def test_a_refusal_half_way_keeps_what_is_cut(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("jaxedit.methods.sims.bank_building.PICTURES", 3)
    own = tmp_path / "own"
    shutil.copytree(folder, own)
    last = [record["id"] for record in sources.create(f"folder:{own}", "all")][3:]
    for name in last:
        Image.fromarray(np.full((16, 32), 77, np.uint8)).save(own / "labels" / f"{name}.png")
    made = tmp_path / "bank"
    words = ("build", own, made, "--licence", "x", "--size", "32x16")
    assert bank(*words) == 2
    said = capsys.readouterr().err
    assert "class numbers 77" in said and "What is cut so far is kept in" in said
    assert len(list(made.with_name("bank.partial").glob("part-0/*"))) == 1
    shutil.copytree(folder, own, dirs_exist_ok=True)
    assert bank(*words) == 0 and len(bank_lib.opened(made).images) == 5
    assert not made.with_name("bank.partial").exists()


def test_one_process_at_a_time_builds_or_changes_a_bank(folder, tmp_path, capsys):
    made = tmp_path / "bank"
    words = ("build", folder, made, "--licence", "x", "--size", "32x16")
    work = artifacts.work_folder(made)
    process = holder(work)
    try:
        piece = work / "part-0" / ".colours.npy.1-0000abcd.tmp"  # as the other is writing it
        piece.parent.mkdir()
        piece.write_text("half")
        assert bank(*words) == 2
        said = capsys.readouterr().err
        assert f"in use by process {process.pid} on host" in said and "another output" in said
        assert piece.read_text() == "half" and not made.exists()
    finally:
        process.kill()
        process.wait()
    assert bank(*words) == 0 and not work.exists()  # the lock's folder goes too
    assert bank("remove", made, "3") == 0
    process = holder(made)  # nothing beside the bank need be writable
    try:
        assert bank("remove", made, "2") == 2
        assert f"in use by process {process.pid}" in capsys.readouterr().err
        assert len(bank_lib.opened(made).images) == 4
    finally:
        process.kill()
        process.wait()
    assert bank("remove", made, "2") == 0 and len(bank_lib.opened(made).images) == 3
    assert not any((made / name).exists() for name in locks.FILES)
    assert bank("remove", tmp_path / "nothing", "2") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["bank"]


@pytest.mark.parametrize(("name", "value"), [
    ("frame", None), ("frame", [16]), ("scale", float("inf")), ("classes", None),
    ("shards", "x"), ("segments", None), ("licences", []),
])
def test_a_damaged_manifest_is_named(folder, tmp_path, capsys, name, value):
    made = tmp_path / "bank"
    assert bank("build", folder, made, "--licence", "x", "--size", "32x16") == 0
    content = json.loads((made / "manifest.json").read_text())
    content["facts"][name] = value
    (made / "manifest.json").write_text(json.dumps(content))
    assert bank("inspect", made) == 2
    assert f"is damaged: its manifest.json has no right '{name}'" in capsys.readouterr().err
