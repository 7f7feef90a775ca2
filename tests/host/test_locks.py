"""One process at a time in a folder; a killed owner keeps nobody out."""

import errno
import os
import shutil
import signal
import subprocess
import sys

import pytest

from jaxedit.errors import UserError
from jaxedit.host import locks

HOLDER = (
    "import pathlib, sys, time; from jaxedit.host import locks\n"
    "with locks.hold(pathlib.Path(sys.argv[1])):\n"
    "    print('held', flush=True); time.sleep(60)"
)


def holder(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_another_process_is_named_until_it_is_killed(tmp_path):
    folder = tmp_path / "deep" / "run"
    process = holder(folder)
    try:
        with pytest.raises(UserError, match=f"in use by process {process.pid} on host "):
            with locks.hold(folder):
                raise AssertionError("must not be entered")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    with locks.hold(folder) as held:
        assert not held.created and locks.owner(folder).startswith(f"process {os.getpid()} ")


def test_the_owner_may_take_it_again_and_leaves_an_empty_folder(tmp_path):
    with locks.hold(tmp_path / "run") as held:
        assert held.created
        with locks.hold(tmp_path / "run") as again:
            assert again is held
        process = subprocess.run(
            [sys.executable, "-c", HOLDER, str(tmp_path / "run")], capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False,
        )
        assert f"process {os.getpid()} " in process.stderr  # the inner one has not let go
    assert locks.is_empty(tmp_path / "run")
    (tmp_path / "run" / "thesis.txt").write_text("precious")
    assert not locks.is_empty(tmp_path / "run")


def test_what_stands_in_the_way_of_the_owner_is_named(tmp_path):
    (tmp_path / ".run.owner.json").mkdir()
    with pytest.raises(UserError, match=r"owner\.json: Is a directory"), locks.hold(tmp_path):
        pass


def test_who_has_lost_a_folder_leaves_it_to_its_next_owner(tmp_path):
    folder = tmp_path / "made.partial"
    with locks.hold(folder, fleeting=True):
        shutil.rmtree(folder)
        folder.mkdir()
        for name in locks.FILES:  # of a process that has found no lock
            (folder / name).write_text("another's")
    assert [(folder / name).read_text() for name in locks.FILES] == ["another's"] * 2


def test_a_fleeting_lock_goes_and_leaves_what_else_is_there(tmp_path, monkeypatch):
    with locks.hold(tmp_path / "bank", fleeting=True):
        (tmp_path / "bank" / "colours.npy").write_text("precious")
    assert [path.name for path in (tmp_path / "bank").iterdir()] == ["colours.npy"]

    def as_on_nfs(folder):
        for path in folder.iterdir():  # what is open goes when it is closed
            path.unlink()
        raise OSError(errno.ENOTEMPTY, "Directory not empty")

    monkeypatch.setattr(locks.shutil, "rmtree", as_on_nfs)
    with locks.hold(tmp_path / "run", fleeting=True):
        pass
    assert not (tmp_path / "run").exists()


def test_clearing_a_folder_spares_its_lock(tmp_path):
    with locks.hold(tmp_path):
        (tmp_path / "part-0").mkdir()
        (tmp_path / "part-0" / "piece").touch()
        (tmp_path / "build.json").touch()
        locks.clear(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(locks.FILES)
