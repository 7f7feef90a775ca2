"""Published names of the matting network's arrays against ours, and starting from published ones.

DPT's and MatteFormer's files share their names: 457 arrays of ours, and 52 that we have no use for
(relative position indices and counts of batches). The table leads into
`{"params": ..., "batch_stats": ..., "spectral": ...}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from jaxedit.errors import UserError
from jaxedit.layers import normalization, spectral
from jaxedit.models import swin
from jaxedit.weights.table import Entry

PUBLISHED = ("matteformer", "dpt")
"""Names of weights, in the manifest, that fill the whole network."""
SWIN = "swin-tiny"

_OURS = ("norm", "shortcut_")  # what an encoder has beside the Swin transformer


def network_table(
    depths: tuple[int, ...] = (2, 2, 6, 2), decoder_blocks: tuple[int, ...] = (2, 3, 3, 2)
) -> dict[str, Entry]:
    """Returns the table of a published DPT or MatteFormer network.

    Args:
      depths: blocks of the encoder's stages.
      decoder_blocks: blocks of the decoder's layers.
    """
    parts = [swin.conversion_table(depths, "encoder.", ("params", "encoder"))]
    for stage in range(len(depths)):
        parts.append(_scale_and_bias(f"encoder.norm{stage}", ("encoder", f"norm{stage}")))
    for index in range(len(depths) + 2):
        ours = ("encoder", f"shortcut_{index}")
        for number, (conv, norm) in enumerate(((0, 2), (3, 5)), 1):
            published = f"encoder.shortcut.{index}"
            parts.append(_normalised(f"{published}.{conv}", (*ours, f"conv{number}")))
            parts.append(_batch_norm(f"{published}.{norm}", (*ours, f"bn{number}")))
    parts.append(_decoder_table(decoder_blocks))
    return _join(parts)


def _decoder_table(blocks: tuple[int, ...]) -> dict[str, Entry]:
    parts = [
        _normalised("decoder.conv1", ("decoder", "conv1")),
        _batch_norm("decoder.bn1", ("decoder", "bn1")),
    ]
    for layer, count in enumerate(blocks, 1):
        for index in range(count):
            published, ours = f"decoder.layer{layer}.{index}", ("decoder", f"layer{layer}_{index}")
            for number in (1, 2):
                name = f"conv{number}"
                parts.append(_normalised(f"{published}.{name}", (*ours, name)))
                name = f"bn{number}"
                parts.append(_batch_norm(f"{published}.{name}", (*ours, name)))
        published, ours = f"decoder.layer{layer}.0.upsample", ("decoder", f"layer{layer}_0")
        parts.append(_normalised(f"{published}.1", (*ours, "skip_conv")))
        parts.append(_batch_norm(f"{published}.2", (*ours, "skip_bn")))
    for scale in (1, 4, 8):
        published, ours = f"decoder.refine_OS{scale}", ("decoder", f"head_os{scale}")
        parts.append(
            {
                f"{published}.0.weight": Entry(("params", *ours, "conv1", "kernel"), "conv"),
                f"{published}.3.weight": Entry(("params", *ours, "conv2", "kernel"), "conv"),
                f"{published}.3.bias": Entry(("params", *ours, "conv2", "bias")),
            }
        )
        parts.append(_batch_norm(f"{published}.1", (*ours, "bn")))
    return _join(parts)


def _normalised(name: str, path: tuple[str, ...]) -> dict[str, Entry]:
    """Entries of a spectrally normalised convolution, plain or transposed, without bias."""
    vectors = (spectral.COLLECTION, *path)
    return {
        f"{name}.module.weight_bar": Entry(("params", *path, "kernel"), "conv"),
        f"{name}.module.weight_u": Entry((*vectors, "u")),
        f"{name}.module.weight_v": Entry((*vectors, "v")),
    }


def _batch_norm(name: str, path: tuple[str, ...]) -> dict[str, Entry]:
    statistics = (normalization.COLLECTION, *path)
    return _scale_and_bias(name, path) | {
        f"{name}.running_mean": Entry((*statistics, "mean")),
        f"{name}.running_var": Entry((*statistics, "var")),
    }


def _scale_and_bias(name: str, path: tuple[str, ...]) -> dict[str, Entry]:
    return {
        f"{name}.weight": Entry(("params", *path, "scale")),
        f"{name}.bias": Entry(("params", *path, "bias")),
    }


def _join(parts: Iterable[dict[str, Entry]]) -> dict[str, Entry]:
    return {name: entry for part in parts for name, entry in part.items()}


def describe(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Returns the fields of `MattingNetwork` that a published file was trained with.

    Args:
      shapes: published name -> shape, without prefixes.

    Returns:
      `embed_dim`, `depths`, `heads`, `window`, `decoder_blocks` and `width`.

    Raises:
      UserError: it is no file of DPT or MatteFormer.
    """
    tables = "encoder.layers.{}.blocks.{}.attn.relative_position_bias_table"
    first = tables.format(0, 0)
    if first not in shapes or "decoder.conv1.module.weight_bar" not in shapes:
        raise UserError(
            "This is no file of DPT or MatteFormer: it has no prior-attentive encoder or no "
            f"decoder. Its first names are {', '.join(list(shapes)[:3]) or 'none'}. Give the file "
            "as published, with the keys encoder.* and decoder.*."
        )
    depths = _counts(shapes, r"encoder\.layers\.(\d+)\.blocks\.(\d+)\.")
    inside = shapes[first][0] - 3  # without the first block's priors
    return {
        "embed_dim": shapes["encoder.patch_embed.proj.weight"][0],
        "depths": depths,
        "heads": tuple(shapes[tables.format(stage, 0)][1] for stage in range(len(depths))),
        "window": (round(inside**0.5) + 1) // 2,
        "decoder_blocks": _counts(shapes, r"decoder\.layer(\d+)\.(\d+)\."),
        "width": shapes["decoder.conv1.module.weight_bar"][1],
    }


