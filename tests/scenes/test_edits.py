"""Edits of the small world: one attribute is replaced, and only what it changes is another."""

import numpy as np

from jaxedit.data import sources
from jaxedit.scenes import world

SIZE = 64


def test_every_attribute_is_edited_in_turn_and_the_rest_stays():
    source = sources.create(f"scenes:edits:{SIZE}", "eval", eval_count=6)
    plain = sources.create(f"scenes:world:{SIZE}", "eval", eval_count=6)
    assert [record["kind"] for record in map(source.read, range(6))] == [*world.ATTRIBUTES] * 2
    for index in range(6):
        record, before = source.read(index), plain.read(index)
        np.testing.assert_array_equal(record["image"], before["image"])
        assert record["caption"] == before["caption"] and record["id"].startswith("scenes-edits-")
        assert record["removed"] in record["caption"] and record["added"] in record["edit_prompt"]
        assert record["removed"] != record["added"]
        changed = record["mask_source"] | record["mask_target"]
        differs = (record["image"] != record["target"]).any(-1)
        assert differs[changed].mean() > 0.5, record["kind"]
        far = np.abs(record["image"].astype(int) - record["target"]).max(-1)
        # Shadows alone are left outside.
        assert far[~changed].mean() < (12 if record["kind"] == "subject" else 1)


def test_edits_are_the_same_everywhere_and_of_their_part():
    train, held = (sources.create(f"scenes:edits:{SIZE}", part) for part in ("train", "eval"))
    assert train.parameters(3) == train.parameters(3) != held.parameters(3)
    assert train.read(1)["edit_prompt"] == sources.create("scenes:edits", "train").read(1)[
        "edit_prompt"
    ]
    keys = ("image", "edit_prompt")
    only = sources.create(f"scenes:edits:{SIZE}", "eval", keys=keys).read(0)
    assert set(only) == {*keys, "id"}
