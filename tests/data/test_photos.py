"""The embedded photographs."""

import importlib.util
import pathlib
import pickle

import numpy as np
import pytest

from jaxedit.data import photos, sources
from jaxedit.errors import UserError


@pytest.fixture(scope="module", params=["train", "eval"])
def source(request):
    return sources.create("photos", request.param)


def test_records(source):
    assert len(source) > 60
    for index in range(0, len(source), 7):
        record = source[index]
        assert set(record) == {"image", "id"}
        image = record["image"]
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        assert image.shape[0] == image.shape[1] >= 96
        record["image"][:] = 0  # the source keeps a copy of its own
        assert source[index]["image"].any()


def test_ids_are_unique_and_crops_are_what_they_say(source):
    names = [source.name(index) for index in range(len(source))]
    assert len(set(names)) == len(names)
    photo, place = source[5]["id"].split("/")
    left, top, side = map(int, place.split("-"))
    path = next(photos._path(p) for p in photos.PHOTOS if p.name == photo)
    whole = photos.images.read_image(path)
    np.testing.assert_array_equal(source[5]["image"], whole[top : top + side, left : left + side])


def test_no_photograph_is_in_both_parts():
    parts = {
        split: {photo.name for photo in photos.photographs(split)} for split in ("train", "eval")
    }
    assert not parts["train"] & parts["eval"]
    assert {photo.name for photo in photos.photographs("all")} == parts["train"] | parts["eval"]
    # The two halves of the stereo pair show one scene.
    assert {"motorcycle_left", "motorcycle_right"} <= parts["train"]


def test_both_parts_have_colour_and_every_prefix_shows_every_photograph():
    for split, least in (("train", 5), ("eval", 2)):
        source = sources.create("photos", split)
        count = len(photos.photographs(split))
        first = [source[index] for index in range(count)]
        assert len({record["id"].split("/")[0] for record in first}) == count
        colourful = [np.ptp(record["image"].astype(int), axis=2).mean() > 8 for record in first]
        assert sum(colourful) >= least


def test_evaluation_does_not_depend_on_scikit_learn(monkeypatch):
    before = sources.create("photos", "eval")
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "sklearn" else found(name)
    )
    without = sources.create("photos", "eval")
    assert [without.name(i) for i in range(len(without))] == [
        before.name(i) for i in range(len(before))
    ]
    names = {photo.name for photo in photos.photographs("train")}
    assert "china" not in names and len(names) == 11


def test_with_scikit_learn_two_more_train():
    assert {"china", "flower"} <= {photo.name for photo in photos.photographs("train")}


def test_a_missing_photograph_is_named(monkeypatch):
    monkeypatch.setattr(photos, "_path", lambda photo: pathlib.Path("/nowhere") / photo.file)
    with pytest.raises(UserError, match="astronaut.png is missing"):
        sources.create("photos", "train")


def test_other_keys_are_refused():
    assert len(sources.create("photos", "eval", keys=("image",))) > 0
    with pytest.raises(UserError, match="photos has no 'mask'"):
        sources.create("photos", "eval", keys=("image", "mask"))


def test_picklable_without_its_decoded_images(source):
    source[0]
    data = pickle.dumps(source)
    assert len(data) < 200_000
    np.testing.assert_array_equal(pickle.loads(data)[3]["image"], source[3]["image"])


def test_crops_cover_the_photograph():
    photo = photos.Photo("x", "x.png", "eval", photos._EVALUATION)
    covered = np.zeros((300, 451), bool)
    for left, top, side in photos._boxes((300, 451), photo, 96):
        assert 0 <= left <= 451 - side and 0 <= top <= 300 - side
        if side < 300:
            covered[top : top + side, left : left + side] = True
    assert covered.all()
