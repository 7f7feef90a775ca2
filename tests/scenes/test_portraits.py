"""Portraits: exact attributes, each replaceable alone, the same for a seed on every machine."""

import itertools
import json
import pickle

import numpy as np
import pytest

from jaxedit.data import records, sources
from jaxedit.errors import UserError
from jaxedit.scenes import heads, portraits

# A glance at each attribute's two ends.
ENDS = {"pose": (-20, 20), "smile": (0, 1), "hair": (0, 1), "glasses": (0, 1), "light": (-1, 1),
        "skin": (0, 1)}  # fmt: skip
SEEDS = range(6)


def share_changed(first, second, where):
    return (np.abs(first["image"].astype(int) - second["image"]).max(2) > 8)[where].mean()


def test_records_hold_every_key_in_its_form():
    source = sources.create("portraits", "train", train_count=20)
    for record in source:
        records.check(record, "a portrait")
        assert set(record) == {"id", "image", "label", "caption", "attributes"}
        assert record["image"].shape == (64, 64, 3)
        assert json.loads(json.dumps(record["attributes"])) == record["attributes"]
        shares = np.bincount(record["label"].ravel(), minlength=len(heads.CLASSES)) / 64**2
        assert len(shares) == len(source.classes)
        assert shares[0] > 0.25 and shares[2] > 0.12 and shares[3] > 0.03
        assert (shares[6] > 0.005) == (record["attributes"]["glasses"] == 1)
    assert sources.create("portraits:96", "eval", eval_count=1)[0]["image"].shape == (96, 96, 3)


def test_a_record_is_drawn_again_from_its_attributes_and_survives_pickling():
    source = sources.create("portraits", "eval", eval_count=3)
    for again in (source, pickle.loads(pickle.dumps(source))):
        record = again[2]
        values = dict(record["attributes"])
        drawn = portraits.render(values.pop("seed"), 64, **values)
        np.testing.assert_array_equal(drawn["image"], record["image"])
        np.testing.assert_array_equal(drawn["label"], record["label"])


def test_no_person_is_in_both_parts():
    people = [
        {record["attributes"]["seed"] for record in sources.create("portraits", part, **counts)}
        for part, counts in (("train", {"train_count": 8}), ("eval", {"eval_count": 8}))
    ]
    assert all(len(seeds) == 8 for seeds in people) and not people[0] & people[1]


def test_attributes_are_drawn_without_regard_to_each_other():
    values = np.array([list(portraits.sample(seed).attributes.values()) for seed in range(1500)])
    correlation = np.corrcoef(values.T) - np.eye(values.shape[1])
    assert np.abs(correlation).max() < 0.09
    for column, (low, high) in zip(values.T, portraits.ATTRIBUTES.values(), strict=True):
        assert low <= column.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < column.max() <= high


SHOWN = {"pose": "skin", "smile": "mouth", "hair": "hair", "light": "skin", "skin": "skin"}
UNTOUCHED = {"smile": ("hair", "clothes"), "glasses": ("hair", "clothes", "mouth"),
             "hair": ("clothes",), "skin": ("clothes",)}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
def test_replacing_one_attribute_shows_where_it_should_and_nowhere_else(name):
    for seed in SEEDS:
        low, high = (portraits.render(seed, **{"glasses": 0, name: end}) for end in ENDS[name])
        stays = np.where(low["label"] == high["label"], low["label"], -1)
        changed = {
            kind: share_changed(low, high, stays == number)
            for number, kind in enumerate(heads.CLASSES[:6])
        }
        if name == "glasses":
            assert (high["label"] == heads.CLASSES.index("glasses")).mean() > 0.005
        else:
            assert changed[SHOWN[name]] > 0.3
        # A soft edge belongs to both of its sides.
        assert changed["backdrop"] < 0.04
        assert all(changed[kind] < 0.1 for kind in UNTOUCHED.get(name, ()))


def test_the_nose_moves_with_the_pose_and_the_bright_side_with_the_light():
    skin = heads.CLASSES.index("skin")
    columns = np.arange(64)
    for seed in SEEDS:
        middles, sides = [], []
        for pose, light in itertools.product((-20, 20), (-1, 1)):
            record = portraits.render(seed, pose=pose, light=light, glasses=0, smile=0.6)
            mouth = record["label"] == heads.CLASSES.index("mouth")
            middles.append((mouth.sum(0) * columns).sum() / mouth.sum())
            face = (record["label"] == skin) & (np.arange(64)[:, None] < 45)
            grey = record["image"].mean(2)
            sides.append(grey[:, 34:][face[:, 34:]].mean() - grey[:, :30][face[:, :30]].mean())
        assert max(middles[:2]) + 5 < min(middles[2:])
        assert sides[0] < 0 < sides[1] and sides[2] < 0 < sides[3]


def test_larger_pictures_show_the_same():
    small, large = (portraits.render(5, size)["image"].astype(float) for size in (64, 256))
    shrunk = large.reshape(64, 4, 64, 4, 3).mean((1, 3))
    assert np.abs(shrunk - small).mean() < 5


def test_what_a_portrait_cannot_be_is_said():
    with pytest.raises(UserError, match="attribute 'smil' is unknown.*Did you mean 'smile'"):
        portraits.render(1, smil=1)
    with pytest.raises(UserError, match="pose of a portrait is 30; it must lie from -20 to 20"):
        portraits.render(1, pose=30)
    with pytest.raises(UserError, match="glasses of a portrait is 0.5; it must be 0 or 1"):
        portraits.render(1, glasses=0.5)
    with pytest.raises(UserError, match="seed of a portrait is -1"):
        portraits.render(-1)
    with pytest.raises(UserError, match="portraits:8 names no size.*32 to 1024"):
        sources.create("portraits:8", "train")
    with pytest.raises(UserError, match="has no 'alpha'.*it has attributes"):
        sources.create("portraits", "train", keys=("alpha",))
    with pytest.raises(UserError, match="incomplete; write portraits:SIZE"):
        sources.create("portraits:", "train")
    with pytest.raises(UserError, match="train_count of portraits is 0"):
        sources.create("portraits", "train", train_count=0)
