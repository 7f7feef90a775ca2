"""The comparison of runs: means and spread, Markdown, CSV and plot."""

import csv
import json
import math
import statistics

import pandas
import pytest
from PIL import Image

from jaxedit.errors import UserError
from jaxedit.report import comparison
from tests import fake_run


def test_compare_a_sweep(tmp_path):
    figures = {"full": [25.0, 26.0, 27.0], "less": [24.0, 24.5, 26.5]}
    folder = fake_run.write_sweep(tmp_path / "sweep", figures)
    result = comparison.compare(folder)
    assert {p.name for p in result.files} == {
        "comparison.md", "comparison.csv", "comparison.png", "runs.csv"
    }
    with open(folder / "comparison.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for name, values in figures.items():
        row = next(r for r in rows
                   if (r["variant"], r["metric"], r["group"]) == (name, "psnr", "(0.01,0.1]"))
        assert math.isclose(float(row["mean"]), statistics.fmean(values))
        assert math.isclose(float(row["standard_deviation"]), statistics.stdev(values))
        assert row["seeds"] == "3"
    with open(folder / "runs.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 2 * 3 * (3 + 3 + 1)
    text = result.markdown
    assert text.startswith("# an ablation\n\nMirrors Table 9.")
    row = next(line for line in text.splitlines() if line.startswith("| full | 3 | 24.00"))
    assert "26.00 ± 1.00" in row and "**" not in row  # ahead by 1.0 ± 1.0, 1.3
    assert "*mean fill*" in text and "- lpips_alex: absent" in text
    assert "different numbers of seeds" not in text
    assert Image.open(folder / "comparison.png").size[0] > 500


def test_compare_plain_runs_and_uneven_ones(tmp_path):
    one = fake_run.write(tmp_path / "one", 25.0)
    two = fake_run.write(tmp_path / "two", 24.0)
    other = json.loads((two / "evaluation.json").read_text())
    (two / "evaluation.json").write_text(json.dumps(other | {"count": 5}))
    three = tmp_path / "three"
    three.mkdir()
    (three / "config.json").write_text("{}")
    result = comparison.compare([one, two, three], tmp_path / "out")
    assert "| one | 1 | 23.00 | 25.00 |" in result.markdown  # no spread of one run, so no winner
    assert "**" not in result.markdown
    assert "not measured on the same samples" in result.markdown
    assert f"Not evaluated: {three}" in result.markdown
    assert (tmp_path / "out" / "comparison.csv").is_file()


def test_compare_without_matplotlib_says_so(tmp_path, monkeypatch):
    run = fake_run.write(tmp_path / "one")

    def missing(runs):
        raise ImportError("No module named 'matplotlib'")

    monkeypatch.setattr(comparison, "plot", missing)
    result = comparison.compare([run], tmp_path / "out")
    assert "matplotlib is not installed" in (tmp_path / "out" / "comparison.md").read_text()
    assert not (tmp_path / "out" / "comparison.png").exists()
    assert all(p.exists() for p in result.files)


def test_compare_nothing(tmp_path):
    with pytest.raises(UserError, match="neither a run"):
        comparison.compare(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="Nothing to compare"):
        comparison.compare([tmp_path])


def test_a_metric_that_only_some_runs_have(tmp_path):
    one, two = fake_run.write(tmp_path / "one", 25.0), fake_run.write(tmp_path / "two", 24.0)
    path = two / "evaluation.json"
    evaluation = json.loads(path.read_text())
    for groups in evaluation["table"].values():
        groups["all"]["fid"] = None
        groups["all"]["psnr"] = math.inf  # a figure, but none to average
    path.write_text(json.dumps(evaluation))
    text = comparison.compare([one, two], tmp_path / "out").markdown
    psnr, l1, fid = text[text.index("## psnr"):].split("\n\n## ")[:3]
    assert "| two | 1 | - | **" not in psnr and "| two | 1 | - | 24.00 | 23.00 |" in psnr
    assert "| two | 1 | - | - | - |" in fid and "| one | 1 | 65.00 | - | - |" in fid


def test_a_winner_is_ahead_by_more_than_the_spread(tmp_path):
    figures = {"full": [25.0, 25.1, 25.2], "less": [24.0, 24.1, 24.2], "none": [20.0, 23.0, 21.0]}
    text = comparison.compare(fake_run.write_sweep(tmp_path / "sweep", figures)).markdown
    psnr = text[text.index("## psnr"):].split("\n\n## ")[0]
    assert "**25.10 ± 0.10**" in psnr and psnr.count("**") == 6  # in each of the three columns


@pytest.mark.parametrize("means, spreads, higher, expected", [
    ([3.0, 1.0], [0.5, 0.5], True, 3.0), ([3.0, 1.0], [0.5, 0.5], False, 1.0),
    ([3.0, 1.0], [1.0, 1.0], True, None), ([3.0, 1.0], [math.nan, 0.5], True, None),
    ([3.0, 1.0], [0.5, math.nan], True, None), ([3.0, 3.0], [0.1, 0.1], True, None),
    ([3.0, math.nan], [0.1, math.nan], True, None), ([3.0, 1.0, math.nan], [0.1] * 3, True, 3.0),
    ([3.0, 1.0], [0.1, 0.1], None, None), ([math.nan], [math.nan], True, None),
])
def test_winner(means, spreads, higher, expected):
    found = comparison.winner(pandas.Series(means), pandas.Series(spreads), higher)
    assert found == expected


@pytest.mark.parametrize("name, text", [
    ("evaluation.json", '{"systems": []}'), ("evaluation.json", "[1]"), ("config.json", "{"),
    ("summary.json", '"x"'), ("config.json", '{"train": 3}'),
])
def test_damaged_files_are_named(tmp_path, name, text):
    run = fake_run.write(tmp_path / "one")
    (run / name).write_text(text)
    with pytest.raises(UserError, match=name):
        comparison.compare([run], tmp_path / "out")
    assert not (tmp_path / "out").exists()
