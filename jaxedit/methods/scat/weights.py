"""Published names of SCAT's and AOT-GAN's networks against ours, and what a file's names tell.

Every table leads into `{"params": ..., "spectral": ...}`; `spectral` holds `weight_u` and
`weight_v` of spectrally normalised layers. W / sigma is never folded into the weights, so that a
converted network can be trained on, and evaluates with the vectors that its file holds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxedit.errors import UserError
from jaxedit.layers import spectral
from jaxedit.weights import table
from jaxedit.weights.table import Entry, Table

_GAMMA = "blocks.1.1.gamma"


def generator_table(blocks: int = 8, rates: int = 4) -> dict[str, Entry]:
    """Returns the table of `G*.pt`, of SCAT (both releases) and of AOT-GAN.

    Args:
      blocks: number of AOT blocks.
      rates: number of dilation rates of each.
    """
    names = {f"encoder.{i}": (f"encoder_{i}",) for i in (1, 3, 5)}
    for block in range(blocks):
        for layer in [f"block{rate:02d}" for rate in range(rates)] + ["fuse", "gate"]:
            names[f"middle.{block}.{layer}.1"] = (f"middle_{block}", layer)
    names |= {f"decoder.{i}.conv": (f"decoder_{i}",) for i in (0, 2)}
    names["decoder.4"] = ("decoder_4",)
    return _join(_layer(name, path, "conv") for name, path in names.items())


def discriminator_table(
    kind: str, *, spectral_norm: bool = True, attention: bool = False
) -> dict[str, Entry]:
    """Returns the table of a discriminator (`netD` in `D*.pt`); arguments as in its constructor."""
    sn = spectral_norm
    if kind == "v1":
        names = [f"conv{i}" for i in range(1, 6)] + ["conv_bottleneck"]
        parts = [_layer(f"{name}.0", (name,), "conv", sn) for name in names]
        names = ["upconv_bottleneck"] + [f"upconv{i}" for i in range(5, 0, -1)]
        parts += [_layer(f"{name}.0.snconv", (name,), "conv", sn) for name in names]
        parts += [_layer("fc", ("fc",), "linear", sn), _layer("finalconv", ("finalconv",), "conv")]
        return _join(parts)
    parts = []
    for index in range(12):
        block = f"blocks_{index}"
        if kind == "resunet":
            for conv in ("conv1", "conv2", "conv_sc"):
                parts.append(_layer(f"blocks.{index}.0.{conv}", (block, conv), "conv", sn))
        else:
            parts.append(_layer(f"blocks.{index}.0.conv", (block,), "conv", sn))
    if attention:
        parts.append({_GAMMA: Entry(("params", "attention", "gamma"))})
        for conv in ("to_q", "to_key", "to_value", "output"):
            path = ("attention", conv)
            parts.append(_layer(f"blocks.1.1.{conv}", path, "conv", sn, bias=False))
    parts.append(_layer("blocks.12", ("blocks_12",), "conv"))
    parts.append(_layer("linear_middle", ("linear_middle",), "linear", sn))
    return _join(parts)


def head_table() -> dict[str, Entry]:
    """Returns the table of the contrastive head (`MLP` in `D*.pt`)."""
    return _join(_layer(f"{i}", (f"linear_{i}",), "linear") for i in (0, 2))


def patch_table(*, spectral_norm: bool = True) -> dict[str, Entry]:
    """Returns the table of AOT-GAN's discriminator."""
    parts = [
        _layer(f"conv.{i}", (f"conv_{i}",), "conv", spectral_norm, bias=False)
        for i in (0, 2, 4, 6)
    ]
    return _join([*parts, _layer("conv.8", ("conv_8",), "conv")])


def _layer(
    name: str,
    path: tuple[str, ...],
    kind: str,
    spectral_norm: bool = False,
    bias: bool = True,
) -> dict[str, Entry]:
    """Returns the entries of one layer: kernel, bias and, with `spectral_norm`, u and v."""
    params = ("params", *path)
    weight = f"{name}.weight_orig" if spectral_norm else f"{name}.weight"
    entries = {weight: Entry((*params, "kernel"), kind)}
    if bias:
        entries[f"{name}.bias"] = Entry((*params, "bias"))
    if spectral_norm:
        vectors = (spectral.COLLECTION, *path)
        entries[f"{name}.weight_u"] = Entry((*vectors, "u"))
        entries[f"{name}.weight_v"] = Entry((*vectors, "v"), optional=True)
    return entries


