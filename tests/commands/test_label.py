"""`jaxedit label` from its arguments to its files, with an untrained segmenter."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from jaxedit import cli
from jaxedit.commands import label
from jaxedit.data import classes as classes_lib
from jaxedit.data import sources
from tests import fake_run, shrink


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fake_run.untrained(tmp_path_factory.mktemp("label") / "run", shrink.segmentation())


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for name, size in (("a", (40, 60, 3)), ("b", (40, 60, 3))):
        Image.fromarray(rng.integers(0, 256, size, np.uint8)).save(tmp_path / f"images/{name}.jpg")
    return tmp_path


def go(*words):
    return cli.main([str(word) for word in words])


def test_a_folder_becomes_a_data_set(run, photos, capsys):
    start = ("label", photos / "images", "--run", run, "--output", photos / "labels")
    assert go(*start) == 0
    said = capsys.readouterr().err
    assert "a.png: " in said and "mean confidence" in said
    named = photos / "labels" / "classes.json"
    assert f"{named} names the classes" in said
    for name in "ab":
        found = Image.open(photos / f"labels/{name}.png")
        assert found.mode == "P" and found.size == (60, 40)
        assert f"\n  {photos}/labels/{name}-preview.png: the map over the photo" in said
        preview = Image.open(photos / f"labels/{name}-preview.png")
        assert preview.width == 120 and preview.height > 40
    (photos / "classes.json").write_bytes(named.read_bytes())
    source = sources.create(f"folder:{photos}", "all")
    names = classes_lib.of_source(source).names
    assert len(source) == 2 and names[0] == "sky"
    for record in source:
        assert record["label"].shape == (40, 60) and record["label"].max() < len(names)
    # What is there is not replaced without being asked to; other classes never silently.
    assert go(*start) == 2 and "already exists" in capsys.readouterr().err
    assert go(*start, "--overwrite") == 0
    assert go(*start, "--skip-existing") == 0
    for file in (photos / "labels").glob("*.png"):
        file.unlink()
    named.write_text(json.dumps(["else"]))
    assert go(*start) == 2 and "names other classes" in capsys.readouterr().err


def test_the_segmenter_that_ships_is_used_where_none_is_named(photos, capsys):
    assert go("label", photos / "images" / "a.jpg", "--output", photos / "out.png") == 0
    said = capsys.readouterr().err
    assert "using the weights 'scenes-judge', which come with jaxedit: labels the embedded" in said
    classes = json.loads((photos / "out-classes.json").read_text())
    assert "brick wall" in str(classes) and Image.open(photos / "out.png").size == (60, 40)


def test_a_photo_of_another_size_comes_back_in_its_own(run, photos):
    out = photos / "one.png"
    photo = photos / "images" / "a.jpg"
    assert go("label", photo, "--run", run, "--output", out, "--side", 16) == 0
    assert Image.open(out).size == (60, 40)
    assert (photos / "one-classes.json").exists() and (photos / "one-preview.png").exists()


def test_it_is_judged_at_the_size_of_training_unless_another_is_asked_for():
    seen = []

    def applier(image):
        seen.append(image.shape)
        return {"label": np.ones(image.shape[:2], np.int32), "confidence": np.ones((1, 1, 1))}

    photo = label.photograph.Photograph(np.zeros((100, 200, 3), np.uint8))
    for side in (50, 0, 100):
        found, confidence = label.estimate(applier, photo, side)
        assert found.shape == (100, 200) and (found == 1).all() and confidence == 1
    assert seen == [(50, 100, 3), (100, 200, 3), (100, 200, 3)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--output", "x.jpg"), r"\.png"),
        (("--output", "x.png", "--side", "3"), "expected 0"),
    ],
)
def test_mistakes_are_named_first(photos, capsys, monkeypatch, options, message):
    monkeypatch.chdir(photos)
    needed = ("--run", photos / "nothing")
    assert go("label", photos / "images" / "a.jpg", *needed, *options) == 2
    assert re.search(message, capsys.readouterr().err)
