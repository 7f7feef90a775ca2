"""What a person who waits sees: a bar that fits, elsewhere a line a minute."""

import sys

import pytest

from jaxedit.run import progress


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_without_a_terminal_there_is_a_line_a_minute(clock, capsys):
    shown = progress.Progress(total=400, start=100, batch_size=8, title="train")
    for step in range(300):
        clock[0] += 1
        shown.advance()
        if step % 50 == 49:
            shown.note({"loss/l1": 0.5, "loss/global_d": 1.25})
    shown.close()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6 and all(line.startswith("train: step ") for line in lines)
    assert lines[0] == (
        "train: step 160 of 400, 1 s each, all else included, about 4 min 00 s left, "
        "l1=0.5, global_d=1.25"
    )
    assert lines[-1].startswith("train: step 400 of 400, 1 s each")


def test_the_first_step_compiles_and_says_nothing_of_the_rest(clock, capsys):
    shown = progress.Progress(total=200, start=0, batch_size=8, title="train")
    clock[0] += 358
    shown.advance()
    assert capsys.readouterr().err == "train: step 1 of 200\n"
    for _ in range(60):
        clock[0] += 1
        shown.advance()
    assert "step 61 of 200, 1 s each, all else included, about 2 min 19 s left" in (
        capsys.readouterr().err
    )


def test_a_bar_fits_and_lines_stand_above_it(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    for columns in ("200", "70"):
        monkeypatch.setenv("COLUMNS", columns)
        shown = progress.Progress(total=1000, start=0, batch_size=8, title="finetune")
        shown._bar.mininterval = 0
        shown.note({f"loss/number_{i}": 0.123456 for i in range(9)})
        for _ in range(20):
            shown.advance()
        shown.say("preparing")
        shown.close()
        text = capsys.readouterr().err
        assert "finetune: preparing\n" in text and "20/1000" in text
        lines = text.replace("\n", "\r").split("\r")
        assert max(map(len, lines)) <= min(100, int(columns))
    assert progress.fitting({"loss/a": 1.0, "b": 2.0, "c": 3.0}, 9) == "a=1, b=2"


def test_other_processes_are_silent(clock, monkeypatch, capsys):
    monkeypatch.setattr(progress.sharding, "is_first_process", lambda: False)
    shown = progress.Progress(total=3, start=0, batch_size=8, title="train")
    shown.say("something")
    clock[0] += 100
    shown.advance()
    shown.close()
    assert capsys.readouterr().err == ""
