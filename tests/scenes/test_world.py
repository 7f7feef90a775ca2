"""The small world: exact captions, every combination, and any attribute replaced in place."""

import itertools
import pickle

import numpy as np
import pytest

from jaxedit.data import records, sources
from jaxedit.errors import UserError
from jaxedit.scenes import rendering, world
from jaxedit.scenes import source as scenes

SIZE = 64
ROUND = 8 * 8 * 6


@pytest.fixture(scope="module")
def source():
    return sources.create(f"scenes:world:{SIZE}", "train", train_count=8)


def test_records_say_what_they_show_and_nothing_else(source):
    assert len(source) == 8 and source.name(3) == "scenes-world-train-000003"
    for record in source:
        records.check(record, "a scene")
        assert record["image"].shape == (SIZE, SIZE, 3)
        shown = [record["attributes"][name] for name in world.ATTRIBUTES]
        words = world.SUBJECTS + world.COLOURS + world.SETTINGS
        assert {word for word in words if word in record["caption"]} == set(shown)
        assert 0.04 < (record["alpha"] > 127).mean() < 0.5  # large, and not all of the picture
        for phrase in world.phrases(record["attributes"]):
            assert any(word in phrase for word in shown)
            assert not any(word in phrase for word in words if word not in shown)
    again = pickle.loads(pickle.dumps(source))[0]
    np.testing.assert_array_equal(again["image"], source[0]["image"])


def test_a_round_shows_every_combination_once_and_the_parts_differ():
    for part in ("train", "eval"):
        scenes_of = [world.world_parameters(part, index) for index in range(ROUND)]
        shown = {(one.subject, one.colour, one.setting) for one in scenes_of}
        assert shown == set(itertools.product(*world.ATTRIBUTES.values()))
        assert {one.wording for one in scenes_of} == set(range(world.WORDINGS))
    seeds = {world.world_parameters(part, i).seed for part in ("train", "eval") for i in range(99)}
    assert len(seeds) == 198


def test_captions_have_the_right_article_and_take_another_word_in_place():
    first = world.world_parameters("train", 0)
    for wording, (subject, colour, setting) in itertools.product(
        range(world.WORDINGS), (("vase", "red", "sky"), ("kite", "orange", "brick wall"))
    ):
        one = world.edited(first, subject=subject, colour=colour, setting=setting)
        one = scenes.Parameters(**{**vars(one), "wording": wording})
        text = world.caption(one)
        assert f"{'an' if colour == 'orange' else 'a'} {colour} {subject}" in text
        other = world.edited(one, setting="barn")
        assert world.caption(other) == text.replace(setting, "barn")


def test_an_edit_changes_what_it_names():
    one = world.edited(world.world_parameters("eval", 5), colour="red", subject="ball",
                       setting="sky")
    truth = rendering.render(world.edited(one, colour="blue"), SIZE)
    before = rendering.render(one, SIZE)
    np.testing.assert_array_equal(truth["alpha"], before["alpha"])
    outside = before["alpha"] == 0
    np.testing.assert_array_equal(truth["image"][outside], before["image"][outside])
    inside = before["alpha"] == 255
    red, _, blue = np.moveaxis(truth["image"][inside].astype(int) - before["image"][inside], -1, 0)
    assert red.mean() < -20 and blue.mean() > 20
    moved = rendering.render(world.edited(one, setting="barn"), SIZE)
    np.testing.assert_array_equal(moved["alpha"], before["alpha"])
    assert np.abs(moved["image"][outside].astype(int) - before["image"][outside]).mean() > 10


@pytest.mark.parametrize(("changes", "words"), [
    ({"texture": "plain"}, "attribute 'texture' is unknown.* 'subject', 'colour', 'setting'"),
    ({"colour": "grey"}, "colour 'grey' is unknown"),
    ({"subject": "mugs"}, "Did you mean 'mug'"),
])
def test_what_the_world_has_not_is_refused(changes, words):
    with pytest.raises(UserError, match=words):
        world.edited(world.world_parameters("train", 0), **changes)


def test_a_size_that_is_none_is_refused():
    with pytest.raises(UserError, match="scenes:world:big names no size"):
        sources.create("scenes:world:big", "train")
    with pytest.raises(UserError, match="scenes:world has no 'depth'"):
        sources.create("scenes:world:64", "train", keys=("depth",))
