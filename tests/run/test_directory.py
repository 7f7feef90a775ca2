"""The run directory: what stands in the way is named before anything runs."""

import os
import time

import pytest

from jaxedit.errors import UserError
from jaxedit.host import atomic
from jaxedit.run import directory, readers
from tests.run.test_train import toy


@pytest.mark.parametrize(
    "name", ["checkpoints", "artifacts", "pictures", "events", "frozen", "checkpoints/train"]
)
def test_a_file_in_place_of_a_folder_is_named(tmp_path, name):
    directory.prepare(toy(), tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("")
    with pytest.raises(UserError, match=f"{name} is a file where a run keeps a folder. Move it"):
        directory.prepare(toy(), tmp_path)


@pytest.mark.parametrize("name", ["metrics.jsonl", "versions.json", "evaluation.json", "DONE"])
def test_a_folder_in_place_of_a_file_is_named(tmp_path, name):
    directory.prepare(toy(), tmp_path)
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=f"{name} is a folder where a run keeps a file. Move it"):
        directory.prepare(toy(), tmp_path)


def test_every_place_that_is_written_to_is_tried(tmp_path, monkeypatch):
    tried = []
    monkeypatch.setattr(atomic, "check_writable", tried.append)
    directory.prepare(toy(), tmp_path / "run")
    for name in ("", "checkpoints/train", "events", "pictures", "metrics.jsonl"):
        assert tmp_path / "run" / name in tried
    assert tmp_path / "run/artifacts/train" not in tried


def test_what_killed_writers_left_goes_at_the_next_start(tmp_path):
    """Of another machine only what is old: a live writer may be about to rename the other."""
    run = tmp_path / "run"
    directory.prepare(toy(), run)
    old, deep, new = (run / ".x.1-0000abcd.tmp", run / "evaluations" / ".y.1-0000abcd.tmp",
                      run / ".z.1-0000abcd.tmp")
    deep.mkdir(parents=True)
    for path in (old, deep / "half.json", new):
        path.write_text("half")
    two_days_ago = time.time() - 2 * 24 * 3600
    for path in (old, deep):
        os.utime(path, (two_days_ago, two_days_ago))
    directory.prepare(toy(), run)
    assert not old.exists() and not deep.exists() and new.exists()
    assert (run / "config.json").is_file()


@pytest.mark.parametrize(("name", "words"), [
    (b"caf\xe9", "no UTF-8"), (b"run[1]", "takes for a pattern"),
])
def test_folders_that_checkpoints_cannot_have_are_refused(tmp_path, name, words):
    run = tmp_path / os.fsdecode(name)
    for use in (lambda: directory.check(toy(), run), lambda: readers.load_run(run)):
        with pytest.raises(UserError, match=words):
            use()
    assert not list(tmp_path.iterdir())
