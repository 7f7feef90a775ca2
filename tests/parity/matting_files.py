"""Golden files whose inputs are described in words: `losses*.json` and `prm*.json` of matting."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from tests.parity import golden


class GoldenText(golden.File):
    """A golden file with `inputs` as name -> sentence."""

    def __init__(self, path: Path):
        super().__init__(path)
        self.salt = int(self.info.get("salt", 0))

    def text(self, key: str) -> str:
        """Returns all sentences under `key`, one per line."""
        return "\n".join(self.info[key].values())

    def shape(self, sentence: str) -> tuple[int, ...]:
        """Returns the first shape in square brackets of `sentence`."""
        return tuple(int(length) for length in re.search(r"\[([\d, ]+)\]", sentence)[1].split(","))

    def compare_exactly(self, output: str, actual: np.ndarray) -> None:
        """Asserts that `actual` (NHWC) is the recorded array, value for value."""
        np.testing.assert_array_equal(
            golden.to_nchw(np.asarray(actual)),
            self.arrays[output],
            err_msg=f"{self.path.name}: {output}",
        )
