"""Files and folders that appear whole or not at all."""

import stat

import pytest

from jaxedit.errors import UserError
from jaxedit.host.atomic import atomic_file, atomic_folder


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
