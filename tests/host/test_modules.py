"""Python files by their path."""

import os

from jaxedit.host import modules


def test_a_file_is_what_it_says_now(tmp_path):
    """Also where size and time of change are those of before."""
    path = tmp_path / "mine.py"
    found = []
    for value in ("'one'", "'two'"):
        path.write_text(f"VALUE = {value}\n")
        os.utime(path, (1e9, 1e9))
        module = modules.load(path, "mine")
        found.append(module.VALUE)
    assert found == ["one", "two"]
    assert module.__file__ == str(path) and module.__name__ == "mine"


def test_a_module_of_each_folder_is_found_by_its_name(tmp_path, monkeypatch):
    for name in ("one", "two", "without"):
        (tmp_path / "parts" / name).mkdir(parents=True)
        (tmp_path / "parts" / name / "__init__.py").write_text("")
    for name in ("two", "one"):
        (tmp_path / "parts" / name / "mine.py").write_text(f"VALUE = {name!r}")
    (tmp_path / "parts" / "base.py").write_text("raise AssertionError('a file is no folder')")
    monkeypatch.syspath_prepend(tmp_path)
    assert [found.VALUE for found in modules.of_each("parts", "mine")] == ["one", "two"]
