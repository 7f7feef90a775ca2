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
