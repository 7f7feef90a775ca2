"""`jaxedit report`."""

import os

import pytest

from jaxedit import cli
from tests import fake_run


@pytest.fixture
def runs(tmp_path):
    return [fake_run.write(tmp_path / "one", 25.0), fake_run.write(tmp_path / "two", 24.0)]


def test_one_run_beside_another(runs, tmp_path, capsys):
    one, two = map(str, runs)
    assert cli.main(["report", one, "--beside", two]) == 0
    text = (runs[0] / "report-beside-two.html").read_text()
    assert "one: Evaluation at step 120" in text and "two: Evaluation at step 120" in text
    assert "Evaluation at step 120" in capsys.readouterr().out
    assert cli.main(["report", one, "--output", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "report.html").is_file()
    assert cli.main(["report", one, "--output", str(tmp_path / "new" / "Mine.HTML")]) == 0
    assert (tmp_path / "new" / "Mine.HTML").read_text().startswith("<!doctype html>")
    assert cli.main(["report", one, two, "--output", str(tmp_path / "both.html")]) == 2
    assert "Name a folder" in capsys.readouterr().err and not (tmp_path / "both.html").exists()


def test_beside_takes_runs_only(runs, tmp_path, capsys):
    one, two = map(str, runs)
    sweep = fake_run.write_sweep(tmp_path / "sweep", {"full": [25.0]})
    for words, message in (
        ([one, two, "--beside", two], "Give one run before it"),
        ([str(sweep), "--beside", two], "Give one run before it"),
        ([one, "--beside", str(sweep)], "is no run directory"),
        ([one, "--beside", str(tmp_path / "nowhere")], "is no folder"),
    ):
        assert cli.main(["report", *words]) == 2
        assert message in capsys.readouterr().err


def test_a_damaged_file_is_one_message(runs, capsys):
    (runs[0] / "evaluation.json").write_text("{")
    for words in ([runs[0]], runs, [runs[1], "--beside", runs[0]]):
        assert cli.main(["report", *map(str, words)]) == 2
        error = capsys.readouterr().err
        assert "evaluation.json is not valid JSON" in error and "Traceback" not in error


def test_a_run_whose_name_is_not_utf8(runs, tmp_path, capsys):
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        runs[0].rename(odd)
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    assert cli.main(["report", str(odd)]) == 0
    assert r"caf\udce9" in (odd / "report.html").read_text(encoding="utf-8")
    assert cli.main(["report", str(odd), "--beside", str(runs[1])]) == 0
    assert cli.main(["report", str(odd), str(runs[1]), "--output", str(tmp_path / "both")]) == 0
    assert r"caf\udce9" in (tmp_path / "both" / "comparison.md").read_text(encoding="utf-8")
