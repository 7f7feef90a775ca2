"""Turns public weights into our files, and loads those.

Our file of the weights NAME is `<weights folder>/NAME.safetensors`. Its keys are the paths of the
variables joined by "/", below the network's name where there are several networks; its arrays have
our layout. Other files that the networks need are arrays of bytes below "files/". Its metadata says
where it came from, and holds a digest of what stands below each first key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from flax import traverse_util

from jaxedit.errors import PretrainedWeightsMissing, UserError
from jaxedit.host import digests, json_text
from jaxedit.host.atomic import atomic_file, remove_leftovers_of
from jaxedit.host.names import check_choice
from jaxedit.weights import catalogue, manifest, shipped, source, table
from jaxedit.weights.entry import Bundle, File, Network, Published

FORMAT = "jaxedit weights 1"
_FILES = "files"  # where a bundle's other files stand beside its networks


def convert(
    name: str,
    file: str | Path,
    output: str | Path | None = None,
    *,
    weights_dir: str | Path | None = None,
    verify: bool = True,
) -> Path:
    """Converts published weights and returns the path of our file.

    Args:
      name: a name of the manifest, for example "vgg16".
      file: the file as published; the folder where several belong together.
      output: where to write; the weights folder's own place for `name` by default, which is where
        `load` looks.
      weights_dir: the weights folder, by default `catalogue.default_dir()`.
      verify: compare the SHA-256 of each file with the manifest, where that has one. A re-saved
        file has another digest; its keys and shapes are checked in any case.

    Raises:
      UserError: unknown name, unreadable file, another digest than the published one, or keys or
        shapes that are not these networks'. Nothing is written then.
    """
    entry = manifest.get(name)
    if isinstance(entry, shipped.Shipped):
        raise UserError(f"The weights {name!r} come with jaxedit: there is nothing to convert.")
    contents = source.read(entry, Path(file))
    found = {key: digests.digest(path) for key, path in contents.files.items()}
    if verify:
        _check_digests(entry, contents, found)
    variables, problems = {}, list(contents.unused)
    for network in entry.networks:
        what = f"{file}: the {name} weights" + (
            f" of {network.name!r}" if isinstance(entry, Bundle) else ""
        )
        try:
            config = contents.configs.get(network.name, {})
            arrays = contents.arrays.pop(network.name)  # freed when used: they can be gigabytes
            variables[network.name] = _fill(network, arrays, config, what)
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))
    metadata = {
        "format": FORMAT,
        "name": name,
        "source": entry.address,
        "source_sha256": json.dumps(found) if isinstance(entry, Bundle) else _only(found),
        "licence": entry.licence,
    }
    if contents.configs:
        metadata["configs"] = json.dumps(contents.configs)
    if isinstance(entry, Published):
        variables = variables[name]
    arrays = traverse_util.flatten_dict(variables, sep="/")
    for path, data in contents.kept.items():
        arrays[f"{_FILES}/{path}"] = np.frombuffer(data, np.uint8)
    metadata["digests"] = json.dumps(_digests(arrays))
    target = Path(output) if output is not None else catalogue.path_of(name, weights_dir)
    _write(arrays, metadata, target)
    return target


def load(
    name: str,
    weights_dir: str | Path | None = None,
    *,
    networks: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Returns the weights `name` as nested variables ({"params": ...}) of NumPy arrays.

    A bundle's are {network: variables}. Weights that come with the package need no weights folder.

    Args:
      name: as `jaxedit weights list` shows it.
      weights_dir: the weights folder, by default `catalogue.default_dir()`.
      networks: of a bundle, those that are wanted; all where None. No others are read.

    Raises:
      PretrainedWeightsMissing: they are not in the weights folder; the message says how to get
        them.
      UserError: unknown name, or a file that is damaged or holds other weights.
    """
    entry = manifest.get(name)
    if isinstance(entry, shipped.Shipped):
        return shipped.load(entry)
    if networks is not None:
        for wanted in networks:
            check_choice(f"the network of {name!r}", wanted, [n.name for n in entry.networks])
    chosen = [n for n in entry.networks if networks is None or n.name in networks]
    tops = None if isinstance(entry, Published) else {network.name for network in chosen}
    path, metadata, arrays = _read(name, weights_dir, tops)
    variables = traverse_util.unflatten_dict(arrays, sep="/")
    configs = _configs(path, metadata)
    expected = {
        network.name: network.expected(**network.options(configs.get(network.name, {})))
        for network in chosen
    }
    _check_shapes(name, variables, expected[name] if isinstance(entry, Published) else expected,
                  path)
    return variables


def load_all(names: Sequence[str], weights_dir: str | Path | None = None) -> list[dict[str, Any]]:
    """Returns what `load` returns for each of `names`.

    Raises:
      PretrainedWeightsMissing: some are not in the weights folder; the message names all of those.
    """
    missing = [name for name in names if not catalogue.is_here(name, weights_dir)]
    if missing:
        raise PretrainedWeightsMissing(catalogue.how_to_get_all(missing, weights_dir))
    return [load(name, weights_dir) for name in names]


def load_options(name: str, weights_dir: str | Path | None = None) -> dict[str, dict[str, Any]]:
    """Returns network's name -> what its published configuration asks of it (`Network.options`).

    Raises:
      PretrainedWeightsMissing, UserError: as `load`.
    """
    entry = manifest.get(name)
    if isinstance(entry, shipped.Shipped):
        raise UserError(f"The weights {name!r} come with jaxedit: their card describes them.")
    path, metadata, _ = _read(name, weights_dir, set())
    configs = _configs(path, metadata)
    return {
        network.name: network.options(configs.get(network.name, {})) for network in entry.networks
    }