def _counts(names: Iterable[str], pattern: str) -> tuple[int, ...]:
    """Returns, for every value of the first group in order, one more than the second's largest."""
    found: dict[int, int] = {}
    for name in names:
        if match := re.match(pattern, name):
            outer, inner = int(match[1]), int(match[2])
            found[outer] = max(found.get(outer, 0), inner + 1)
    return tuple(found[key] for key in sorted(found))


def starting_values(name: str, network: str) -> tuple[tuple[str, str], ...]:
    """Returns the (from, to) pairs by which a network starts from published weights.

    Args:
      name: one of `PUBLISHED`, which fill everything, or `SWIN`, which fills the transformer.
      network: the name of the network in the state.
    """
    collections = () if name == SWIN else (normalization.COLLECTION, spectral.COLLECTION)
    return (
        *((f"weights:{name}:{key}", f"stats/{network}/{key}") for key in collections),
        (f"weights:{name}:params", f"params/{network}"),
    )


def fit(
    name: str, values: Mapping[str, Any], fresh: Mapping[str, Any], rng: jax.Array | None = None
) -> Mapping[str, Any]:
    """Returns what one of the `starting_values` puts in the place of `fresh`. Pure.

    Args:
      name: weights and collection, as `dpt:params`.
      values: the published arrays of that collection.
      fresh: those of the freshly initialised network.
      rng: for what `SWIN` leaves open, see `swin_initialisation`.

    Raises:
      UserError: the weights do not fit this network.
    """
    weights, _, collection = name.partition(":")
    if name == f"{SWIN}:params":
        return swin_initialisation(fresh, values, rng)
    if weights in PUBLISHED:
        _check_same_shapes(weights, {collection: values}, {collection: fresh})
    return values


def swin_initialisation(
    params: Mapping[str, Any], weights: Mapping[str, Any], rng: jax.Array | None = None
) -> dict[str, Any]:
    """Returns `params` with the transformer of an ImageNet Swin in its encoder.

    What that Swin lacks stays open: the patch embedding's weights for the trimap's channels and the
    bias rows of the prior tokens. The norms of the outputs, the shortcuts and the decoder stay as
    they are.

    Args:
      params: of the freshly initialised network.
      weights: parameters of `models.swin.SwinTransformer`, of the same depths and widths.
      rng: draws what stays open from Xavier's normal distribution, as published; where None, it
        stays as in `params`.

    Raises:
      UserError: the weights do not fit.
    """
    encoder = traverse_util.flatten_dict(params["encoder"], sep="/") if "encoder" in params else {}
    source = traverse_util.flatten_dict(weights, sep="/")
    odd = sorted(set(source) - set(encoder)) or sorted(
        path for path in encoder if path not in source and not path.startswith(_OURS)
    )
    if odd:
        verb = "have" if odd[0] in source else "lack"
        raise UserError(
            f"The Swin weights {verb} {odd[0]!r}, unlike this network's encoder. Set "
            "network.backbone='swin' with the depths of those weights."
        )
    filled = dict(encoder)
    for index, (path, array) in enumerate(sorted(source.items())):
        start = encoder[path]
        if rng is not None and start.shape != array.shape:
            key = jax.random.fold_in(rng, index)
            start = nn.initializers.xavier_normal()(key, start.shape, jnp.float32)
        filled[path] = _overwrite(path, start, array)
    return {**params, "encoder": traverse_util.unflatten_dict(filled, sep="/")}


def _overwrite(path: str, start: jax.Array, array: np.ndarray) -> jax.Array:
    """Returns `array`, followed along the axis that is longer in `start` by the rest of it."""
    longer = {"patch_embed/proj/kernel": 2}.get(path, 0 if path.endswith("bias/table") else None)
    kept = list(start.shape)
    if longer is not None and start.ndim == array.ndim:
        kept[longer] = min(array.shape[longer], kept[longer])
    if tuple(kept) != tuple(array.shape):
        raise UserError(
            f"The Swin weights have the shape {tuple(array.shape)} at {path!r}, this network "
            f"{tuple(start.shape)}. Choose the embed_dim, heads and window of those weights."
        )
    region = tuple(slice(0, length) for length in array.shape)
    return jnp.asarray(start, jnp.float32).at[region].set(jnp.asarray(array, jnp.float32))


def _check_same_shapes(name: str, weights: Mapping[str, Any], start: Mapping[str, Any]) -> None:
    theirs, ours = (
        {path: tuple(a.shape) for path, a in traverse_util.flatten_dict(tree, sep="/").items()}
        for tree in (weights, start)
    )
    if theirs != ours:
        odd = sorted(set(theirs.items()) ^ set(ours.items()))[0][0]
        raise UserError(
            f"The weights {name!r} do not fit this network: {odd!r} has the shape "
            f"{theirs.get(odd)} there and {ours.get(odd)} here. Set config.network to the "
            "published sizes, or config.network.initial=''."
        )
