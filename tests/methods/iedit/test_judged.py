"""Edits as the judge that ships sees them: true results, no edit, another edit."""

import numpy as np
import pytest

from jaxedit.data import sources
from jaxedit.errors import UserError
from jaxedit.methods.iedit import judged, zero_shot
from jaxedit.methods.iedit.pair_data import Edits
from jaxedit.metrics import base

COUNT = 48


class Words:
    """Stands in for a text encoder, whose symbols nothing here reads."""

    def symbols(self, texts):
        return np.zeros((len(texts), 1), np.int32)


@pytest.fixture(scope="module")
def batch():
    transform, source = Edits(64, Words(), True), sources.create("scenes:edits:64", "eval")
    rows = [transform(source.read(n), np.random.default_rng(0)) for n in range(COUNT)]
    return {key: np.stack([np.asarray(row[key]) for row in rows]) for key in rows[0]}


def figures(batch, pictures):
    makers = judged.metrics("world-judge", 64)
    found = {}
    for name in judged.NAMES:
        total = makers[name](base.Keys("image", "target")).new()
        total.update({"image": pictures}, batch)
        found |= total.result()
    return found


def test_true_results_are_told_and_no_edit_is_told_too(batch):
    assert set(map(str, batch["edited"])) == set(zero_shot.NAMES)
    true, none = figures(batch, batch["target"]), figures(batch, batch["image"])
    assert min(true.values()) > 0.9
    assert none["edit_shown"] < 0.1 and none["edit_judged_right"] < 0.1
    assert none["others_kept"] > 0.9
    # Another record's true result shows now and then what was asked for, and seldom the rest.
    other = figures(batch, np.roll(batch["target"], 1, 0))
    assert other["others_kept"] < 0.3 and other["edit_shown"] < 0.5
    assert other["edit_judged_right"] <= min(other["edit_shown"], other["others_kept"])


def test_the_figures_are_shares_of_what_the_judge_says(batch):
    """Each value by hand, of the answers that are the true ones but for one attribute of one."""
    wanted = batch["attributes"][:3].copy()
    told = wanted.copy()
    edited = [zero_shot.NAMES.index(str(kind)) for kind in batch["edited"][:3]]
    told[0, edited[0]] += 1  # not what was asked for
    told[1, (edited[1] + 1) % 3] += 1  # something else has changed
    part = {key: batch[key][:3] for key in ("attributes", "edited")}
    outputs = {"image": batch["image"][:3]}
    expected = {"edit_shown": [0, 1, 1], "others_kept": [1, 0, 1], "edit_judged_right": [0, 0, 1]}
    for name, values in expected.items():
        metric = judged._Judgement(name, lambda pictures: told)
        found, defined = metric.values(outputs, part)
        assert defined.all() and found.tolist() == values
    part["attributes"] = np.full_like(wanted, -1)
    assert not metric.values(outputs, part)[1].any()
    outputs["image"] = np.full_like(outputs["image"], np.nan)
    assert np.isnan(metric.values(outputs, part)[0]).all()


@pytest.mark.parametrize("name, side, words", [
    ("world-judge", 32, "knows pictures of 64 pixels a side, and edits have 32"),
    ("scenes-judge", 64, "The judge"),
    ("nowhere/own.safetensors", 64, "does not exist"),
])
def test_another_judge_is_refused(name, side, words):
    with pytest.raises(UserError, match=words):
        judged.metrics(name, side)