def load_file(name: str, path: str, weights_dir: str | Path | None = None) -> bytes:
    """Returns a file that was published beside the weights, for example a vocabulary.

    Args:
      name: of a bundle that keeps the file.
      path: of the file in the published folder.
      weights_dir: the weights folder, by default `catalogue.default_dir()`.

    Raises:
      PretrainedWeightsMissing: the weights are not in the weights folder.
      UserError: these weights have no such file.
    """
    ours, _, arrays = _read(name, weights_dir, {_FILES})
    if f"{_FILES}/{path}" not in arrays:
        raise UserError(f"{ours}: the weights {name!r} come without a file {path!r}.")
    return arrays[f"{_FILES}/{path}"].tobytes()


def _fill(
    network: Network, arrays: dict[str, np.ndarray], config: Mapping[str, Any], what: str
) -> dict[str, Any]:
    """Returns the variables of one network, every key checked."""
    try:
        options = network.options(config)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{what}: {network.config} does not describe this network "
            f"({type(error).__name__}: {error})."
        ) from error
    # Anything but an integer or bool is a float here, NumPy's own or bfloat16 (of kind "V").
    arrays = {
        key: array if array.dtype.kind in "iub" else array.astype(np.float32)
        for key, array in arrays.items()
    }
    if network.prepare is not None:
        try:
            arrays = network.prepare(arrays)
        except KeyError as error:
            raise UserError(f"{what} do not fit this network: missing {error}.") from error
    return table.to_jax(network.table(**options), arrays, network.expected(**options), what)


def _read(
    name: str, weights_dir: str | Path | None, tops: Set[str] | None
) -> tuple[Path, dict[str, str], dict[str, np.ndarray]]:
    """Returns path, metadata and arrays of our file of `name`: those whose first key is in `tops`,
    or all where that is None."""
    path = catalogue.path_of(name, weights_dir)
    if not path.is_file():
        raise PretrainedWeightsMissing(catalogue.how_to_get(name, weights_dir))
    try:
        with safetensors.safe_open(path, framework="np") as stream:
            metadata = stream.metadata() or {}
            arrays = {
                key: stream.get_tensor(key) for key in stream.keys()
                if tops is None or key.split("/")[0] in tops
            }
        written = json_text.loads(metadata.get("digests", "{}"))  # earlier files have none
        if any(digest != written.get(top, digest) for top, digest in _digests(arrays).items()):
            raise ValueError("the SHA-256 of its arrays has changed")
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: damaged ({error}). Convert {name} again.") from error
    if metadata.get("name") != name:
        raise UserError(
            f"{path}: holds the weights {metadata.get('name')!r}, not {name!r}. "
            f"Convert again: jaxedit weights convert {name} FILE"
        )
    return path, metadata, arrays


def _digests(arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Returns first key -> SHA-256 of the names, types, shapes and bytes of all arrays below it."""
    found: dict[str, Any] = {}
    for key in sorted(arrays):
        array = np.ascontiguousarray(arrays[key])
        digest = found.setdefault(key.split("/")[0], hashlib.sha256())
        digest.update(f"{key} {array.dtype.str} {array.shape} ".encode())
        digest.update(array.reshape(-1).view(np.uint8))
    return {top: digest.hexdigest() for top, digest in found.items()}


def _configs(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        return json_text.loads(metadata.get("configs", "{}"))
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error}). Convert again.") from error


def _check_digests(
    entry: Published | Bundle, contents: source.Contents, found: Mapping[str, str]
) -> None:
    """Compares each file with the one that was published under its name."""
    known = {file.path: file for file in entry.files}
    for key, digest in found.items():
        # One file may have been given another name.
        file = entry.files[0] if len(entry.files) == 1 else known.get(key)
        if file is not None:
            _check_digest(entry, file, contents.files[key], digest)


def _check_digest(entry: Published | Bundle, file: File, path: Path, digest: str) -> None:
    expected = file.sha256 or file.sha256_prefix
    if expected is None or digest.startswith(expected):
        return
    begins = "is" if file.sha256 else "begins with"
    raise UserError(
        f"{path}: not the published file of {entry.name!r}: its SHA-256 is {digest}, the "
        f"published one {begins} {expected}. Download it again from {file.address} or, if "
        "you re-saved it yourself, convert it with --no-verify"
    )


def _check_shapes(name: str, variables: Any, expected: Any, path: Path) -> None:
    ours, expected = (
        {key: tuple(leaf.shape) for key, leaf in traverse_util.flatten_dict(tree, sep="/").items()}
        for tree in (variables, expected)
    )
    if ours != expected:
        odd = sorted(set(ours.items()) ^ set(expected.items()))[0][0]
        raise UserError(
            f"{path}: does not fit this version's network: {odd!r} has shape {ours.get(odd)}, "
            f"expected {expected.get(odd)}. Convert again: "
            f"jaxedit weights convert {name} FILE"
        )


def _only(found: Mapping[str, str]) -> str:
    (digest,) = found.values()
    return digest


def _write(arrays: dict[str, np.ndarray], metadata: dict[str, str], target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{target.parent}: this folder cannot be made: {error}. Choose another one with "
            "$JAXEDIT_WEIGHTS."
        ) from error
    remove_leftovers_of(target)
    with atomic_file(target) as temporary:
        try:
            safetensors.numpy.save_file(arrays, temporary, metadata)
        except safetensors.SafetensorError as error:  # a full disk, among others
            raise OSError(str(error)) from error
