"""Golden files whose inputs are described in words: `losses*.json` and `prm*.json` of matting."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from tests.parity import golden


class GoldenText:
    """A golden file with `inputs` as name -> sentence. `info` is the JSON, `arrays` the NPZ."""

    def __init__(self, path: Path):
        self.path = path
        self.info: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        with np.load(path.with_suffix(".npz")) as arrays:
            self.arrays = {name: arrays[name] for name in arrays.files}
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
