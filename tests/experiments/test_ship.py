"""Shipping a run's network: averages, figures of that very network, no place of one's own."""

import json

import jax
import numpy as np
import pytest

from experiments import ship
from jaxedit.apply import applier
from jaxedit.errors import UserError
from jaxedit.run import measure, readers, train
from jaxedit.weights import shipped
from tests import toy_method


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("ship") / "run"
    config = toy_method.get_config()
    with config.unlocked():
        config.train.update(steps=2, evaluate_every=0, checkpoint_every=2)
        config.evaluate.update(limit=8, stages=("train",))
        config.stages = (
            {"name": "sketch", "overrides": {"train": {"steps": 0}}},
            {"name": "train", "start": (("sketch:ema/painter", "frozen/teacher"),)},
        )
    train.train(config, place, jax.devices()[:1])
    list(measure.measure_run(place))
    return place


def ship_it(monkeypatch, *words):
    monkeypatch.setattr("sys.argv", ["ship.py", *map(str, words)])
    ship.main()


def test_a_shipped_network_is_the_run_and_its_card_its_figures(run, tmp_path, monkeypatch):
    words = (run, "toy", "--what", "paints", "--licence", "CC0-1.0", "--recipe", "none",
             "--data", "photos=CC0-1.0", "--default-for", "inpaint", "--output", tmp_path)
    ship_it(monkeypatch, *words)
    monkeypatch.setattr(shipped, "folder", lambda: tmp_path)
    card = shipped.get("toy").card
    measured = json.loads((run / "evaluation.json").read_text())
    name, value = next(iter(measured["table"]["model"]["all"].items()))
    assert card["figures"]["model"][name] == pytest.approx(value, abs=1e-4)
    assert card["data"] == [{"name": "photos", "licence": "CC0-1.0"}]
    assert shipped.default("inpaint") == "toy"
    _, method, state = readers.load_run(run)
    kept = shipped.load(shipped.get("toy"))["params"]["painter"]
    for one, other in zip(*map(jax.tree.leaves, (kept, state.ema["painter"])), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_a_place_of_ones_own_is_replaced_in_the_figures_too(run, tmp_path, monkeypatch):
    words = (run, "toy", "--what", "paints", "--licence", "CC0-1.0", "--recipe", "none",
             "--data", "photos=CC0-1.0", "--output", tmp_path)
    source = readers.load_run(run)[0].data.source
    ship_it(monkeypatch, *words, "--set", "data.source=folder:mine")
    card = json.loads((tmp_path / "toy.json").read_text())
    assert card["config"]["data"]["source"] == "folder:mine"
    assert card["figures"]["on"].endswith("folder:mine") and source not in card["figures"]["on"]


def test_figures_are_those_of_the_very_network(run):
    with pytest.raises(UserError, match="at step 2, not .* at 1"):
        ship.figures(run, None, 1)
    with pytest.raises(UserError, match="has measured stage 'train'"):
        ship.figures(run, "other", 2)


def test_what_a_stage_has_built_is_named_without_its_place(tmp_path):
    measured = {"stage": "a", "step": 3, "count": 7, "table": {"model": {"all": {"l1": 0.12345}}},
                "source": f"array_record:{tmp_path}/artifacts/composed"}
    (tmp_path / "evaluation.json").write_text(json.dumps(measured))
    found = ship.figures(tmp_path, "a", 3)
    assert found == {"on": "7 of artifact:composed", "step": 3, "model": {"l1": 0.1235}}


def test_a_path_is_found_wherever_it_stands():
    text = json.dumps({"a": "folder:/home/x", "b": "half:first:folder:data/x", "c": ["/tmp/y z"],
                       "d": "python -m x --config.a=/var/z", "e": "1/2, and/or"})
    assert ship.own_places(text) == ["/home/x", "/tmp/y z", "/var/z"]


def test_what_is_frozen_is_named_and_must_be_the_same(run, tmp_path, monkeypatch):
    """The card says which weights the networks stand on; applying them reads those too."""
    words = ("--what", "paints", "--licence", "CC0-1.0", "--recipe", "none", "--data",
             "photos=CC0-1.0", "--output", tmp_path)
    monkeypatch.setattr(shipped, "folder", lambda: tmp_path)
    monkeypatch.setattr(ship, "figures", lambda run, stage, step: {"on": "1 of a", "step": step})
    toy = (run, "toy", "--stage", "train", "--from", "sketch=teacher", *words)
    with pytest.raises(UserError, match="no weights 'teacher' are in"):
        ship_it(monkeypatch, *toy)
    ship_it(monkeypatch, run, "teacher", "--stage", "sketch", *words)
    ship_it(monkeypatch, *toy)
    card = json.loads((tmp_path / "toy.json").read_text())
    assert card["start"] == [["weights:teacher:params/painter", "frozen/teacher"]]
    tool = applier.from_weights("toy", "inpaint")
    jax.tree.map(np.testing.assert_array_equal, tool.variables.frozen["teacher"],
                 shipped.load(shipped.get("teacher"))["params"]["painter"])
    # Another one in its place is not what the networks were trained with.
    ship_it(monkeypatch, run, "teacher", "--stage", "train", *words)
    with pytest.raises(UserError, match="stand on the weights 'teacher', which have been replaced"):
        applier.from_weights("toy", "inpaint")
    with pytest.raises(UserError, match="frozen/teacher is not what weights:teacher"):
        ship_it(monkeypatch, *toy)
    (tmp_path / "teacher.json").unlink()
    with pytest.raises(UserError, match="'teacher', which are not there"):
        applier.from_weights("toy", "inpaint")
