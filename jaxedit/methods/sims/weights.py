"""Names of the published checkpoints of SIMS against ours, and what has to be turned in them.

The release (TensorFlow 1, slim) names a layer `SCOPE/SCOPE_1`, counted from 1, with `weights` as
(height, width, in, out), so no axis is moved. Three things differ from our networks and are turned
by `rgb`, `about_identity` and `unlabelled_last` before a table is applied:

- its synthesis networks learned from pictures with blue first, beside canvases with red first;
- its alignment network holds the whole map in its last bias, ours what is added to the identity;
- its ordering network counts classes from 1, 0 is never the answer.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from jaxedit.methods.sims.affine import IDENTITY
from jaxedit.methods.sims.synthesis import ENCODER_DEPTHS
from jaxedit.methods.sims.trunk import TRUNK_DEPTHS
from jaxedit.weights.table import Entry

_TO_RGB = {1: "g_256_conv100", 2: "g_512_conv100", 3: "g_512_conv100"}
_TO_SEMANTIC = {1: "g_semantic_256_conv100", 2: "g_semantic_512", 3: "g_semantic_512"}
_REFINE = "g_1024_conv100"
_CLASSIFY = "g_selection_classify"
_SHIFT = "g_b_fc1"


def synthesis_table(stages: int = 1) -> dict[str, Entry]:
    """Returns the table of a synthesis network of 1, 2 or 3 stages."""
    entries: dict[str, Entry] = {}
    for level, count in enumerate(ENCODER_DEPTHS, 1):
        entries |= _block(f"g_encoder_conv{level}", (f"encoder_{level}",), count)
        entries |= _block(f"g_decoder_conv{level}", (f"decoder_{level}",))
    entries |= _block("g_decoder_final", ("decoder_final",))
    if stages > 1:
        entries |= _block("g_decoder_512", ("decoder_up",))
    if stages > 2:
        entries |= _head(_REFINE, ("refine",))
    entries |= _head(_TO_RGB[stages], ("to_rgb",))
    return entries | _head(_TO_SEMANTIC[stages], ("to_semantic",))


def alignment_table() -> dict[str, Entry]:
    """Returns the table of the alignment network, one of whose scopes is misspelt."""
    scopes = [f"g_trans{'from' if level == 2 else 'form'}_conv{level}" for level in range(1, 6)]
    theta = ("params", "theta")
    return _trunk(scopes) | {
        "g_transform_param": Entry((*theta, "kernel")), _SHIFT: Entry((*theta, "bias")),
    }


def ordering_table() -> dict[str, Entry]:
    """Returns the table of the ordering network."""
    entries = _trunk([f"g_selection_conv{level}" for level in range(1, 6)])
    entries |= _layer("g_selection_conv6", ("hidden",), 0)
    return entries | _head(_CLASSIFY, ("classify",))


def rgb(published: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the arrays of a synthesis network whose pictures have red first."""
    turned = dict(published)
    for head in (*_TO_RGB.values(), _REFINE):
        for name in (f"{head}/weights", f"{head}/biases"):
            if name in published:
                turned[name] = published[name][..., ::-1]
    kernel = turned.get(f"{_REFINE}/weights")
    if kernel is not None and kernel.ndim == 4:
        # What it reads ends with the picture of the network before it.
        given, picture = np.split(kernel, [max(0, kernel.shape[2] - 3)], axis=2)
        turned[f"{_REFINE}/weights"] = np.concatenate([given, picture[:, :, ::-1]], axis=2)
    return turned


def about_identity(published: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the arrays of an alignment network whose last bias is added to the identity."""
    turned = dict(published)
    if np.shape(turned.get(_SHIFT)) == np.shape(IDENTITY):
        turned[_SHIFT] = turned[_SHIFT] - np.asarray(IDENTITY, np.float32)
    return turned


def unlabelled_last(published: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the arrays of an ordering network that counts classes from 0."""
    turned = dict(published)
    for name in (f"{_CLASSIFY}/weights", f"{_CLASSIFY}/biases"):
        if name in published:
            turned[name] = np.roll(published[name], -1, axis=-1)
    return turned


def _trunk(scopes: list[str]) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for level, (scope, count) in enumerate(zip(scopes, TRUNK_DEPTHS, strict=True), 1):
        entries |= _block(scope, ("trunk", f"encoder_{level}"), count)
    return entries


def _block(scope: str, path: tuple[str, ...], count: int = 2) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for number in range(count):
        entries |= _layer(f"{scope}/{scope}_{number + 1}", path, number)
    return entries


def _layer(scope: str, path: tuple[str, ...], number: int) -> dict[str, Entry]:
    params = ("params", *path)
    return {
        f"{scope}/weights": Entry((*params, f"conv_{number}", "kernel")),
        f"{scope}/LayerNorm/gamma": Entry((*params, f"norm_{number}", "scale")),
        f"{scope}/LayerNorm/beta": Entry((*params, f"norm_{number}", "bias")),
    }


def _head(scope: str, path: tuple[str, ...]) -> dict[str, Entry]:
    params = ("params", *path)
    return {
        f"{scope}/weights": Entry((*params, "kernel")),
        f"{scope}/biases": Entry((*params, "bias")),
    }
