"""Loading a Python file by its path: a configuration, a sweep."""

from __future__ import annotations

import importlib.util
import pathlib
import types


def load(path: pathlib.Path, name: str) -> types.ModuleType:
    """Returns the file as a module called `name`, always made of what the file says now.

    Python's own loader keeps bytecode and knows a file by its size and the second of its last
    change: changed twice within a second, it would be the old one without a word.
    """
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    exec(spec.loader.source_to_code(path.read_bytes(), str(path)), module.__dict__)
    return module
