"""Digests of folders: what counts as damage."""

import pytest

from jaxedit.host import digests


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "a.bin").write_bytes(b"abc")
    (tmp_path / "inner" / "b.bin").write_bytes(bytes(range(100)))
    (tmp_path / "manifest.json").write_text("{}")
    return tmp_path


def test_describe(folder):
    found = digests.describe(folder, without=["manifest.json"])
    assert list(found) == ["a.bin", "inner/b.bin"]
    # The published test vector of SHA-256 for "abc".
    assert found["a.bin"] == {
        "bytes": 3, "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    }


def test_damages(folder):
    files = digests.describe(folder, without=["manifest.json"])
    (folder / "new.txt").write_text("no damage")
    assert digests.damages(folder, files) == []
    (folder / "a.bin").write_bytes(b"abd")
    (folder / "inner" / "b.bin").write_bytes(b"")
    lines = digests.damages(folder, files)
    assert "a.bin is damaged" in lines[0] and "0 bytes instead of 100" in lines[1]
    (folder / "a.bin").unlink()
    assert "a.bin is missing" in digests.damages(folder, files)[0]
