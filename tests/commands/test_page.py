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


def test_a_run_that_is_named_twice_counts_once(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(runs[0])
    assert cli.main(["report", "one", "two", "one/", "link", "./two"]) == 0
    said = capsys.readouterr()
    assert [line for line in said.err.splitlines() if "counts once" in line] == [
        "one is named twice and counts once.", "link is the same run as one and counts once.",
        "two is named twice and counts once.",
    ]
    assert "| one | 1 |" in said.out and "| two | 1 |" in said.out and "link" not in said.out
    # Nothing is left to compare: it is the report of the one run.
    assert cli.main(["report", "one", "link"]) == 0
    assert "report.html" in capsys.readouterr().err
    assert cli.main(["report", "one", "--beside", "link"]) == 2
    assert "--beside link is one itself" in capsys.readouterr().err


def test_runs_of_one_name_are_variants_of_their_own(runs, tmp_path, capsys):
    other = fake_run.write(tmp_path / "later" / "one", 26.0)
    sweeps = [fake_run.write_sweep(tmp_path / name, {"full": [25.0, 27.0]}) for name in "ab"]
    seeds = [sweep / "full" / f"seed-{seed}" for sweep in sweeps for seed in (0, 1)]
    words = map(str, (runs[0], other, *seeds))
    assert cli.main(["report", *words, "--output", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "| later/one | 1 |" in said and f"| {tmp_path.name}/one | 1 |" in said
    assert "| a/full | 2 |" in said and "| b/full | 2 |" in said
    assert cli.main(["report", str(runs[0]), str(sweeps[0])]) == 2
    assert "is a sweep. Compare it alone" in capsys.readouterr().err
