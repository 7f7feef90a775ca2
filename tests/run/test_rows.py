"""Rows of a resumed run: a kill costs none, and damage is told, with the damaged file kept."""

import json

import pytest

from jaxedit.errors import UserError
from jaxedit.run import checkpoint, directory, opening, rows, stages
from jaxedit.run.writer import Writer
from tests.run.test_train import toy

KNOWN = {"metrics.jsonl": 3, "timing.jsonl": 0}


def line(stage, step):
    return json.dumps({"stage": stage, "step": step, "split": "train", "loss": 0.5}) + "\n"


BEFORE = [line("first", 2), *(line("second", step) for step in (2, 4, 6))]


def rewind(folder, text, known=KNOWN):
    """Returns what stays of a metrics.jsonl when `second` resumes from step 6."""
    path = folder / "metrics.jsonl"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    Writer(folder, active=True, stages=("first", "second")).rewind("second", 6, known)
    return path.read_text() if path.exists() else None


@pytest.mark.parametrize("cut", [0, 5, -1, None])
def test_what_a_kill_leaves_is_dropped_without_a_word(tmp_path, capsys, cut):
    later = line("second", 8)
    assert rewind(tmp_path, "".join(BEFORE) + later[:cut]) == "".join(BEFORE)
    assert capsys.readouterr().err == "" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "bad", [b"\xff\xfe\n", b"[1, 2]\n", b'{"stage": 5, "step": 2}\n', b"3\n", b"[" * 10**5 + b"\n"]
)
def test_a_damaged_line_is_told_and_kept_and_costs_no_other(tmp_path, capsys, bad):
    text = (BEFORE[0] + BEFORE[1]).encode() + bad + (BEFORE[3] + line("second", 8)).encode()
    assert rewind(tmp_path, text) == BEFORE[0] + BEFORE[1] + BEFORE[3]
    message = capsys.readouterr().err
    assert "no row stands in line 3" in message and "metrics.damaged-1.jsonl" in message
    assert "1 row(s) of stage 'second' are missing that were there at step 6" in message
    assert (tmp_path / "metrics.damaged-1.jsonl").read_bytes() == text
    assert rewind(tmp_path, None, {}) == BEFORE[0]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("text", "words"), [(None, "is gone"), ("", "3 row"), (BEFORE[0], "3 row"),
                                             ("".join(BEFORE)[:-20], "1 row")])
def test_fewer_rows_than_the_checkpoint_knew_are_told(tmp_path, capsys, text, words):
    rewind(tmp_path, text)
    assert words in capsys.readouterr().err


def test_a_changed_number_is_told_and_stays(tmp_path, capsys):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(BEFORE))
    known = json.loads(json.dumps(rows.describe(tmp_path, "second")))
    later = line("second", 8)
    assert rewind(tmp_path, "".join(BEFORE) + later, known) == "".join(BEFORE)
    assert capsys.readouterr().err == ""
    changed = "".join(BEFORE[:2]) + BEFORE[2].replace("0.5", "0.6") + BEFORE[3]
    assert rewind(tmp_path, changed, known) == changed
    assert "a row of stage 'second' is not as it was at step 6" in capsys.readouterr().err
    rewind(tmp_path, "".join(BEFORE[1:]).replace("first", "other"), known)
    assert capsys.readouterr().err == ""


def test_rows_written_again_stand_where_they_stood(tmp_path):
    """An earlier stage whose newest checkpoint was damaged writes after a later one."""
    text = "".join([*BEFORE[1:], BEFORE[0], line("unknown", 1)])
    assert rewind(tmp_path, text) == "".join([*BEFORE, line("unknown", 1)])


def test_rows_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "timing.jsonl").mkdir()
    with pytest.raises(UserError, match=r"Cannot read .*timing\.jsonl: Is a directory"):
        rows.describe(tmp_path, "first")


def test_a_run_whose_checkpoints_are_gone_stops(tmp_path, monkeypatch, capsys):
    config = toy()
    with config.unlocked():
        config.stages = ({"name": "first"}, {"name": "second"})
    every = stages.read(config)
    check = lambda: opening.check_stages(every, tmp_path)
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text(line("first", 2))
    (tmp_path / "checkpoints" / "first").mkdir(parents=True)
    check()  # killed before the first checkpoint
    metrics.write_text(line("first", 12))
    with pytest.raises(UserError, match="has trained, and its checkpoints are gone.*to step 12"):
        check()
    monkeypatch.setattr(checkpoint, "has_checkpoint", lambda folder: folder.name == "second")
    check()
    assert "'first' up to step 12: it is trained from its beginning" in capsys.readouterr().err
    monkeypatch.undo()
    (tmp_path / "checkpoints" / "first").rmdir()
    (tmp_path / "checkpoints").rmdir()
    metrics.write_text(line("first", 2))
    with pytest.raises(UserError, match="to train anew from the beginning"):
        check()
    directory.atomic.write_text(tmp_path / "config.json", directory.config_lib.to_json(config))
    with pytest.raises(UserError, match="run of another configuration"):
        directory.check(toy(), tmp_path)
