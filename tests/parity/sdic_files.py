"""Golden files of SDIC: filled weights that are adjusted afterwards, limits per output."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from tests.parity import fill, golden

_ADJUSTMENTS = {"match", "unscale", "mul", "add"}
_INPUT_KEYS = {"shape", "salt", "then"}
_KERNEL_RULE = "except names ending in `kernel`"
_REPEATED = re.compile(r"each pixel repeated (\d+) times along both spatial axes")
_STRIDES = re.compile(r"\[(:[:\d]*(?:, ::?\d*)*)\]")  # as "[:, ::8, ::4, ::4]"


class SdicFile(golden.File):
    """A golden file with `parameters`, `adjust`, `inputs` as a dict and `limits`."""

    def __init__(self, path: Path):
        super().__init__(path)
        self.salt = int(self.info["salt"])
        self.config = self.info["config"]
        assert not self.info.get("parameters") or _KERNEL_RULE in self.info["fill_rule"]

    def published(self) -> dict[str, np.ndarray]:
        """Returns published name -> array, filled and adjusted."""
        arrays = fill.fill_all(
            {name: tuple(shape) for name, shape in self.info["parameters"].items()}, self.salt
        )
        for change in self.info["adjust"]:
            if not set(change) <= _ADJUSTMENTS:
                raise ValueError(f"{self.path}: an adjustment that no test knows: {change}")
            for name in [n for n in arrays if re.search(change["match"], n)]:
                arrays[name] = _adjusted(arrays[name], change)
        return arrays

    def input(self, name: str, key: str | None = None, shape=None) -> np.ndarray:
        """Returns an input in the published layout.

        Args:
          name: what seeds it.
          key: of the JSON's `inputs` where that describes several.
          shape: where the JSON gives it in words.
        """
        entry = self.info["inputs"][key or name]
        if isinstance(entry, list):
            entry = {"shape": entry, "salt": self.salt}
        if not set(entry) <= _INPUT_KEYS:
            raise ValueError(f"{self.path}: an input that no test knows: {entry}")
        array = fill.make_input(name, shape or tuple(entry["shape"]), int(entry["salt"]))
        if "then" in entry:
            times = int(_REPEATED.match(entry["then"])[1])
            array = array.repeat(times, 2).repeat(times, 3)
        return array

    def compare(self, output: str, actual: np.ndarray) -> None:
        """Asserts that `actual` is the recorded output within its limit.

        Maps (four axes: NHWC) and volumes (five: NDHWC) are sub-sampled as the record was.
        """
        expected = self.arrays[output]
        actual = np.asarray(actual)
        if actual.ndim >= 4:
            actual = golden.to_nchw(actual)
            strides = _STRIDES.search(self.info["outputs"][output]["what"])
            if strides and actual.shape != expected.shape:
                steps = [int(step.strip(" :") or 1) for step in strides[1].split(",")]
                actual = actual[tuple(slice(None, None, step) for step in steps)]
            elif actual.shape != expected.shape:  # "same sub-sampling", as the shapes show it
                sizes = zip(actual.shape, expected.shape, strict=True)
                steps = [math.ceil(full / kept) for full, kept in sizes]
                actual = actual[:, :: steps[1], :: steps[2], :: steps[3]]
        assert actual.shape == expected.shape
        gap = float(np.abs(actual - expected).max())
        limit = self.info["limits"][output]
        assert gap <= limit, f"{self.path.name}: {output} differs by {gap:.3g}, limit {limit:.3g}"

    def compare_all(self, found: dict[str, np.ndarray]) -> None:
        """Asserts that `found` are all recorded outputs, each within its limit."""
        assert found.keys() == self.arrays.keys() == self.info["outputs"].keys()
        for name, array in found.items():
            self.compare(name, array)


def _adjusted(array: np.ndarray, change: dict) -> np.ndarray:
    if change.get("unscale") and array.ndim >= 2:
        array = array * math.sqrt(np.prod(array.shape[1:]))
    return (array * change.get("mul", 1) + change.get("add", 0)).astype(np.float32)
