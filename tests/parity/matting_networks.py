"""Builds the matting network as a golden file describes it, filled with the file's weights."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxedit.methods.matting import weights
from jaxedit.methods.matting.network import MattingNetwork
from jaxedit.weights import table
from tests.parity import fill, golden

_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}


class NetworkGolden(golden.File):
    """A golden file whose `inputs` and `parameters` are dicts by name."""

    def __init__(self, path: Path):
        super().__init__(path)
        self.salt = int(self.info.get("salt", 0))

    def input(self, name: str, **fields: Any) -> np.ndarray:
        """Returns an input in PyTorch's layout; `fields` go into its name, {i} and {x|y|z}."""
        entry = self.info["inputs"][name]
        full = re.sub(r"\{([^}]+)\}", lambda match: str(fields[match[1]]), entry["make_input"])
        return fill.make_input(full, entry["shape"], self.salt)

    def atol(self, what: str) -> float:
        """Returns the tolerance that the file suggests for `what` ("alphas", "features")."""
        found = re.search(rf"([\d.]+(?:e-?\d+)?) on {what}", self.info["tolerance"])
        return float(found[1])

    def trimap(self) -> np.ndarray:
        """Returns the recorded labels as one-hot (B, H, W, 3)."""
        return np.eye(3, dtype=np.float32)[self.arrays["trimap_labels"]]


@functools.cache
def load(path: Path) -> NetworkGolden:
    """Returns the golden file at `path`, read once."""
    return NetworkGolden(path)


def published(
    parameters: Mapping[str, Any], salt: int, description: str = ""
) -> dict[str, np.ndarray]:
    """Returns the filled arrays, with u and v refreshed as often as the description says."""
    arrays = fill.fill_all(parameters, salt)
    found = re.search(r"then (\w+) times v = ", description)
    steps = _NUMBERS[found[1]] if found else 0
    for name in [name for name in arrays if name.endswith("weight_u") and steps]:
        base = name.removesuffix("_u")
        matrix = arrays[f"{base}_bar"].astype(np.float64)
        matrix = matrix.reshape(len(matrix), -1)
        u = arrays[name].astype(np.float64)
        for _ in range(steps):
            v = matrix.T @ u
            v /= np.linalg.norm(v) + 1e-12
            u = matrix @ v
            u /= np.linalg.norm(u) + 1e-12
        arrays[name], arrays[f"{base}_v"] = u.astype(np.float32), v.astype(np.float32)
    return arrays


@functools.cache
def network(path: Path, salt: int) -> tuple[MattingNetwork, dict[str, Any]]:
    """Returns (module, variables) of a network file, filled with `salt`."""
    file = load(path)
    parameters = {name: tuple(shape) for name, shape in file.info["parameters"].items()}
    options = weights.describe(parameters)
    arrays = published(parameters, salt, file.info["fill"])
    entries = weights.network_table(options["depths"], options["decoder_blocks"])
    module = MattingNetwork(**options)
    variables = table.to_jax(entries, arrays, expected(module), path.name)
    return module, jax.tree.map(jax.numpy.asarray, variables)


def expected(module: MattingNetwork) -> dict[str, Any]:
    """Returns the shapes of the network's variables."""
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32)
    return jax.eval_shape(module.init, jax.random.key(0), image, image)


def network_file_of(path: Path) -> Path:
    """Returns the network file whose weights a pipeline file used: of the same suffix, if any."""
    same = path.with_name(path.name.replace("pipeline", "network", 1))
    return same if same.is_file() else golden.goldens("network", "matting")[0]
