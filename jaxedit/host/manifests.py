"""A folder's manifest: which files it held when it was finished, with their sizes and digests.

One changed bit in a stored array comes back as a silently wrong number; the manifest is how a
reader finds out first. It is the file `manifest.json` in the folder itself.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from jaxedit.host import atomic, digests, json_text

NAME = "manifest.json"


def seal(
    folder: pathlib.Path, about: Mapping[str, Any] | None = None, without: Iterable[str] = ()
) -> None:
    """Writes the manifest of a finished folder, replacing one that is there.

    Args:
      folder: what is described, with its sub-folders.
      about: facts to keep beside `files`, JSON-able or NumPy's, see `about_of`.
      without: paths below `folder` that may change later.
    """
    files = digests.describe(folder, [NAME, *without])
    plain = lambda value: np.asarray(value).tolist()
    text = json.dumps({**(about or {}), "files": files}, indent=1, default=plain)
    atomic.write_text(folder / NAME, text)


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
        files = _read(folder)["files"]
        wanted = files if only is None else {name: files[name] for name in only if name in files}
        return digests.damages(folder, wanted)
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError, AttributeError):
        return [f"{NAME} is damaged"]


def about_of(folder: pathlib.Path) -> dict[str, Any]:
    """Returns the facts that `seal` was given; {} without a readable manifest."""
    try:
        return {key: value for key, value in _read(folder).items() if key != "files"}
    except (FileNotFoundError, ValueError, AttributeError):
        return {}


def _read(folder: pathlib.Path) -> dict[str, Any]:
    return json_text.loads((folder / NAME).read_bytes())
