"""Golden files of iEdit: inputs in the archive, limits for each array, PyTorch's layout."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import numpy as np

from tests.parity import fill, golden

_INPUT_KEYS = {"name", "npz_key", "shape", "dtype", "made_by"}
_MADE = re.compile(r"make_input\('(\w+)', \(([\d, ]+)\), salt=(\d+)\)")


class IeditFile(golden.File):
    """A golden file with `parameters`, `inputs` and `outputs` as lists, and `limits`."""

    def __init__(self, path: Path):
        super().__init__(path)
        self.salt = int(self.info["salt"])
        self.config: dict[str, Any] = self.info["config"]
        self.outputs = {entry["name"] for entry in self.info["outputs"]}

    def published(self) -> dict[str, np.ndarray]:
        """Returns published name -> array, filled by the rule."""
        shapes = {name: tuple(shape) for name, shape in self.info["parameters"].items()}
        return fill.fill_all(shapes, self.salt)

    def input(self, name: str) -> np.ndarray:
        """Returns a stored input, maps as NHWC; one made by the rule must be what that makes."""
        (entry,) = [entry for entry in self.info["inputs"] if entry["name"] == name]
        if not set(entry) <= _INPUT_KEYS:
            raise ValueError(f"{self.path}: an input that no test knows: {entry}")
        array = self.arrays[entry["npz_key"]]
        if made := _MADE.fullmatch(entry["made_by"]):
            shape = tuple(int(size) for size in made[2].split(",") if size.strip())
            again = fill.make_input(made[1], shape, int(made[3]))
            np.testing.assert_allclose(array, again, atol=self.info["limits"][entry["npz_key"]])
        return golden.to_nhwc(array) if array.ndim == 4 else array

    def compare(self, found: dict[str, Any]) -> None:
        """Asserts that `found` has every output, each within the file's limit.

        Arrays of four and more axes have their channels last.
        """
        assert found.keys() == self.outputs
        for name, array in found.items():
            expected, array = self.arrays[f"out.{name}"], np.asarray(array)
            array = np.moveaxis(array, -1, -3) if array.ndim >= 4 else array
            assert array.shape == expected.shape, f"{name}: {array.shape}, not {expected.shape}"
            np.testing.assert_allclose(
                array, expected, rtol=0, atol=self.info["limits"][f"out.{name}"],
                err_msg=f"{self.path.name}: {name}",
            )


@functools.cache
def load(path: Path) -> IeditFile:
    """Returns the golden file at `path`, read once."""
    return IeditFile(path)
