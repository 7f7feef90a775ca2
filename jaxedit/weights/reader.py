"""Reads a checkpoint into published name -> NumPy array: safetensors, torch or TensorFlow files.

The kind of file is told from its bytes, never from its name.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from jaxedit.errors import UserError
from jaxedit.weights import pickle_file, tensorflow_file, torch_file


def read(
    path: str | Path,
    *,
    nested: Sequence[str] = (),
    prefix: str = "",
    ignore: Sequence[str] = (),
) -> dict[str, np.ndarray]:
    """Returns the arrays of a checkpoint by their published names.

    Args:
      path: a safetensors file, a torch file of either form (zip since 1.6, legacy before), a
        pickle of stylegan2-ada's networks (`nested` is ("G_ema",), ("G",) or ("D",)), or the
        `.index` file of a TensorFlow checkpoint, whose data lie beside it.
      nested: the keys that lead to the wanted state dict where the file holds more than one, for
        example ("netD",) or ("state_dict",).
      prefix: stripped from every name where every name has it, for example "module.".
      ignore: patterns (`fnmatch`, on names as published, after the prefix) of entries to leave
        out, for example "*.num_batches_tracked". They are not read at all.

    Returns:
      Name -> array in the file's dtype; bfloat16 arrays have `ml_dtypes.bfloat16`.

    Raises:
      UserError: there is no such file, it is no checkpoint, it is damaged, it asks for anything
        but arrays, `nested` does not lead to a state dict, or an entry is no array.
    """
    path = Path(path)
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no such file"
        index = path.with_name(f"{path.name}.index")
        wanted = f"{index.name} beside it" if index.is_file() else (
            "the path of a safetensors, torch or TensorFlow checkpoint"
        )
        raise UserError(f"{path}: {kind}. Give {wanted}.")
    with path.open("rb") as stream:
        start = stream.read(64)
        stream.seek(-min(path.stat().st_size, len(tensorflow_file.MAGIC)), os.SEEK_END)
        end = stream.read()
    if start.startswith(b"PK\x03\x04"):
        return _read_torch(torch_file.ZipFile(path), nested, prefix, ignore)
    if start.startswith(torch_file.LEGACY_START):
        return _read_torch(torch_file.LegacyFile(path), nested, prefix, ignore)
    if _is_pickle(start):
        return _read_torch(pickle_file.PickleFile(path), nested, prefix, ignore)
    if len(start) > 8 and start[8:9] == b"{":
        return _read_safetensors(path, nested, prefix, ignore)
    if end == tensorflow_file.MAGIC:
        _refuse_nested(path, "an index of TensorFlow", nested)
        file = tensorflow_file.IndexFile(path)
        names = _select({name: name for name in file.contents}, prefix, ignore)
        return {new: file.read(old) for new, old in names.items()}
    index, is_data, _ = path.name.partition(".data-")
    if is_data and path.with_name(f"{index}.index").is_file():
        raise UserError(f"{path}: the numbers of a TensorFlow checkpoint. Give {index}.index.")
    raise UserError(
        f"{path}: {_what_instead(start)}. Expected a safetensors, torch or TensorFlow checkpoint."
    )


def is_network_pickle(path: str | Path) -> bool:
    """Whether a file is a pickle that torch did not write, such as those of stylegan2-ada."""
    with Path(path).open("rb") as stream:
        start = stream.read(64)
    return _is_pickle(start) and not start.startswith(torch_file.LEGACY_START)


def _is_pickle(start: bytes) -> bool:
    """Whether a file starts as pickles do, and not as a safetensors file with such a length."""
    return start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5") and (
        start[4:9] != b"\0\0\0\0{"
    )


def _refuse_nested(path: Path, what: str, nested: Sequence[str]) -> None:
    if nested:
        raise UserError(
            f"{path}: {what} holds one flat set of arrays, so it has no {'/'.join(nested)!r}."
        )


def _read_safetensors(
    path: Path, nested: Sequence[str], prefix: str, ignore: Sequence[str]
) -> dict[str, np.ndarray]:
    _refuse_nested(path, "a safetensors file", nested)
    try:
        with safetensors.safe_open(path, framework="np") as stream:
            names = _select({name: name for name in stream.keys()}, prefix, ignore)
            return {new: stream.get_tensor(old) for new, old in names.items()}
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"{path}: damaged safetensors file ({error}). Download it again."
        ) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: holds numbers of a type that is not read here ({error}), such as 8-bit "
            "floats. Save it as float16, bfloat16 or float32."
        ) from error


def _read_torch(
    file: torch_file.TorchFile, nested: Sequence[str], prefix: str, ignore: Sequence[str]
) -> dict[str, np.ndarray]:
    try:
        selected = _select(_state_dict(file.path, file.contents, nested), prefix, ignore)
        odd = {k: v for k, v in selected.items() if not isinstance(v, torch_file.LazyTensor)}
        if odd:
            dicts = [repr(name) for name, value in odd.items() if isinstance(value, Mapping)]
            hint = f" The file nests dicts: choose one of {', '.join(dicts[:8])}." if dicts else ""
            shown = ", ".join(f"{k!r} ({type(v).__name__})" for k, v in list(odd.items())[:4])
            raise UserError(f"{file.path}: not a plain set of arrays: {shown} are none.{hint}")
        file.check_sizes(selected.values())
        return {name: file.read(tensor) for name, tensor in selected.items()}
    finally:
        file.close()


def _state_dict(path: Path, contents: Any, nested: Sequence[str]) -> Mapping[str, Any]:
    for depth, key in enumerate(nested):
        if not isinstance(contents, Mapping) or key not in contents:
            where = "/".join(nested[:depth]) or "its top level"
            has = ", ".join(map(repr, list(contents)[:6])) if isinstance(contents, Mapping) else (
                f"a {type(contents).__name__}"
            )
            raise UserError(f"{path}: no {key!r} at {where}, which holds {has}.")
        contents = contents[key]
    if not isinstance(contents, Mapping) or not all(isinstance(name, str) for name in contents):
        raise UserError(
            f"{path}: holds a {type(contents).__name__} where a dict of named arrays was expected."
        )
    return contents


def _select(
    entries: Mapping[str, Any], prefix: str, ignore: Sequence[str]
) -> dict[str, Any]:
    if prefix and entries and all(name.startswith(prefix) for name in entries):
        entries = {name.removeprefix(prefix): value for name, value in entries.items()}
    return {
        name: value
        for name, value in entries.items()
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in ignore)
    }


def _what_instead(start: bytes) -> str:
    """Says what a file that is no checkpoint looks like, from its first bytes."""
    text = start.lstrip().lower()
    if not start:
        return "an empty file"
    if text.startswith((b"<!doctype", b"<html", b"<head")):
        return "a web page, as a file host sends it in place of the file (sign in, or confirm)"
    if text.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file itself"
    return "neither a safetensors, a torch nor a TensorFlow file"
