"""The curves of a page say on how many samples they rest."""

import json

from jaxedit.report import reading, trends
from tests import fake_run


def test_lines_and_notes_name_their_samples(tmp_path):
    run = fake_run.write(tmp_path / "run")
    path = run / "evaluation.json"
    found = json.loads(path.read_text()) | {"stage": "train"}
    path.write_text(json.dumps(found))
    curves, speed = trends.sections([reading.read(run)])
    assert curves["notes"] == [
        "Training: each point is the mean over 8 samples, those of the 1 steps up to it; "
        "the last may have fewer.",
        "In between, 4 samples are measured, the first of the table's 9: the lines need not end at "
        "the table's figures.",
    ]
    assert speed["notes"] == []
    lines = {t["name"] for chart in curves["charts"] for t in chart["data"]}
    assert lines == {"training", "held-out (n = 4)"}
    assert {t["name"] for chart in curves["per_group"] for t in chart["data"]} == {
        "(0.01,0.1] (n = 1)", "(0.1,0.2] (n = 3)"
    }
    path.write_text(json.dumps(found | {"count": 4}))
    assert trends.sections([reading.read(run)])[0]["notes"][1] == (
        "In between, 4 samples are measured, those of the table."
    )


def test_rows_of_older_runs_and_of_training_data(tmp_path):
    run = fake_run.write(tmp_path / "run")
    rows = [{"stage": "train", "step": 1, "split": "eval", "q": 1.0},
            {"stage": "more", "step": 1, "split": "eval", "q": 1.0, "measured_on": "train",
             "samples": {"all": 3}}]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    old, new, _ = trends.sections([reading.read(run)])
    assert [section["charts"][0]["data"][0]["name"] for section in (old, new)] == [
        "held-out", "training (n = 3)"
    ]
    assert len(old["notes"]) == 1 and new["notes"][1] == "In between, 3 samples are measured."