def _join(parts: Any) -> dict[str, Entry]:
    return {name: entry for part in parts for name, entry in part.items()}


def convert(
    entries: Table,
    published: Mapping[str, np.ndarray],
    expected: Mapping[str, Any] | None = None,
    what: str = "weights",
) -> dict[str, Any]:
    """Returns `{"params": ..., "spectral": ...}` of published arrays, "module." prefixes removed.

    Where a file lacks `weight_v`, it is rebuilt from `weight_u`: v = unit(W^T u).

    Args:
      entries: one of the tables of this module.
      published: name -> array.
      expected: the network's own variables (or their shapes), to be compared with.
      what: a name for the error messages.

    Raises:
      UserError: the file does not fit; the message lists the keys.
    """
    shapes = None if expected is None else _with_vectors(expected)
    present = {name.removeprefix("module."): array for name, array in published.items()}
    lacking = [
        name
        for name, entry in entries.items()
        if entry.path[-1] == "v" and name not in present
        and name.removesuffix("_v") + "_orig" in present
        and name.removesuffix("_v") + "_u" in present
    ]
    for name in lacking:
        weight = np.asarray(present[name.removesuffix("_v") + "_orig"])
        u = np.asarray(present[name.removesuffix("_v") + "_u"])
        v = weight.reshape(weight.shape[0], -1).T @ u
        present[name] = v / max(float(np.linalg.norm(v)), 1e-12)
    if np.shape(present.get(_GAMMA)) == (1,):  # how some files hold a scalar
        present[_GAMMA] = np.reshape(present[_GAMMA], ())
    variables = table.to_jax(entries, present, shapes, what)
    variables.setdefault(spectral.COLLECTION, {})
    return variables


def _with_vectors(expected: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `expected` without the collection `spectral` where that is empty."""
    return {name: tree for name, tree in expected.items() if tree}


def describe_generator(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Returns `channels`, `blocks` and `rates` (how many) of a generator file.

    Args:
      shapes: published name -> shape, without prefixes.

    Raises:
      UserError: it is no generator file.
    """
    blocks = {int(m[1]) for name in shapes if (m := re.match(r"middle\.(\d+)\.", name))}
    rates = {m[1] for name in shapes if (m := re.match(r"middle\.0\.block(\d+)\.", name))}
    if "encoder.1.weight" not in shapes or not blocks or not rates:
        raise UserError(
            "This is no generator file of SCAT or AOT-GAN: it has no encoder.1.weight or no "
            f"middle.* weights. Its first names are {', '.join(list(shapes)[:3]) or 'none'}. "
            "Generator files are called G*.pt; D*.pt and O*.pt hold discriminator and optimizers."
        )
    return {
        "channels": shapes["encoder.1.weight"][0],
        "blocks": max(blocks) + 1,
        "rates": len(rates),
    }


def describe_discriminator(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Returns `kind`, `channels`, `spectral_norm` and `attention` of a discriminator file.

    `kind` is "unet", "resunet", "v1" or "patch" (AOT-GAN's, which has no `attention`).

    Raises:
      UserError: it is no discriminator file.
    """
    first = {
        "unet": "blocks.0.0.conv",
        "resunet": "blocks.0.0.conv1",
        "v1": "conv1.0",
        "patch": "conv.0",
    }
    for kind, name in first.items():
        for suffix in ("weight", "weight_orig"):
            if f"{name}.{suffix}" in shapes:
                description = {
                    "kind": kind,
                    "channels": shapes[f"{name}.{suffix}"][0],
                    "spectral_norm": suffix == "weight_orig",
                }
                if kind != "patch":
                    description["attention"] = _GAMMA in shapes
                return description
    raise UserError(
        "This is no discriminator file of SCAT or AOT-GAN. Its first names are "
        f"{', '.join(list(shapes)[:3]) or 'none'}."
    )
