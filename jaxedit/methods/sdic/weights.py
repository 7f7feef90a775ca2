"""Published names of SDIC's two networks against ours, and what the published files say of theirs.

Encoder, generator and ArcFace have their tables where they stand.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping, Sequence

import numpy as np

from jaxedit.methods.sdic.dipn import UP
from jaxedit.models import irse
from jaxedit.models.stylegan2 import tables
from jaxedit.weights import torch_names
from jaxedit.weights.table import Entry

# Modules of the published files that the published code never runs. `CGI` and `DIP`, `residue` and
# `SAF` are older and newer names of the same two networks.
DIPN_UNUSED = (
    "stem_2.*", "stem_4.*", "spx.*", "spx_2.*", "spx_4.*", "semantic.*", "agg.*",
    "hourglass_fusion.conv1_up.bn.*",
)
DICN_UNUSED = ("aff1.*", "aff2.*", "conv1.*", "aff1d.agg.*")
_COUNTERS = "*num_batches_tracked"


def used(arrays: Mapping[str, np.ndarray], unused: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns the arrays without those of modules that are never run, and without counters."""
    patterns = (*unused, _COUNTERS)
    return {
        name: array for name, array in arrays.items()
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    }


def prepare_dipn(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns a published DIPN's arrays as `dipn_table` knows them."""
    return used(arrays, DIPN_UNUSED)


def prepare_dicn(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns a published DICN's arrays as `dicn_table` knows them."""
    return used(arrays, DICN_UNUSED)


def dipn_table() -> dict[str, Entry]:
    """Returns the published names -> our places in the variables of `DIPN`."""
    table: dict[str, Entry] = {}
    for branch in ("feature1", "feature2"):
        for number in range(1, 6):
            table |= _basic(f"{branch}.fe{number}", (branch, f"fe{number}"))
    for name, _ in UP:
        for part in ("conv1", "conv2"):
            table |= _basic(f"feature_up.{name}.{part}", ("feature_up", f"{name}_{part}"))
    table |= _basic("feature_up.conv4", ("feature_up", "conv4"))
    table |= _basic("conv", ("conv",))
    table |= torch_names.convolution("desc", ("desc",), bias=True)
    table |= _basic("corr_stem", ("corr_stem",), "conv3d")
    table |= _hourglass("hourglass_fusion", ("hourglass_fusion",))
    table |= _basic("rgb1.0", ("rgb1_0",))
    table |= torch_names.convolution("rgb1.1", ("rgb1_1",))
    table |= torch_names.batch_norm("rgb1.2", ("rgb1_2",))
    for index in range(3):
        table |= irse.block_table(
            f"rgb.{index}", (f"rgb_{index}",), squeeze=False, widens=index == 0
        )
    return table


def _hourglass(name: str, path: tuple[str, ...]) -> dict[str, Entry]:
    table: dict[str, Entry] = {}
    for number in (1, 2, 3):
        for index in (0, 1):
            at = (*path, f"conv{number}_{index}")
            table |= _basic(f"{name}.conv{number}.{index}", at, "conv3d")
    for number in (2, 3):
        table |= _basic(f"{name}.conv{number}_up", (*path, f"conv{number}_up"), "conv3d")
    table |= torch_names.convolution(
        f"{name}.conv1_up.conv", (*path, "conv1_up_conv"), kind="conv3d"
    )
    for part in ("agg_0", "agg_1"):
        for index in range(3):
            table |= _basic(f"{name}.{part}.{index}", (*path, f"{part}_{index}"), "conv3d")
    for part in ("CGF_32", "CGF_16", "CGF_8"):
        at, published = (*path, part), f"{name}.{part}"
        table |= _basic(f"{published}.semantic.0", (*at, "semantic_0"))
        table |= torch_names.convolution(f"{published}.semantic.1", (*at, "semantic_1"), bias=True)
        table |= _basic(f"{published}.att.0", (*at, "att_0"), "conv3d")
        table |= torch_names.convolution(f"{published}.att.1", (*at, "att_1"), kind="conv3d")
        table |= _basic(f"{published}.agg", (*at, "agg"), "conv3d")
    return table


def dicn_table() -> dict[str, Entry]:
    """Returns the published names -> our places in the variables of `DICN`."""
    table = torch_names.convolution("conv_layer1.0", ("conv_layer1_0",))
    table |= torch_names.batch_norm("conv_layer1.1", ("conv_layer1_1",))
    table |= torch_names.prelu("conv_layer1.2", ("conv_layer1_2",))
    for name in ("semantic.0", "semantic.2", "att.0"):
        table |= _basic(name, (name.replace(".", "_"),))
    for name in ("semantic.1", "semantic.3", "att.1"):
        table |= torch_names.convolution(name, (name.replace(".", "_"),))
    for name in ("condition_shift3.0", "condition_shift3.2"):
        table |= torch_names.convolution(name, (name.replace(".", "_"),), bias=True)
    for part in ("sen", "att", "att2"):
        for index, bias in ((0, True), (3, part == "sen")):
            table |= torch_names.convolution(
                f"aff1d.{part}.{index}", ("aff1d", f"{part}_{index}"), bias=bias, kind="conv1d"
            )
        table |= torch_names.batch_norm(f"aff1d.{part}.1", ("aff1d", f"{part}_1"))
    return table


def describe_dicn(shapes: Mapping[str, tuple[int, ...]], style_width: int = 512) -> dict[str, int]:
    """Returns `maps` and `side` of a published DICN, from the shapes of its arrays."""
    maps = shapes["condition_shift3.2.weight"][0]
    rows = shapes["aff1d.sen.0.weight"][1]
    return {"maps": maps, "side": math.isqrt(rows * style_width // maps)}


def prepare_generator(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns a published generator's arrays as its table knows them."""
    return tables.prepare_generator(arrays)


def _basic(name: str, path: tuple[str, ...], kind: str = "conv") -> dict[str, Entry]:
    entries = torch_names.convolution(f"{name}.conv", (*path, "conv"), kind=kind)
    return entries | torch_names.batch_norm(f"{name}.bn", (*path, "bn"))
