"""An inversion in a file: what `invert` found for a picture, to be edited again without it.

A safetensors file: the arrays of the task `invert` that edits need, the picture itself, and in the
metadata a fingerprint of the networks.
"""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import safetensors
import safetensors.numpy

from jaxedit.errors import UserError
from jaxedit.host.atomic import atomic_file

FORMAT = "jaxedit inversion 1"
NEEDED = ("image", "encoded", "codes", "residual")  # arrays of every inversion


@dataclasses.dataclass(frozen=True)
class Inverted:
    """An inversion.

    Attributes:
      arrays: `encoded`, `codes` (n, W), `residual` (t, t, C), `image`, the generator's picture, and
        where a discrepancy was predicted `discrepancy`.
      picture: uint8 (H, W, 3), what was inverted, at the network's size.
      networks: fingerprint of those that were used.
      steps: of refinement.
    """

    arrays: Mapping[str, np.ndarray]
    picture: np.ndarray
    networks: str
    steps: int = 0


def fingerprint(variables: Any) -> str:
    """Returns a digest of the values of a pytree of arrays, with their places."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(variables):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.shape} ".encode())
        digest.update(array.reshape(-1).view(np.uint8))
    return digest.hexdigest()


def write(path: pathlib.Path, inverted: Inverted) -> None:
    """Writes an inversion, whole or not at all."""
    arrays = {name: np.ascontiguousarray(array) for name, array in inverted.arrays.items()}
    metadata = {
        "format": FORMAT, "networks": inverted.networks, "steps": str(inverted.steps),
    }
    with atomic_file(path) as temporary:
        temporary.write_bytes(
            safetensors.numpy.save({**arrays, "picture": inverted.picture}, metadata)
        )


def is_one(path: pathlib.Path) -> bool:
    """Whether a file says that it holds an inversion."""
    try:
        with safetensors.safe_open(path, "numpy") as file:
            return (file.metadata() or {}).get("format") == FORMAT
    except (safetensors.SafetensorError, OSError):
        return False


def read(path: pathlib.Path, shapes: Mapping[str, tuple[int, ...]], networks: str) -> Inverted:
    """Returns the inversion in a file.

    Args:
      path: of the file.
      shapes: array -> its shape, of the networks that are to edit it.
      networks: their fingerprint.

    Raises:
      UserError: it holds no inversion, or one by other networks.
    """
    try:
        with safetensors.safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise UserError(f"{path} holds no inversion; `jaxedit invert --keep` writes them.")
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            steps = int(metadata["steps"])
        picture, made_by = arrays.pop("picture"), metadata["networks"]
        _check(arrays, picture)
    except (
        safetensors.SafetensorError, OSError, ValueError, KeyError, AttributeError
    ) as error:  # AttributeError: a kind of numbers that NumPy has not
        raise UserError(f"The inversion in {path} is damaged: {error}.") from error
    found = {name: array.shape for name, array in arrays.items()} | {"picture": picture.shape}
    other = [name for name, shape in shapes.items() if found.get(name) != tuple(shape)]
    if other or made_by != networks:
        sizes = f": {other[0]} has the shape {found.get(other[0])}" if other else ""
        raise UserError(
            f"The inversion in {path} was made by other networks{sizes}. Invert the picture again."
        )
    return Inverted(arrays, picture, networks, steps)


def _check(arrays: Mapping[str, np.ndarray], picture: np.ndarray) -> None:
    """Raises ValueError where an inversion lacks something, or holds what is no number."""
    if lacking := set(NEEDED) - set(arrays):
        raise ValueError(f"it lacks {', '.join(sorted(lacking))}")
    if picture.dtype != np.uint8:
        raise ValueError("its picture is none")
    for name, array in arrays.items():
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise ValueError(f"{name} holds what is no number")
