"""Python files that no import names: by their path, or by one name in every part of a package."""

from __future__ import annotations

import importlib
import importlib.util
import pathlib
import pkgutil
import types
from collections.abc import Iterator


def load(path: pathlib.Path, name: str) -> types.ModuleType:
    """Returns the file as a module called `name`, always made of what the file says now.

    Python's own loader keeps bytecode and knows a file by its size and the second of its last
    change: changed twice within a second, it would be the old one without a word.
    """
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    exec(spec.loader.source_to_code(path.read_bytes(), str(path)), module.__dict__)
    return module


def of_each(package: str, name: str) -> Iterator[types.ModuleType]:
    """Yields the module called `name` of every folder of a package that has one.

    What a folder adds to what is shared is so found by its name, and the folder needs no line in
    any other file.
    """
    root = importlib.import_module(package)
    for folder in pkgutil.iter_modules(root.__path__, f"{package}."):
        module = f"{folder.name}.{name}"
        if folder.ispkg and importlib.util.find_spec(module) is not None:
            yield importlib.import_module(module)
