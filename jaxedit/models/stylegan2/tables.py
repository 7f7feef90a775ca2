"""Published names of StyleGAN2's networks (rosinality's PyTorch code) against ours.

`prepare_generator` and `prepare_discriminator` bring the published arrays into the shapes that the
tables expect: a leading axis of one is cut off, and constants of the code are left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxedit.models.stylegan2.generator import NOISE, noise_sizes
from jaxedit.weights.table import Entry

_CONSTANTS = re.compile(r"(^|\.)kernel$")


def describe_generator(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Returns size, widths and depth of a published generator, from the shapes of its arrays."""
    size = max(
        shape[-1] for name, shape in shapes.items() if re.fullmatch(r"noises\.noise_\d+", name)
    )
    mapping = sum(bool(re.fullmatch(r"style\.\d+\.bias", name)) for name in shapes)
    last = shapes[f"convs.{2 * int(math.log2(size)) - 5}.conv.weight"][1]
    return {
        "size": size,
        "style_width": shapes["conv1.conv.modulation.weight"][1],
        "mapping_layers": mapping,
        "channel_multiplier": last * size / 16384,
        "most_channels": shapes["input.input"][1],
    }


def generator_table(size: int, mapping_layers: int = 8) -> dict[str, Entry]:
    """Returns the table of a generator of `size` pixels."""
    table = {"input.input": Entry(("params", "constant"))}
    for index in range(mapping_layers):
        table |= _linear(f"style.{index + 1}", ("params", f"mapping_{index}"))
    table |= _styled("conv1", ("params", "conv1")) | _rgb("to_rgb1", ("params", "to_rgb1"))
    for index in range(len(noise_sizes(size))):
        table[f"noises.noise_{index}"] = Entry((NOISE, f"noise_{index}"))
    blocks = int(math.log2(size)) - 2
    for index in range(2 * blocks):
        table |= _styled(f"convs.{index}", ("params", f"convs_{index}"))
    for index in range(blocks):
        table |= _rgb(f"to_rgbs.{index}", ("params", f"to_rgbs_{index}"))
    return table


def discriminator_table(size: int) -> dict[str, Entry]:
    """Returns the table of a discriminator of `size` pixels."""
    table = {
        "convs.0.0.weight": Entry(("params", "from_rgb", "kernel"), "conv"),
        "convs.0.1.bias": Entry(("params", "from_rgb", "bias")),
        "final_conv.0.weight": Entry(("params", "final_conv", "kernel"), "conv"),
        "final_conv.1.bias": Entry(("params", "final_conv", "bias")),
        **_linear("final_linear.0", ("params", "final_linear")),
        **_linear("final_linear.1", ("params", "score")),
    }
    for index in range(int(math.log2(size)) - 2):
        block, name = ("params", f"block_{size >> index}"), f"convs.{index + 1}"
        for part, weight, bias in (("conv1", 0, 1), ("conv2", 1, 2)):
            table[f"{name}.{part}.{weight}.weight"] = Entry((*block, part, "kernel"), "conv")
            table[f"{name}.{part}.{bias}.bias"] = Entry((*block, part, "bias"))
        table[f"{name}.skip.1.weight"] = Entry((*block, "skip", "kernel"), "conv")
    return table


def prepare_generator(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns a published generator's arrays in the shapes that its table expects."""
    prepared = {}
    for name, array in arrays.items():
        if _CONSTANTS.search(name):
            continue
        if name == "input.input":
            array = np.transpose(array[0], (1, 2, 0))
        elif name.startswith("noises."):
            array = array.reshape(array.shape[-2:])
        elif re.search(r"rgbs?(1|\.\d+)\.bias$", name) or name.endswith("noise.weight"):
            array = array.reshape(3) if name.endswith("bias") else array.reshape(())
        elif name.endswith("conv.weight") and array.ndim == 5:
            array = array[0]
        prepared[name] = array
    return prepared


def prepare_discriminator(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns a published discriminator's arrays without the constants of its code."""
    return {name: array for name, array in arrays.items() if not _CONSTANTS.search(name)}


def _linear(name: str, path: tuple[str, ...]) -> dict[str, Entry]:
    return {
        f"{name}.weight": Entry((*path, "kernel"), "linear"),
        f"{name}.bias": Entry((*path, "bias")),
    }


def _modulated(name: str, path: tuple[str, ...]) -> dict[str, Entry]:
    return {
        f"{name}.conv.weight": Entry((*path, "conv", "kernel"), "conv"),
        **_linear(f"{name}.conv.modulation", (*path, "conv", "modulation")),
    }


def _styled(name: str, path: tuple[str, ...]) -> dict[str, Entry]:
    return _modulated(name, path) | {
        f"{name}.noise.weight": Entry((*path, "noise_strength")),
        f"{name}.activate.bias": Entry((*path, "bias")),
    }


def _rgb(name: str, path: tuple[str, ...]) -> dict[str, Entry]:
    return _modulated(name, path) | {f"{name}.bias": Entry((*path, "bias"))}
