"""A folder's manifest: which files it held when it was finished, with their sizes and digests.

One changed bit in a stored array comes back as a silently wrong number; the manifest is how a
reader finds out first. It is the file `manifest.json` in the folder itself.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from jaxedit.host import atomic, digests, json_text

NAME = "manifest.json"
_OWN = "sha256"  # of the manifest itself; those of older versions have none


def seal(
    folder: pathlib.Path, about: Mapping[str, Any] | None = None, without: Iterable[str] = ()
) -> None:
    """Writes the manifest of a finished folder, replacing one that is there.

    Args:
      folder: what is described, with its sub-folders.
      about: facts to keep beside `files`, JSON-able or NumPy's, see `about_of`.
      without: paths below `folder` that may change later.
    """
    _write(folder, {**(about or {}), "files": digests.describe(folder, [NAME, *without])})


def add(folder: pathlib.Path, name: str) -> None:
    """Enters a file below a sealed folder that came later, or that was written anew."""
    content = _read(folder)
    facts = {"bytes": (folder / name).stat().st_size, "sha256": digests.digest(folder / name)}
    _write(folder, {**content, "files": {**content["files"], name: facts}})


def is_sealed(folder: pathlib.Path) -> bool:
    """Whether the folder has a manifest; those of older versions have none."""
    return (folder / NAME).is_file()


def damages(folder: pathlib.Path, only: Iterable[str] | None = None) -> list[str]:
    """Returns a line for each file that is no longer what it was; no line where all are.

    A folder without a manifest cannot be checked: no line. Files that came later are no damage.

    Args:
      folder: what is compared with its manifest.
      only: paths below it, where not every file is to be read.

    Raises:
      OSError: a file cannot be read just now, which is no damage.
    """
    try:
        content = _read(folder)
        if content.get(_OWN, own := _own_digest(content)) != own:
            return [f"{NAME} is damaged"]
        files = content["files"]
        wanted = files if only is None else {name: files[name] for name in only if name in files}
        return digests.damages(folder, wanted)
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError, AttributeError):
        return [f"{NAME} is damaged"]


def about_of(folder: pathlib.Path) -> dict[str, Any]:
    """Returns the facts that `seal` was given; {} without a readable manifest."""
    try:
        return {key: value for key, value in _read(folder).items() if key not in ("files", _OWN)}
    except (FileNotFoundError, ValueError, AttributeError):
        return {}


def _write(folder: pathlib.Path, content: Mapping[str, Any]) -> None:
    plain = lambda value: np.asarray(value).tolist()
    content = json.loads(json.dumps(content, default=plain))
    content[_OWN] = _own_digest(content)
    atomic.write_text(folder / NAME, json.dumps(content, indent=1))


def _own_digest(content: Mapping[str, Any]) -> str:
    """Returns the digest of all that a manifest says but this: a fact can be damaged too."""
    said = {key: value for key, value in content.items() if key != _OWN}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _read(folder: pathlib.Path) -> dict[str, Any]:
    return json_text.loads((folder / NAME).read_bytes())
