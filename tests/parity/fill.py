"""The rule that fills parameters and inputs of golden files, restated from its definition.

A parameter's values depend on its published name, its shape and a salt, and on nothing else, so
no weights are stored: both sides of a comparison make them.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np


def _normal(name: str, shape: Sequence[int], salt: int) -> np.ndarray:
    seed = zlib.crc32(name.encode("utf-8")) + salt
    return np.random.default_rng(seed).standard_normal(tuple(shape))


def fill(name: str, shape: Sequence[int], salt: int = 0) -> np.ndarray:
    """Returns the float32 array of `shape` that belongs to the parameter `name`.

    Two or more axes: normal values over the square root of the fan-in (all axes but the first).
    Fewer: a tenth of normal values, around 1 for norm scales (`weight`, `gamma`) and, in absolute
    value and doubled, for running variances.
    """
    values = _normal(name, shape, salt)
    if len(shape) >= 2:
        values = values / math.sqrt(max(1, math.prod(shape[1:])))
    elif name.endswith("running_var"):
        values = 1.0 + 0.2 * np.abs(values)
    elif len(shape) == 1 and name.endswith(("weight", "gamma")):
        values = 1.0 + 0.1 * values
    else:
        values = 0.1 * values
    return np.asarray(values, dtype=np.float32)


def fill_all(shapes: Mapping[str, Sequence[int]], salt: int = 0) -> dict[str, np.ndarray]:
    """Returns name -> filled array for every (name, shape)."""
    return {name: fill(name, shape, salt) for name, shape in shapes.items()}


def make_input(name: str, shape: Sequence[int], salt: int = 0) -> np.ndarray:
    """Returns a float32 array of `shape` in (-1, 1), seeded by `name`."""
    return np.tanh(_normal(name, shape, salt)).astype(np.float32)


def make_mask(name: str, shape: Sequence[int], salt: int = 0, cell: int = 8) -> np.ndarray:
    """Returns a float32 mask (B, 1, H, W), 1 = hole, made of square cells of `cell` pixels."""
    batch, _, height, width = shape
    coarse = make_input(name, (batch, 1, height // cell, width // cell), salt) > 0
    return coarse.repeat(cell, axis=2).repeat(cell, axis=3).astype(np.float32)
