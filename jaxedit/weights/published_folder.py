"""Networks in folders as their publishers provide them: config.json beside a file of weights.

What is read can be written back with the names, shapes and precision that it had.
"""

from __future__ import annotations

import json
import pathlib
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxedit.errors import UserError
from jaxedit.host import json_text

CONFIG = "config.json"
METADATA = {"format": "pt"}  # without it, the publishers' library refuses a safetensors file


def read_json(path: pathlib.Path, advice: str) -> dict[str, Any]:
    """Returns the object that a JSON file holds.

    Raises:
      UserError: it is not there (`advice` says what to give), or is not one.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file. {advice}")
    try:
        found = json_text.loads(path.read_bytes())
    except ValueError as error:
        raise UserError(f"{path}: no JSON ({error}). Download it again.") from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: holds no JSON object. Download it again.")
    return found


def write_json(path: pathlib.Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON object, and the folders that lead to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def weights_file(place: pathlib.Path, names: Sequence[str], advice: str) -> pathlib.Path:
    """Returns the first of `names` that is in the folder `place`.

    Raises:
      UserError: none is; `advice` says what to give.
    """
    for name in names:
        if (place / name).is_file():
            return place / name
    raise UserError(f"{place}: this folder lacks {' or '.join(names)}. {advice}")


def spelled(
    arrays: Mapping[str, np.ndarray],
    before: Mapping[str, np.ndarray],
    modern: Callable[[str], str],
    path: pathlib.Path,
) -> dict[str, np.ndarray]:
    """Returns `arrays` with the names, shapes and precision that a file had before.

    Args:
      arrays: by the names that `modern` gives.
      before: what the file held; whole numbers (buffers) stay as they are.
      modern: turns a name of `before` into that of `arrays`.
      path: of that file, for messages.

    Raises:
      UserError: one of both has an array that the other has not.
    """
    left, result = dict(arrays), {}
    for name, array in before.items():
        if array.dtype.kind in "iub":
            result[name] = array
            continue
        ours = left.pop(modern(name), None)
        if ours is None or ours.size != array.size:
            raise UserError(f"{path}: has {name!r} of shape {array.shape}, which the network to "
                            "be written has not. Take the folder that the network is from.")
        result[name] = ours.reshape(array.shape).astype(array.dtype)
    if left:
        raise UserError(f"{path}: lacks {min(left)!r} of the network to be written.")
    return result


def copy(source: pathlib.Path, target: pathlib.Path, left_out: Iterable[pathlib.Path]) -> None:
    """Copies a folder's files, but for those of the relative paths `left_out`."""
    left_out = set(left_out)
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if path.is_file() and relative not in left_out:
            (target / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / relative)  # of links, as caches have them, the file
