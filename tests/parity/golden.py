"""Golden files: `NAME.npz` with arrays of the published code, `NAME.json` that explains them.

Everything a test needs is read from the JSON: parameter names and shapes, options, salts, inputs,
output names, sub-sampling and tolerances. Layout in the files is PyTorch's (NCHW, OIHW);
`Golden.input` and `Golden.compare` turn images to NHWC at the boundary.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from tests.parity import fill

DEFAULT_FOLDER = Path(__file__).parent / "goldens"
# Replaced by `--goldens=PATH` before any test module is collected, see tests/conftest.py.
_folder = DEFAULT_FOLDER

# What a file of each paper may say. A key that nobody here reads could change what the arrays
# mean, so it fails instead of being passed over.
KEYS = {
    "scat": r"model|source|options|layout|rule|precision|mask_rule|call|note|gradient_note|"
            r"published_assertion|weights_salt(_\w+)?|params(_\w+)?|inputs|outputs|seeds|"
            r"fill_check_sum_and_abs_sum|float32_vs_float64_max_abs|spectral_norm|sigma_order|"
            r"gradient_relative_gap_float32_vs_float64_max|loss_order|grad_order|"
            r"suggested(_atol|_rtol)?|global_kind|global_gan|globalgan_type|segmentation_kind|"
            r"scat_gan|SCAT_type",
    "sdic": r"model|config|salt|fill_rule|adjust|note|inputs|noise|outputs|parameters|"
            r"not_filled|limits|max_abs_error_of_float32|unused",
    "matting": r"what|salt|salt_note|inputs|outputs|arrays|values|parameters|fill|config|"
               r"tolerance|class_shares|affine|sigma_names|guided_attention|padded_shape",
    "sims": r"what|salt|parameters|conventions|tolerance|arrays|limits|input|width_divisor|"
            r"semantic_stride|parameter_count|output_range|float32_deviation|lambdas|cases|"
            r"classes|min_area|topk|unlabelled|connectivity",
    "iedit": r"name|model|config|salt|note|parameters|tolerance|made_with|inputs|outputs|limits",
}
# Those of tests/metrics/goldens are of SCAT's form.
KEYS["goldens"] = KEYS["scat"] + "|backbone|multiply|heads"
_INPUT_KEYS = {"name", "shape", "salt", "how"}


def set_folder(path: str | Path) -> None:
    """Points `goldens` at PATH, which holds one folder per paper (PATH/scat/*.json, ...)."""
    global _folder
    _folder = Path(path)


def folder() -> Path:
    """Returns the folder of golden files in use."""
    return _folder


def goldens(family: str, paper: str = "scat") -> list[Path]:
    """Returns the sorted paths of `<family>*.json` of `paper`; call it when tests are collected."""
    return sorted((_folder / paper).glob(f"{family}*.json"))


def name_of(path: Path) -> str:
    """Returns "<paper>-<file>", the test id, for `pytest.mark.parametrize(..., ids=name_of)`."""
    return f"{path.parent.name}-{path.stem}"


@dataclasses.dataclass(frozen=True)
class Input:
    """One entry of the JSON's `inputs`: (name, shape, salt), the case or step it belongs to,
    how it is made ("make_input" or "mask rule") and the factor in front of it."""

    name: str
    shape: tuple[int, ...]
    salt: int
    case: str | None
    step: int | None
    is_mask: bool
    factor: float


class File:
    """A golden file. `info` is the JSON, `arrays` the NPZ, both as they are.

    Raises ValueError for a key of the JSON that the paper's tests do not know.
    """

    def __init__(self, path: Path):
        self.path = path
        self.info: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        unknown = [key for key in self.info if not re.fullmatch(KEYS[path.parent.name], key)]
        if unknown:
            raise ValueError(f"{path} has keys that no test here reads: {', '.join(unknown)}")
        archive = path.with_suffix(".npz")
        if archive.is_file():
            with np.load(archive) as arrays:
                self.arrays = {name: arrays[name] for name in arrays.files}
        else:
            self.arrays = {}


class Golden(File):
    """A golden file of SCAT's kind, whose `inputs` are entries to parse."""

    def __init__(self, path: Path):
        super().__init__(path)
        self.inputs = [_parse_input(entry) for entry in self.info.get("inputs", [])]

    # -- parameters ------------------------------------------------------------------------

    def shapes(self, key: str = "params") -> dict[str, tuple[int, ...]]:
        """Returns published name -> shape of the network listed under `key`."""
        return {name: tuple(shape) for name, shape in self.info[key].items()}

    def published(self, key: str = "params") -> dict[str, np.ndarray]:
        """Returns published name -> array filled by the rule (and this file's salt)."""
        return fill.fill_all(self.shapes(key), self.salt(key))

    def salt(self, key: str = "params") -> int:
        """Returns the weights' salt; a file may give one per network as a dict or as salt_<x>."""
        salt = self.info.get("weights_salt", 0)
        part = key.removeprefix("params").removeprefix("_")
        if isinstance(salt, dict):
            return int(salt.get(part, salt.get(key, 0)))
        return int(self.info.get(f"weights_salt_{part}", salt))

    def check_fill(self, key: str = "params") -> None:
        """Asserts the recorded sums of some filled parameters, where the file has them."""
        published = self.published(key)
        for name, (total, magnitude) in self.info.get("fill_check_sum_and_abs_sum", {}).items():
            values = published[name].astype(np.float64)
            np.testing.assert_allclose(values.sum(), total, rtol=1e-5, atol=1e-3, err_msg=name)
            np.testing.assert_allclose(np.abs(values).sum(), magnitude, rtol=1e-5, err_msg=name)

    # -- inputs ----------------------------------------------------------------------------

    def cases(self) -> list[str | None]:
        """Returns the case labels of the inputs in order ("64", ...); [None] when unlabelled."""
        return list(dict.fromkeys(entry.case for entry in self.inputs)) or [None]

    def input(
        self, name: str, case: str | None = None, step: int | None = None, nhwc: bool = True
    ) -> np.ndarray:
        """Returns the input `name`, images as NHWC.

        `name` may be the bare one ("image") where the file numbers its inputs ("image2", step 2).
        """
        for entry in self.inputs:
            bare = entry.name if entry.step is None else entry.name.removesuffix(str(entry.step))
            if name in (entry.name, bare) and entry.case == case and entry.step == step:
                make = self._mask if entry.is_mask else fill.make_input
                array = np.float32(entry.factor) * make(entry.name, entry.shape, entry.salt)
                return to_nhwc(array) if nhwc and array.ndim == 4 else array
        raise KeyError(f"{self.path.name} has no input {name!r} (case {case}, step {step})")

    def _mask(self, name: str, shape: tuple[int, ...], salt: int) -> np.ndarray:
        cell = re.search(r"H//(\d+)", self.info.get("mask_rule", ""))
        return fill.make_mask(name, shape, salt, int(cell.group(1)) if cell else 8)

    # -- outputs ---------------------------------------------------------------------------

    @functools.cached_property
    def tolerances(self) -> dict[str, float]:
        """`suggested_atol` and `suggested_rtol` as NumPy's arguments; a missing one is 0.

        Raises KeyError where the file suggests neither: there is no default.
        """
        names = ("atol", "rtol")
        if not any(f"suggested_{name}" in self.info for name in names):
            raise KeyError(f"{self.path.name} suggests no tolerance")
        return {name: float(self.info.get(f"suggested_{name}", 0.0)) for name in names}

    def compare(self, output: str, actual: np.ndarray, **tolerances: float) -> None:
        """Asserts that our `actual` equals the recorded `output` within the file's tolerance.

        A 4-axis `actual` is NHWC and is sub-sampled as the record was. `tolerances` (atol,
        rtol) go before the file's; both, for families whose files suggest none.
        """
        expected = self.arrays[output]
        actual = np.asarray(actual)
        if actual.ndim == 4:
            actual = self._subsample(output, to_nchw(actual), expected.shape)
        if not {"atol", "rtol"} <= set(tolerances):
            tolerances = self.tolerances | tolerances
        np.testing.assert_allclose(
            actual, expected, err_msg=f"{self.path.name}: {output}", **tolerances
        )

    def _subsample(
        self, output: str, array: np.ndarray, shape: tuple[int, ...]
    ) -> np.ndarray:
        channel, row, start = self._strides(output)
        by_text = array[:, ::channel, start::row, start::row]
        if by_text.shape == shape:
            return by_text
        steps = [-(-full // kept) for full, kept in zip(array.shape[1:], shape[1:], strict=True)]
        return array[:, :: steps[0], :: steps[1], :: steps[2]]

    def _strides(self, output: str) -> tuple[int, int, int]:
        """Returns (channel stride, row stride, first row) as the description of `output` says."""
        what = self.info.get("outputs", {}).get(output, {}).get("what", "")
        if "same sub-sampling" in what:
            names = list(self.info["outputs"])
            before = [n for n in names[: names.index(output)] if n.split("_")[1:] ==
                      output.split("_")[1:] or len(n.split("_")) == 1]
            named = re.search(r"same sub-sampling as (\w+)", what)
            wanted = [n for n in before if named and n.split("_")[0] == named.group(1)] or before
            return self._strides(wanted[-1]) if wanted else (1, 1, 0)
        channel = re.search(r"(\d+)-?(?:st|nd|rd|th) channel", what)
        row = re.search(r"(\d+)-?(?:st|nd|rd|th) row(?:/| and )column(?: from (\d+))?", what)
        return (
            int(channel.group(1)) if channel else 1,
            int(row.group(1)) if row else 1,
            int(row.group(2) or 0) if row else 0,
        )


@functools.cache
def load(path: Path) -> Golden:
    """Returns the golden file at `path` (its JSON), read once."""
    return Golden(path)


def to_nhwc(array: np.ndarray) -> np.ndarray:
    """NCHW -> NHWC."""
    return np.ascontiguousarray(np.moveaxis(array, 1, -1))


def to_nchw(array: np.ndarray) -> np.ndarray:
    """NHWC -> NCHW."""
    return np.moveaxis(array, -1, 1)


_HOW = re.compile(
    r"(?:case (?P<case>[^:]+): )?(?:step (?P<step>\d+): )?"
    r"(?:(?P<factor>\d+(?:\.\d+)?) \* )?(?P<rule>make_input|mask rule)"
)


def _parse_input(entry: dict[str, Any]) -> Input:
    if not set(entry) <= _INPUT_KEYS:
        raise ValueError(f"An input has keys that no test here reads: {entry}")
    found = _HOW.match(entry.get("how", "make_input"))
    if found is None:
        raise ValueError(f"Do not know how to make the input {entry}")
    return Input(
        name=entry["name"],
        shape=tuple(entry["shape"]),
        salt=int(entry.get("salt", 0)),
        case=found["case"],
        step=int(found["step"]) if found["step"] else None,
        is_mask=found["rule"] == "mask rule",
        factor=float(found["factor"] or 1.0),
    )
