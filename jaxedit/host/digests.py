"""SHA-256 digests of files, and whether a folder still holds what it held when it was written."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Iterable, Mapping
from typing import TypedDict


class FileFacts(TypedDict):
    """What a manifest keeps of one file."""

    bytes: int
    sha256: str


def digest(path: pathlib.Path) -> str:
    """Returns the SHA-256 of a file's bytes, lower-case hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def describe(folder: pathlib.Path, without: Iterable[str] = ()) -> dict[str, FileFacts]:
    """Returns POSIX path below `folder` -> size and digest, sorted, for every file in it.

    Args:
      folder: looked through with its sub-folders.
      without: paths below it that are left out, such as that of the manifest itself.
    """
    left_out = set(without)
    found: dict[str, FileFacts] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in left_out:
            found[name] = {"bytes": path.stat().st_size, "sha256": digest(path)}
    return found


def damages(folder: pathlib.Path, files: Mapping[str, FileFacts]) -> list[str]:
    """Returns a line for each file of `files` that is absent or no longer what it was.

    Files that `files` does not name are no damage.

    Raises:
      OSError: a file is there and cannot be read just now, which is no damage either.
    """
    found = []
    for name, facts in files.items():
        path = folder / name
        if not path.is_file():
            found.append(f"{name} is missing")
        elif path.stat().st_size != facts["bytes"]:
            found.append(f"{name} has {path.stat().st_size} bytes instead of {facts['bytes']}")
        elif digest(path) != facts["sha256"]:
            found.append(f"{name} is damaged (its SHA-256 has changed)")
    return found
