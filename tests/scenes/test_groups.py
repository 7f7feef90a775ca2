"""Pictures of several subjects: exact layout, instances and depth, one change at a time."""

import dataclasses
import json
import pickle

import cv2
import numpy as np
import pytest

from jaxedit.data import records, sources
from jaxedit.errors import UserError
from jaxedit.scenes import group_rendering, groups, parameters
from jaxedit.scenes import source as scenes

SIZE = 64


@pytest.fixture(scope="module")
def source():
    return sources.create(f"scenes:several:{SIZE}", "train", train_count=24)


def member(**changes) -> groups.Member:
    fields = {
        "seed": 3, "subject": "ball", "colour": "red", "texture": "plain", "size": "large",
        "position": "middle", "distance": 0.0,
    } | changes  # fmt: skip
    return groups.Member(**fields)


def group(*members: groups.Member, **changes) -> groups.Group:
    fields = {"seed": 11, "part": "train", "setting": "meadow", "time": "noon"} | changes
    return groups.Group(members=members, **fields)


PAIR = group(member(), member(seed=4, subject="vase", colour="blue", distance=0.9))


def test_records_hold_every_key_in_its_form(source):
    for index, record in enumerate(source):
        records.check(record, "a group")
        assert set(record) == {
            "id", "image", "background", "label", "instance", "depth", "caption", "attributes",
        }  # fmt: skip
        assert record["label"].shape == record["instance"].shape == (SIZE, SIZE)
        assert record["depth"].dtype == np.float32
        assert group_rendering.NEAR <= record["depth"].min()
        assert record["depth"].max() <= group_rendering.FAR
        assert 0 <= record["label"].min() and record["label"].max() < len(source.classes)
        members = record["attributes"]["members"]
        assert len(members) == len(source.parameters(index).members) in (2, 3, 4)
        assert json.loads(json.dumps(record["attributes"])) == record["attributes"]
        for one in members:
            assert one["subject"] in record["caption"]
        assert record["caption"].count(" in front") >= 1 and record["caption"].endswith(".")


def test_instances_have_one_class_and_one_distance_and_are_seen(source):
    seen = []
    for record in source:
        backdrop = record["instance"] == 0
        assert record["label"][backdrop].max() < parameters.CLASSES.index("person")
        for one in record["attributes"]["members"]:
            where = record["instance"] == one["instance"]
            seen.append(where.mean())
            assert set(record["label"][where]) <= {parameters.CLASSES.index(one["class"])}
            assert len(np.unique(record["depth"][where])) <= 1
    assert np.mean(np.array(seen) > 0.004) > 0.9
    assert 0.03 < np.median(seen) < 0.2


def test_the_nearer_hides_the_farther_and_the_change_of_one_distance_reverses_them():
    before = scenes.render_group(PAIR, SIZE)
    front = before["depth"][before["instance"] == 1][0]
    back = before["depth"][before["instance"] == 2][0]
    assert front < back < before["depth"][0].min()  # the sky is behind both
    alone = scenes.render_group(PAIR.replace_member(1, position="far left"), SIZE)
    np.testing.assert_array_equal(before["instance"] == 1, alone["instance"] == 1)
    swapped = scenes.render_group(
        PAIR.replace_member(0, distance=0.9).replace_member(1, distance=0.0), SIZE
    )
    assert swapped["depth"][swapped["instance"] == 2][0] == front
    assert (before["instance"] == 1).sum() > (swapped["instance"] == 1).sum()


def test_the_ground_is_the_farther_the_higher():
    record = scenes.render_group(PAIR, SIZE)
    grass = (record["label"] == parameters.CLASSES.index("grass")) & (record["instance"] == 0)
    column = record["depth"][:, 0][grass[:, 0]]
    assert len(column) > 10 and (np.diff(column) < 0).all()
    assert column[-1] < group_rendering.NEAR * 1.05


def test_changing_one_colour_changes_that_member_alone():
    before = scenes.render_group(PAIR, SIZE)
    after = scenes.render_group(PAIR.replace_member(0, colour="green"), SIZE)
    for key in ("label", "instance", "depth", "background"):
        np.testing.assert_array_equal(before[key], after[key])
    changed = (before["image"] != after["image"]).any(2)
    mine = before["instance"] == 1
    assert changed[mine].mean() > 0.9
    # What covers less than half of a pixel at the edge belongs to another there.
    assert changed[~mine].sum() < 0.25 * mine.sum()
    assert after["caption"] == before["caption"].replace("red", "green")


def test_changing_the_setting_leaves_what_hovers_and_the_looks_of_all():
    for setting in parameters.SETTINGS:
        record = scenes.render_group(dataclasses.replace(PAIR, setting=setting), SIZE)
        assert set(np.unique(record["instance"])) == {0, 1, 2}
        walls = record["depth"][record["instance"] == 0].max()
        assert walls > record["depth"][record["instance"] > 0].max()


@pytest.mark.parametrize("subject", groups.MEMBERS)
def test_every_subject_fills_its_outline_in_few_pieces(subject):
    pair = group(member(subject=subject), member(seed=4, position="far right", distance=1.0))
    body = scenes.render_group(pair, SIZE)["instance"] == 1
    assert body.mean() > 0.02
    pieces = cv2.connectedComponentsWithStats(body.astype(np.uint8), connectivity=8)[2][1:, 4]
    assert pieces.max() > 0.8 * body.sum()


def test_the_source_is_the_same_every_time_and_its_parts_differ(source):
    again = pickle.loads(pickle.dumps(source))
    assert type(again) is scenes.GroupSource and not again._cache
    for key, value in source[1].items():
        np.testing.assert_array_equal(value, again[1][key])
    record = source[1]
    record["depth"][:] = 0
    assert source[1]["depth"].all()
    assert source.name(3) == "scenes-several-train-000003"
    assert source.description == f"scenes:several:{SIZE}"
    evaluation = sources.create("scenes:several", "eval")
    assert evaluation.size == 160 and len(evaluation) == 200
    assert evaluation.parameters(0).part == "eval"
    assert evaluation.parameters(0).seed != source.parameters(0).seed


def test_what_cannot_be_had_is_refused():
    with pytest.raises(UserError, match="scenes:several has no 'alpha'.*instance"):
        sources.create("scenes:several", "train", keys=("alpha",))
    with pytest.raises(UserError, match="such as scenes:several:160"):
        sources.create("scenes:several:12", "train")
    with pytest.raises(UserError, match="such as scenes:160, or scenes:several"):
        sources.create("scenes:severl", "train")
    with pytest.raises(UserError, match="subject='vaze' is unknown.*Did you mean 'vase'"):
        member(subject="vaze")
    with pytest.raises(UserError, match="1 members; it must have 2 to 4"):
        group(member())
    with pytest.raises(UserError, match="distance of a member is 1.5"):
        member(distance=1.5)
    with pytest.raises(UserError, match="no member 2: places go from 0 to 1"):
        PAIR.replace_member(2, colour="red")
