"""`jaxedit train` and `jaxedit evaluate`: the same runs as `python -m jaxedit.main` makes."""

import json
import pathlib

import pytest

from jaxedit import cli, main

TOY = pathlib.Path(__file__).parents[1] / "toy_method.py"
STEPS = "--config.train.steps=2"


def test_a_run_is_that_of_the_program(tmp_path, capsys):
    by_verb, by_program = tmp_path / "verb", tmp_path / "program"
    assert cli.main(["train", str(TOY), STEPS, "--workdir", str(by_verb)]) == 0
    assert main.main([f"--config={TOY}", STEPS, f"--workdir={by_program}"]) == 0
    told = capsys.readouterr()
    assert f"Report: {by_verb / 'report.html'}" in told.err
    assert (f"as files: {by_verb / 'pictures'}" in told.err) == (by_verb / "pictures").is_dir()
    figures = [json.loads((run / "evaluation.json").read_text()) for run in (by_verb, by_program)]
    assert figures[0]["table"] == figures[1]["table"]
    assert cli.main(["train", str(TOY), STEPS, "--workdir", str(by_verb)]) == 0
    assert "is finished" in capsys.readouterr().err
    assert cli.main(["evaluate", str(by_verb), "--step", "2", "--config.evaluate.limit=2"]) == 0
    said = capsys.readouterr().err
    assert "written: " in said and f"Report: {by_verb / 'report.html'}" in said
    assert list(by_verb.glob("evaluation*step2.json"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "nowhere.py"], "nowhere.py"),
        (["train", str(TOY), "--optim.lr=1"], "unknown argument '--optim.lr=1'"),
        (["train", str(TOY), "--config.optim.lrr=1"], "Did you mean 'optim.lr'?"),
        (["evaluate", "nowhere"], "nowhere"),
        (["evaluate", "nowhere", "--config.optim.lr=1"], "nowhere"),
    ],
)
def test_mistakes(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ") and message in told
    assert not list(tmp_path.iterdir())
