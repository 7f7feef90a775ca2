"""Turns public checkpoints into our files, and loads those.

Our file of the checkpoint NAME is `<weights folder>/NAME.safetensors`. Its keys are the paths of
the variables joined by "/", its arrays have our layout, its metadata says where it came from.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from flax import traverse_util

from jaxedit.errors import PretrainedWeightsMissing, UserError
from jaxedit.host import digests
from jaxedit.host.atomic import atomic_file
from jaxedit.weights import manifest, reader, table
from jaxedit.weights.entry import Published

FORMAT = "jaxedit weights 1"


def default_dir() -> Path:
    """Returns $JAXEDIT_WEIGHTS, or `jaxedit/weights` in the user's cache folder
    ($XDG_CACHE_HOME, or ~/.cache)."""
    if os.environ.get("JAXEDIT_WEIGHTS"):
        return Path(os.environ["JAXEDIT_WEIGHTS"]).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "jaxedit" / "weights"


def path_of(name: str, weights_dir: str | Path | None = None) -> Path:
    """Returns where the converted weights `name` are, or would be."""
    return Path(weights_dir or default_dir()).expanduser() / f"{name}.safetensors"


def convert(
    name: str,
    file: str | Path,
    output: str | Path | None = None,
    *,
    weights_dir: str | Path | None = None,
    verify: bool = True,
) -> Path:
    """Converts the published checkpoint `file` and returns the path of our file.

    Args:
      name: a name of the manifest, for example "scat-places2".
      file: the file as published.
      output: where to write; the weights folder's own place for `name` by default, which is where
        `load` looks.
      weights_dir: the weights folder, by default `default_dir()`.
      verify: compare the file's SHA-256 with the manifest, where that has one. A re-saved file
        has another digest; its keys and shapes are checked in any case.

    Raises:
      UserError: unknown name, unreadable file, another digest than the published one, or keys or
        shapes that are not this network's. Nothing is written then.
    """
    entry = manifest.get(name)
    arrays = reader.read(
        file, nested=entry.nested, prefix=entry.prefix, ignore=entry.ignore
    )
    digest = digests.digest(Path(file))
    if verify:
        _check_digest(entry, Path(file), digest)
    arrays = {key: _as_float32(array) for key, array in arrays.items()}
    variables = table.to_jax(
        entry.table(), arrays, entry.expected(), f"{file}: the {name} weights"
    )
    metadata = {
        "format": FORMAT,
        "name": name,
        "source": entry.address,
        "source_sha256": digest,
        "licence": entry.licence,
    }
    target = Path(output) if output is not None else path_of(name, weights_dir)
    _write(traverse_util.flatten_dict(variables, sep="/"), metadata, target)
    return target


def load(name: str, weights_dir: str | Path | None = None) -> dict[str, Any]:
    """Returns the converted weights `name` as nested variables ({"params": ...}) of NumPy arrays.

    Raises:
      PretrainedWeightsMissing: they are not in the weights folder; the message says how to get
        them.
      UserError: unknown name, or a file that is damaged or holds other weights.
    """
    entry = manifest.get(name)
    path = path_of(name, weights_dir)
    if not path.is_file():
        raise PretrainedWeightsMissing(how_to_get(name, weights_dir))
    try:
        with safetensors.safe_open(path, framework="np") as stream:
            metadata = stream.metadata() or {}
            arrays = {key: stream.get_tensor(key) for key in stream.keys()}
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: damaged ({error}). Convert {name} again.") from error
    if metadata.get("name") != name:
        raise UserError(
            f"{path}: holds the weights {metadata.get('name')!r}, not {name!r}. "
            f"Convert again: jaxedit weights convert {name} FILE"
        )
    variables = traverse_util.unflatten_dict(arrays, sep="/")
    _check_shapes(entry, variables, path)
    return variables


def load_all(names: Sequence[str], weights_dir: str | Path | None = None) -> list[dict[str, Any]]:
    """Returns what `load` returns for each of `names`.

    Raises:
      PretrainedWeightsMissing: some are not in the weights folder; the message names all of those.
    """
    missing = [name for name in names if not path_of(name, weights_dir).is_file()]
    if missing:
        raise PretrainedWeightsMissing(". ".join(how_to_get(name, weights_dir) for name in missing))
    return [load(name, weights_dir) for name in names]


def how_to_get(name: str, weights_dir: str | Path | None = None) -> str:
    """Returns the line that says how to obtain the weights `name`."""
    entry = manifest.get(name)
    folder = path_of(name, weights_dir).parent
    setting = "" if folder == default_dir() else f"JAXEDIT_WEIGHTS={shlex.quote(str(folder))} "
    size = f" ({entry.bytes / 1e6:,.1f} MB)" if entry.bytes else ""
    file = f" (the file {entry.file} in it)" if entry.file else ""
    return (
        f"The weights {name!r} are not in {folder}. Download {entry.address}{file}{size}, "
        f"then run: {setting}jaxedit weights convert {name} FILE"
    )


def list_rows(weights_dir: str | Path | None = None) -> list[dict[str, str]]:
    """Returns one row per known entry, for `jaxedit weights list`.

    Keys: name, state ("ready" or "absent"), what, path (ours), address, file, size, licence,
    digest.
    """
    rows = []
    for name, entry in manifest.entries().items():
        path = path_of(name, weights_dir)
        if entry.sha256:
            digest = f"SHA-256 {entry.sha256}"
        elif entry.sha256_prefix:
            digest = f"SHA-256 begins with {entry.sha256_prefix}"
        else:
            digest = "not published"
        rows.append(
            {
                "name": name,
                "state": "ready" if path.is_file() else "absent",
                "what": entry.what,
                "path": str(path),
                "address": entry.address,
                "file": entry.file,
                "size": f"{entry.bytes:,} bytes" if entry.bytes else "not published",
                "licence": entry.licence,
                "digest": digest,
            }
        )
    return rows


def _check_digest(entry: Published, path: Path, digest: str) -> None:
    expected = entry.sha256 or entry.sha256_prefix
    if expected is None or digest.startswith(expected):
        return
    begins = "is" if entry.sha256 else "begins with"
    raise UserError(
        f"{path}: not the published file of {entry.name!r}: its SHA-256 is {digest}, the "
        f"published one {begins} {expected}. Download it again from {entry.address} or, if "
        "you re-saved it yourself, convert it with --no-verify"
    )


def _check_shapes(entry: Published, variables: Any, path: Path) -> None:
    ours, expected = (
        {key: tuple(leaf.shape) for key, leaf in traverse_util.flatten_dict(tree, sep="/").items()}
        for tree in (variables, entry.expected())
    )
    if ours != expected:
        odd = sorted(set(ours.items()) ^ set(expected.items()))[0][0]
        raise UserError(
            f"{path}: does not fit this version's network: {odd!r} has shape {ours.get(odd)}, "
            f"expected {expected.get(odd)}. Convert again: "
            f"jaxedit weights convert {entry.name} FILE"
        )


def _as_float32(array: np.ndarray) -> np.ndarray:
    # Anything but an integer or bool is a float here, NumPy's own or bfloat16 (of kind "V").
    return array if array.dtype.kind in "iub" else array.astype(np.float32)


def _write(arrays: dict[str, np.ndarray], metadata: dict[str, str], target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{target.parent}: this folder cannot be made: {error}. Choose another one with "
            "$JAXEDIT_WEIGHTS."
        ) from error
    with atomic_file(target) as temporary:
        try:
            safetensors.numpy.save_file(arrays, temporary, metadata)
        except safetensors.SafetensorError as error:  # a full disk, among others
            raise OSError(str(error)) from error
