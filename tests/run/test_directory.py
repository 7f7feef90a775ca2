"""The run directory: what stands in the way is named before anything runs."""

import os

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


@pytest.mark.parametrize(("name", "words"), [
    (b"caf\xe9", "no UTF-8"), (b"run[1]", "takes for a pattern"),
])
def test_folders_that_checkpoints_cannot_have_are_refused(tmp_path, name, words):
    run = tmp_path / os.fsdecode(name)
    for use in (lambda: directory.check(toy(), run), lambda: readers.load_run(run)):
        with pytest.raises(UserError, match=words):
            use()
    assert not list(tmp_path.iterdir())
