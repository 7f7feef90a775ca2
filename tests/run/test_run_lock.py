"""A run directory, or an artefact, belongs to one process at a time; reading is always allowed."""

import filelock
import pytest

from jaxedit import main
from jaxedit import method as method_lib
from jaxedit.data import sources
from jaxedit.errors import UserError
from jaxedit.host import manifests
from jaxedit.run import artifacts, directory, readers
from jaxedit.state import State
from tests.host.test_locks import holder
from tests.run.test_artifacts import told
from tests.run.test_train import TOY, toy


def test_a_second_start_names_the_first_and_changes_nothing(tmp_path, capsys):
    run = tmp_path / "run"
    process = holder(run)
    try:
        before = {path: path.read_bytes() for path in run.iterdir()}
        assert main.main([f"--config={TOY}", f"--workdir={run}"]) == 2
        message = capsys.readouterr().err
        assert f"in use by process {process.pid} on host" in message
        assert {path: path.read_bytes() for path in run.iterdir()} == before
        with pytest.raises(UserError, match="no run directory"):  # no word of the lock
            readers.load_run(run)
    finally:
        process.kill()
        process.wait()
    directory.prepare(toy(), run)  # what the lock has left there is no other file


def test_a_build_leaves_the_pieces_of_a_live_one_alone(tmp_path, monkeypatch):
    method, source = method_lib.create(told()), sources.create("photos", "train")
    made = tmp_path / "colours"
    build = lambda: artifacts.build_in(made, method, source, State(0))
    process = holder(artifacts.work_folder(made))
    try:
        with pytest.raises(UserError, match=f"in use by process {process.pid} .*another output"):
            build()
        assert not list(tmp_path.glob("*/part-*"))
    finally:
        process.kill()
        process.wait()
    lock = filelock.FileLock(artifacts.work_folder(made) / ".run.lock")
    verified = artifacts.verified

    def read(folder):  # every byte, which may take long
        with pytest.raises(filelock.Timeout):
            lock.acquire(timeout=0)
        return verified(folder)

    monkeypatch.setattr(artifacts, "verified", read)
    assert build().facts["pieces"] == 4
    with pytest.raises(UserError, match="colours already exists"):
        build()
    assert [path.name for path in tmp_path.iterdir()] == ["colours"]


def test_what_a_killed_build_has_left_goes_where_nobody_is_at_it(tmp_path):
    made = tmp_path / "artifacts" / "bank"
    made.mkdir(parents=True)
    manifests.seal(made, {"facts": {}})
    work = artifacts.work_folder(made)
    (work / "part-0").mkdir(parents=True)
    with filelock.FileLock(work / ".run.lock"):
        assert artifacts.finished(tmp_path, "bank").facts == {} and (work / "part-0").exists()
    assert artifacts.finished(tmp_path, "bank").facts == {} and not work.exists()
