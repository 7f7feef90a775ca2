"""`jaxedit train` and `jaxedit evaluate`: the same runs as `python -m jaxedit.main` makes."""

import json
import os
import pathlib
import signal
import time

import jax
import pytest

from jaxedit import cli, main
from jaxedit.commands import train as train_verb
from jaxedit.run import measure, sharding, stages, train
from tests.run.test_train import toy

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
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"]
)
@pytest.mark.parametrize("moment", ["training", "measuring"])
def test_a_request_to_stop_is_heard_to_the_very_end(
    tmp_path, monkeypatch, capsys, number, code, moment
):
    """Behind the last step too, and while the closing evaluation computes."""
    def unheard(*_):
        raise AssertionError("the signal would have ended the process without a word")

    def asked(*_, stop):
        if moment == "training":  # has come to its end
            os.kill(os.getpid(), number)

    def measured(_):
        if moment == "measuring":
            os.kill(os.getpid(), number)
            time.sleep(5)
        yield from ()
        raise AssertionError("must not go on")

    run = tmp_path / "run"
    previous = signal.signal(number, unheard)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(train, "train", asked)
            patched.setattr(measure, "measure_run", measured)
            run.mkdir()
            assert train_verb.train_run(toy(), run) == code
    finally:
        signal.signal(number, previous)
    told = capsys.readouterr().err
    assert "its closing evaluation is still to come. Start the same command again" in told
    assert ("Stopping: the evaluation under way is put off" in told) == (moment == "measuring")
    assert ("Stopping: the step under way" in told) == (moment == "training")
    assert not (run / "DONE").exists()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"]
)
def test_a_request_to_stop_is_heard_before_anything_has_begun(
    tmp_path, monkeypatch, capsys, number, code
):
    """While the configuration is checked; no folder is made, and no exception is relied on."""
    def checked(_):
        os.kill(os.getpid(), number)

    monkeypatch.setattr(stages, "check", checked)
    monkeypatch.setattr(train, "train", None)
    assert train_verb.train_run(toy(), tmp_path / "run") == code
    assert "Asked to stop: nothing has begun." in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_several_processes_are_interrupted_in_their_closing_evaluation(tmp_path, monkeypatch):
    """They would have to agree on a request, and nothing asks for it any more."""
    heard, before = [], signal.getsignal(signal.SIGINT)

    def trained(*_, stop):
        heard.append(signal.getsignal(signal.SIGINT))
        monkeypatch.setattr(jax, "process_count", lambda: 2)

    def measured(_):
        heard.append(signal.getsignal(signal.SIGINT))
        yield from ()

    monkeypatch.setattr(train, "train", trained)
    monkeypatch.setattr(measure, "measure_run", measured)
    monkeypatch.setattr(sharding, "barrier", lambda _: None)
    assert train_verb.train_run(toy(), tmp_path / "run") == 0
    assert heard[0] != before == heard[1]


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
