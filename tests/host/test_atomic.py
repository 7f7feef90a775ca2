"""Files and folders that appear whole or not at all."""

import os
import pathlib
import stat
import subprocess
import sys
from unittest import mock

import psutil
import pytest

from jaxedit.errors import UserError
from jaxedit.host import atomic
from jaxedit.host.atomic import atomic_file, atomic_folder, remove_leftovers


def test_a_file_replaces_its_target_only_at_the_end(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("before")
    with atomic_file(target) as temporary:
        assert temporary.parent == target.parent
        temporary.write_text("after")
        assert target.read_text() == "before"
    assert target.read_text() == "after"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    plain = tmp_path / "plain.txt"
    plain.write_text("")
    # Not the owner-only mode of temporary files.
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_write_changes_nothing(tmp_path, error):
    (tmp_path / "a.txt").write_text("before")
    with pytest.raises(error), atomic_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise error
    with pytest.raises(error), atomic_folder(tmp_path / "folder") as temporary:
        (temporary / "a.txt").write_text("half")
        raise error
    assert (tmp_path / "a.txt").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_operating_system_errors_name_the_target(tmp_path):
    with pytest.raises(UserError, match="Cannot write .*absent/a.txt: No such file"):
        with atomic_file(tmp_path / "absent" / "a.txt") as temporary:
            temporary.write_text("")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Cannot write .*file/folder"):
        with atomic_folder(tmp_path / "file" / "folder"):
            pass


def test_a_folder_appears_at_the_end_and_never_over_another(tmp_path):
    with atomic_folder(tmp_path / "deep" / "folder") as temporary:
        (temporary / "a.txt").write_text("a")
        assert not (tmp_path / "deep" / "folder").exists()
    assert (tmp_path / "deep" / "folder" / "a.txt").read_text() == "a"
    with pytest.raises(UserError, match="already exists"):
        with atomic_folder(tmp_path / "deep" / "folder"):
            raise AssertionError("must not be entered")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["folder"]


def test_leftovers_of_killed_writers_are_removed_and_nothing_else(tmp_path):
    program = (
        "import os, signal, sys; from jaxedit.host.atomic import atomic_file, atomic_folder\n"
        "with atomic_file('a.txt') as f, atomic_folder('deep/folder') as d:\n"
        "    f.write_text('half'); (d / 'x').write_text('half'); os.kill(os.getpid(), 9)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=False)
    left = {path for path in tmp_path.rglob(".*.tmp")}
    assert len(left) == 2
    elsewhere = tmp_path / ".b.txt.1-0000abcd.tmp"  # no process of this machine
    elsewhere.write_text("half")
    (tmp_path / ".mine.tmp").write_text("a user's own")
    with atomic_file(tmp_path / "c.txt") as mine:
        mine.write_text("being written")
        assert set(remove_leftovers(tmp_path)) == left
    assert (tmp_path / "c.txt").read_text() == "being written" and elsewhere.exists()
    os.utime(elsewhere, (0, 0))
    assert remove_leftovers(tmp_path) == [elsewhere]
    (elsewhere / "deep").mkdir(parents=True)  # where nobody else writes, it need not be old
    assert not remove_leftovers(tmp_path)
    assert remove_leftovers(tmp_path, alone=True) == [elsewhere]
    assert sorted(p.name for p in tmp_path.iterdir()) == [".mine.tmp", "c.txt", "deep"]
    found = psutil.Process()  # a process with the number of a killed one, and younger
    reused = atomic._beside(tmp_path / "d")
    reused.write_text("half")
    assert not remove_leftovers(tmp_path)
    later = type("Later", (), {"create_time": lambda _: found.create_time() + 10**6})
    with mock.patch.object(psutil, "Process", lambda _: later()):
        assert remove_leftovers(tmp_path) == [reused]
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=False)
    with atomic_folder(tmp_path / "deep" / "folder"):  # the next try clears up after the last one
        pass
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["folder"]


@pytest.mark.parametrize(("name", "method"), [("folder", "touch"), ("file", "open")])
def test_what_cannot_be_written_to_is_found_beforehand(tmp_path, monkeypatch, name, method):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("kept")
    for path in (tmp_path / "folder", tmp_path / "file", tmp_path / "absent"):
        atomic.check_writable(path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "kept"

    def refuse(*_, **__):  # as an immutable folder does, also to root
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(pathlib.Path, method, refuse)
    with pytest.raises(UserError, match=f"Cannot write to .*{name}: Operation not permitted"):
        atomic.check_writable(tmp_path / name)


@pytest.mark.parametrize("name", ["n" * 255, "\xe9" * 127])
def test_the_longest_names_can_be_written(tmp_path, name):
    atomic.write_text(tmp_path / name, "whole")
    assert (tmp_path / name).read_text() == "whole" and len(list(tmp_path.iterdir())) == 1


def test_where_nothing_can_be_written_is_known_before(tmp_path, monkeypatch):
    atomic.check_place(tmp_path / "new" / "newer")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file is a file, not a folder"):
        atomic.check_place(tmp_path / "file" / "below")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="link that leads nowhere"):
        atomic.check_place(tmp_path / "link" / "below")
    monkeypatch.setattr(atomic.os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(UserError, match=f"{tmp_path} may not be written to"):
        atomic.check_place(tmp_path / "new")
