"""The paragraph that a page begins with, and what it says of the network against the others."""

import json

import pytest

from jaxedit.report import lead, reading
from tests import fake_run


def written(run, **values):
    path = run / "evaluation.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return lead.paragraph(reading.read(run))


def test_what_was_run_and_what_came_out(tmp_path):
    text = lead.paragraph(reading.read(fake_run.write(tmp_path / "run")))
    assert text == (
        "scat, preset demo, seed 0: 123 456 parameters (generator 100 000, discriminator 23 456) "
        "trained for 120 steps of 8 samples each on 350 records of folder:<a&b>. "
        "It took 1 min 52 s. Measured at step 120 on 9 held-out samples of photos: PSNR (dB) is "
        "23.00, 5.000 ahead of mean fill (18.00), the only other system; higher is better. "
        "Of 3 figures over all samples it has the best value in 3."
    )


def test_which_weights_it_began_with(tmp_path):
    run = fake_run.write(tmp_path / "run")
    path = run / "summary.json"
    before = json.loads(path.read_text())
    for weights, words in (
        ("from nothing", "records of folder:<a&b>, begun from nothing. It took"),
        ("generator from stage 'sketch'; critic from nothing",
         "begun with generator from stage 'sketch'; critic from nothing. It took"),
    ):
        path.write_text(json.dumps(before | {"begins": {"train": weights}}))
        assert words in lead.paragraph(reading.read(run))


def evaluation(values, direction="max", **more):
    """Returns one of a figure q, system -> value, the network first."""
    return {
        "source": "photos", "split": "all", "count": 4, "groups": ["all"], "counts": {"all": 4},
        "systems": list(values), "metrics": ["q"], "higher_is_better": {"q": direction == "max"},
        "table": {name: {"all": {"q": value}} for name, value in values.items()},
        "best": ["q", direction], "ceilings": [], **more,
    }


@pytest.mark.parametrize("values, direction, words", [
    ({"model": 25.06, "mean": 22.83, "telea": 27.23, "biharmonic": 28.21}, "max",
     "q is 25.06, 3.150 behind biharmonic (28.21), the best of 3 other systems; higher is better. "
     "Of 1 figure over all samples it has the best value in 0."),
    ({"model": 0.2, "a": 0.5, "b": 0.3}, "min",
     "0.1000 ahead of b (0.3000), the best of 2 other systems; lower is better"),
    ({"model": 1.0, "a": 1.00001}, "max", "equal to a, the only other system"),
    ({"model": 1.0, "a": 2.0, "b": None}, "max",
     "1.000 behind a (2.000), the only other system with a figure; higher is better"),
    ({"model": 1.0}, "max", "q is 1.000, with nothing beside it to compare."),
    ({"model": None, "a": 1.0}, "max", "q decides, and has no value"),
])
def test_the_network_against_the_best_of_the_others(values, direction, words):
    assert words in lead.came_out(evaluation(values, direction))


def test_what_knows_the_truth_is_no_rival():
    values = {"model": 0.4, "nearest": 0.3, "photograph": 0.9}
    text = lead.came_out(evaluation(values, ceilings=["photograph"]))
    assert "ahead of nearest" in text and "photograph" not in text and "best value in 1." in text
    assert "behind photograph" in lead.came_out(evaluation(values))


def test_a_figure_of_one_group_decides():
    found = evaluation({"model": 1.0, "a": 2.0})
    found |= {"groups": ["dark", "all"], "best": ["q/dark", "max"]}
    found["table"]["model"]["dark"], found["table"]["a"]["dark"] = {"q": 5.0}, {"q": 4.0}
    assert "q, dark, is 5.000, 1.000 ahead of a (4.000)" in lead.came_out(found)
    assert "no single figure decides" in lead.came_out(found | {"best": None})
    for key in ("best", "ceilings"):  # older runs do not have them
        del found[key]
    assert lead.came_out(found).endswith(
        "which figure decides was not written down; the tables have what was measured."
    )


def test_a_young_run_of_several_stages(tmp_path):
    run = fake_run.write(tmp_path / "run")
    (run / "evaluation.json").unlink()
    config = json.loads((run / "config.json").read_text())
    config["stages"] = [
        {"name": "bank", "build": True},
        {"name": "train", "overrides": {"train": {"steps": 3000}}},
    ]
    (run / "config.json").write_text(json.dumps(config))
    text = lead.paragraph(reading.read(run))
    assert "2 stages, one after the other: bank (builds an artefact from folder:<a&b>);" in text
    assert "120 of 3 000 steps so far" in text and "Nothing has been measured" in text
