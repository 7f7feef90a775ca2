"""The console: some know fewer letters than what is printed, and no run may die of that."""

from __future__ import annotations

import os
import pathlib
import sys


def tolerate() -> None:
    """Lets standard output and errors write what their encoding lacks as an escape, `\\xb1`."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def path(text: str | os.PathLike) -> pathlib.Path:
    """Returns a path that a person typed, where a shell has not expanded its `~`."""
    return pathlib.Path(os.path.expanduser(text))
