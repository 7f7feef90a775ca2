"""A file's signature: made by this user for these bytes, and for nobody else and no others."""

import pytest

from jaxedit.host import origin


@pytest.fixture
def signed(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    path = tmp_path / "config.json"
    path.write_text("{}")
    assert not origin.is_own(path)
    origin.sign(path)
    return path


def test_own_until_it_changes_or_another_user_looks(signed, tmp_path, monkeypatch):
    assert origin.is_own(signed)
    key = tmp_path / "home" / "jaxedit" / "key"
    assert key.stat().st_mode & 0o077 == 0
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for path in tmp_path.glob("config.json*"):
        (moved / path.name).write_bytes(path.read_bytes())
    assert origin.is_own(moved / "config.json")
    signed.write_text("{ }")
    assert not origin.is_own(signed)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other"))
    assert not origin.is_own(moved / "config.json")


def test_without_a_place_for_the_key_nothing_is_own(signed, tmp_path, monkeypatch):
    for path in tmp_path.glob("config.json.*"):
        path.unlink()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    origin.sign(signed)
    assert not origin.is_own(signed)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "jaxedit" / "key").write_bytes(b"")
    origin.sign(signed)
    assert not origin.is_own(signed) and not list(tmp_path.glob("config.json.*"))
