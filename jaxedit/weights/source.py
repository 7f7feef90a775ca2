"""Reads what a publisher provides, a file or a folder, and tells which array is of which network.

Nothing is unpickled freely (`reader`), and files are looked for under the names of the manifest
alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxedit.errors import UserError
from jaxedit.host import json_text
from jaxedit.weights import reader
from jaxedit.weights.entry import Bundle, Network, Published

_CONFIG_LIMIT = 1_000_000  # bytes; published ones have a few thousand
_KEEP_LIMIT = 100_000_000


@dataclasses.dataclass
class Contents:
    """What was read.

    Attributes:
      arrays: network's name -> published name -> array.
      configs: network's name -> what its JSON file holds.
      kept: path in the folder -> bytes.
      files: path in the folder, or the file's name -> where it was read from.
      unused: a line per file with entries that no network has a place for.
    """

    arrays: dict[str, dict[str, np.ndarray]] = dataclasses.field(default_factory=dict)
    configs: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    kept: dict[str, bytes] = dataclasses.field(default_factory=dict)
    files: dict[str, Path] = dataclasses.field(default_factory=dict)
    unused: list[str] = dataclasses.field(default_factory=list)


def read(entry: Published | Bundle, source: Path) -> Contents:
    """Returns the arrays, configurations and other files of `entry` that `source` holds.

    Args:
      entry: of the manifest.
      source: the published file; the published folder where the entry has several files.

    Raises:
      UserError: a file is absent, damaged or no checkpoint.
    """
    contents = Contents()
    groups: dict[tuple, list[Network]] = {}
    for network in entry.networks:
        path = _find(entry, network, source)
        contents.files[path.relative_to(source).as_posix() if source.is_dir() else path.name] = path
        groups.setdefault((path, network.nested, network.prefix), []).append(network)
        if network.config:
            contents.configs[network.name] = _config(source, network.config)
    for (path, nested, prefix), networks in groups.items():
        ignore = [pattern for network in networks for pattern in network.ignore]
        # What leads to the state dict of another network is no array, and not unused.
        ignore += [
            inner[len(nested)] for other, inner, _ in groups
            if other == path and len(inner) > len(nested) and inner[: len(nested)] == nested
        ]
        arrays = reader.read(path, nested=nested, prefix=prefix, ignore=ignore)
        _distribute(path, networks, arrays, contents)
    for path in getattr(entry, "keep", ()):
        contents.kept[path] = _bytes(source, path, _KEEP_LIMIT)
        contents.files[path] = source / path
    return contents


def _find(entry: Published | Bundle, network: Network, source: Path) -> Path:
    """Returns the file of `network`."""
    paths = network.paths or tuple(file.path for file in entry.files)
    if not source.is_dir():
        if network.paths and len({n.paths for n in entry.networks}) > 1:
            raise UserError(
                f"{source}: {entry.name} is published as a folder. Give the folder that holds "
                f"{', '.join(n.paths[0] for n in entry.networks if n.paths)}."
            )
        return source
    if isinstance(entry, Published) and not network.paths:
        return source  # which the reader refuses as a folder
    for path in paths:
        if (source / path).is_file():
            return source / path
    raise UserError(f"{source}: this folder lacks {' or '.join(paths)}, needed for {entry.name}.")


def _distribute(
    path: Path, networks: list[Network], arrays: Mapping[str, np.ndarray], contents: Contents
) -> None:
    """Gives each array to the network whose names begin like its name, the longest first."""
    starts = sorted(
        ((start, network.name) for network in networks for start in network.starts),
        key=lambda pair: -len(pair[0]),
    )
    for network in networks:
        contents.arrays[network.name] = {}
    unused = []
    for name, array in arrays.items():
        for start, owner in starts:
            if name.startswith(start):
                contents.arrays[owner][name.removeprefix(start)] = array
                break
        else:
            unused.append(name)
    if unused:
        shown = ", ".join(map(repr, unused[:4]))
        more = f" and {len(unused) - 4} more" if len(unused) > 4 else ""
        contents.unused.append(f"{path}: unused {shown}{more}")


def _config(source: Path, path: str) -> dict[str, Any]:
    try:
        config = json_text.loads(_bytes(source, path, _CONFIG_LIMIT))
    except ValueError as error:
        raise UserError(f"{source / path}: no JSON ({error}). Download it again.") from error
    if not isinstance(config, dict):
        raise UserError(f"{source / path}: holds no JSON object. Download it again.")
    return config


def _bytes(source: Path, path: str, limit: int) -> bytes:
    file = source / path
    if not source.is_dir() or not file.is_file():
        raise UserError(f"{source}: lacks {path}. Give the whole folder as published.")
    if file.stat().st_size > limit:
        raise UserError(f"{file}: larger than {limit:,} bytes, so it is not what it should be.")
    return file.read_bytes()
