"""Names of stylegan2-ada's files, for PyTorch and TensorFlow, as those that `tables` knows.

The two PyTorch codes compute alike, with other names and axes of length 1. TensorFlow's kernels are
stored height and width first, its styles without the 1 that is added to their biases, and those of
its transposed convolutions turned round.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np

from jaxedit.errors import UserError
from jaxedit.models.stylegan2 import tables

Arrays = dict[str, np.ndarray]
AVERAGE = "latent_avg"
_LABELS = re.compile(r"mapping[./](embed|LabelEmbed)|(^|[./])(LabelEmbed|Mapping)")
_CONSTANT = re.compile(r"(^|\.)(resample_filter|lod)$|^(lod|Lod)")


def prepare_generator(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Returns a generator's arrays, without the average code, as its table expects them."""
    return tables.prepare_generator(generator(arrays))


def generator(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Returns a generator's arrays by the names of `tables.generator_table`.

    Args:
      arrays: of `G` or `G_ema`, as `weights.reader` reads them; where the average code is among
        them, it is called AVERAGE in the result.

    Raises:
      UserError: an array that an unconditional generator of configuration f has not.
    """
    if any("/" in name for name in arrays):
        arrays = _generator_of_tensorflow(arrays)
    found: Arrays = {}
    for name, array in _checked(arrays).items():
        if name == "mapping.w_avg":
            found[AVERAGE] = array
        elif match := re.fullmatch(r"mapping\.fc(\d+)\.(weight|bias)", name):
            found[f"style.{int(match[1]) + 1}.{match[2]}"] = array
        elif name == "synthesis.b4.const":
            found["input.input"] = array[None]
        elif match := re.fullmatch(r"synthesis\.b(\d+)\.(conv0|conv1|torgb)\.(.+)", name):
            found |= _layer(int(match[1]), match[2], match[3], array)
        else:
            raise _unknown(name)
    return found


def discriminator(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Returns a discriminator's arrays by the names of `tables.discriminator_table`.

    Raises:
      UserError: an array that an unconditional discriminator of configuration f has not.
    """
    if any("/" in name for name in arrays):
        arrays = _discriminator_of_tensorflow(arrays)
    arrays = _checked(arrays)
    sizes = [int(m[1]) for name in arrays if (m := re.match(r"b(\d+)\.fromrgb\.", name))]
    if not sizes:
        raise UserError("A discriminator of stylegan2-ada lacks its first layer, fromrgb.")
    parts = {
        "fromrgb.weight": "convs.0.0.weight", "fromrgb.bias": "convs.0.1.bias",
        "conv0.weight": "conv1.0.weight", "conv0.bias": "conv1.1.bias",
        "conv1.weight": "conv2.1.weight", "conv1.bias": "conv2.2.bias",
        "skip.weight": "skip.1.weight",
    }
    last = {
        "b4.conv.weight": "final_conv.0.weight", "b4.conv.bias": "final_conv.1.bias",
        "b4.fc.weight": "final_linear.0.weight", "b4.fc.bias": "final_linear.0.bias",
        "b4.out.weight": "final_linear.1.weight", "b4.out.bias": "final_linear.1.bias",
    }
    found: Arrays = {}
    for name, array in arrays.items():
        match = re.fullmatch(r"b(\d+)\.(.+)", name)
        if name in last:
            found[last[name]] = array
        elif match and match[2] in parts:
            part = parts[match[2]]
            index = int(math.log2(max(sizes) / int(match[1]))) + 1
            found[part if part.startswith("convs.") else f"convs.{index}.{part}"] = array
        else:
            raise _unknown(name)
    return found


def _layer(side: int, layer: str, part: str, array: np.ndarray) -> Arrays:
    """Returns the one array of a layer of the synthesis, as it is called and shaped in `tables`."""
    block = int(math.log2(side)) - 3
    if layer == "torgb":
        ours = "to_rgb1" if side == 4 else f"to_rgbs.{block}"
        names = {"bias": "bias"}
    else:
        number = int(layer[-1])
        ours = "conv1" if side == 4 else f"convs.{2 * block + number}"
        names = {"bias": "activate.bias", "noise_strength": "noise.weight"}
        if part == "noise_const":
            return {f"noises.noise_{0 if side == 4 else 2 * block + 1 + number}": array[None, None]}
    if part == "weight":
        return {f"{ours}.conv.weight": array[None]}
    if part in ("affine.weight", "affine.bias"):
        return {f"{ours}.conv.modulation.{part.partition('.')[2]}": array}
    if part not in names:
        raise _unknown(f"synthesis.b{side}.{layer}.{part}")
    shape = {"bias": (1, -1, 1, 1) if layer == "torgb" else (-1,), "noise_strength": (1,)}
    return {f"{ours}.{names[part]}": array.reshape(shape[part])}


def _generator_of_tensorflow(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Returns TensorFlow's arrays by the names and in the layout of PyTorch."""
    parts = {
        "weight": ("weight", _kernel), "bias": ("bias", _same),
        "noise_strength": ("noise_strength", _same), "mod_weight": ("affine.weight", np.transpose),
        "mod_bias": ("affine.bias", lambda x: x + 1),
    }
    layers = {"Conv": "conv1", "Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb"}
    found: Arrays = {}
    for name, array in _checked(arrays).items():
        if name == "dlatent_avg":
            found["mapping.w_avg"] = array
        elif match := re.fullmatch(r"mapping/Dense(\d+)/(weight|bias)", name):
            found[f"mapping.fc{match[1]}.{match[2]}"] = array.T
        elif match := re.fullmatch(r"synthesis/noise(\d+)", name):
            number = int(match[1])
            place = f"b{2 ** ((number + 5) // 2)}.conv{(number + 1) % 2 if number else 1}"
            found[f"synthesis.{place}.noise_const"] = array[0, 0]
        elif name == "synthesis/4x4/Const/const":
            found["synthesis.b4.const"] = array[0]
        elif match := re.fullmatch(r"synthesis/(\d+)x\1/(\w+)/(\w+)", name):
            if match[2] not in layers or match[3] not in parts:
                raise _unknown(name)
            part, turn = parts[match[3]]
            if part == "weight" and match[2] == "Conv0_up":
                turn = lambda x: _kernel(x[::-1, ::-1])
            found[f"synthesis.b{match[1]}.{layers[match[2]]}.{part}"] = turn(array)
        else:
            raise _unknown(name)
    return found


def _discriminator_of_tensorflow(arrays: Mapping[str, np.ndarray]) -> Arrays:
    layers = {"FromRGB": "fromrgb", "Conv0": "conv0", "Conv1_down": "conv1", "Skip": "skip",
              "Conv": "conv", "Dense0": "fc"}
    found: Arrays = {}
    for name, array in _checked(arrays).items():
        if match := re.fullmatch(r"Output/(weight|bias)", name):
            found[f"b4.out.{match[1]}"] = array.T
            continue
        match = re.fullmatch(r"(\d+)x\1/(\w+)/(weight|bias)", name)
        if not match or match[2] not in layers:
            raise _unknown(name)
        turn = _kernel if array.ndim == 4 else np.transpose
        found[f"b{match[1]}.{layers[match[2]]}.{match[3]}"] = turn(array)
    return found


def _same(array: np.ndarray) -> np.ndarray:
    return array


def _kernel(array: np.ndarray) -> np.ndarray:
    """(height, width, in, out) -> (out, in, height, width)."""
    return array.transpose(3, 2, 0, 1)


def _checked(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Returns the arrays without constants of the code."""
    for name in arrays:
        if _LABELS.search(name):
            raise UserError(
                f"This network was trained with labels ({name}): only those without are read."
            )
    return {name: array for name, array in arrays.items() if not _CONSTANT.search(name)}


def _unknown(name: str) -> UserError:
    return UserError(
        f"{name!r} belongs to no layer of StyleGAN2's configuration f: this is another network."
    )
