"""Golden files of SIMS: arrays NHWC, limits per array, inputs described in words."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.weights import table
from jaxedit.weights.table import Entry
from tests.parity import fill, golden

# Names of parameters against ours, applied in order to what stands ahead of the leaf.
_MODULES = (
    (r"^(encoder|decoder)\.(\w+)\.(\d)\.(conv|norm)$", r"\1_\2.\4_\3"),
    (r"^fc\.(conv|norm)$", r"hidden.\1_0"),
)
_LEAVES = {"gamma": "scale", "beta": "bias", "bias": "bias", "weight": "kernel"}
_KINDS = {4: "conv", 2: "linear", 1: "same"}


class SimsGolden(golden.File):
    """A golden file of SIMS."""

    @property
    def salt(self) -> int:
        return int(self.info["salt"])

    def made(self) -> np.ndarray:
        """Returns the array of the one `make_input('name', [shape], salt)` in `input`."""
        name, shape = re.search(r"make_input\('([^']+)', (\[[\d, ]+\]), salt\)",
                                self.info["input"]).groups()
        return fill.make_input(name, ast.literal_eval(shape), self.salt)

    def compare(self, output: str, actual: Any) -> None:
        """Asserts that `actual` differs from the recorded array by the file's limit at most."""
        expected, actual = self.arrays[output], np.asarray(actual)
        assert actual.shape == expected.shape, f"{output}: {actual.shape}, not {expected.shape}"
        limit = self.info["limits"][output]
        np.testing.assert_allclose(
            actual, expected, rtol=0, atol=limit, err_msg=f"{self.path.name}: {output}"
        )

    def variables(self, module: nn.Module, *example: jax.ShapeDtypeStruct, ahead: str = "") -> Any:
        """Returns the module's variables, filled by the rule; every name must find its place.

        Args:
          module: the network.
          *example: shapes of what it is called with.
          ahead: the submodule that holds the encoder, where there is one.
        """
        shapes = {name: tuple(shape) for name, shape in self.info["parameters"].items()}
        entries = {name: _entry(name, shape, ahead) for name, shape in shapes.items()}
        expected = jax.eval_shape(module.init, jax.random.key(0), *example)
        arrays = fill.fill_all(shapes, self.salt)
        found = table.to_jax(entries, arrays, expected, self.path.name)
        return jax.tree.map(jnp.asarray, found)


def _entry(name: str, shape: tuple[int, ...], ahead: str) -> Entry:
    *path, leaf = name.split(".")
    path = ".".join(path)
    for published, ours in _MODULES:
        path = re.sub(published, ours, path)
    if ahead and path.startswith("encoder"):
        path = f"{ahead}.{path}"
    return Entry(("params", *path.split("."), _LEAVES[leaf]), _KINDS[len(shape)])


@functools.cache
def load(path: Path) -> SimsGolden:
    """Returns the golden file at `path`, read once."""
    return SimsGolden(path)


def hand(name: str) -> list[dict[str, Any]]:
    """Returns the cases called `name` of the files of cases made by hand."""
    files = [load(path) for path in golden.goldens("hand", "sims")]
    return [case for file in files for case in file.info["cases"] if case["name"] == name]
