"""VGG-16 and VGG-19 feature extractors (Simonyan and Zisserman, 2015, table 1, D and E).

Layers are named by block and position, `relu3_4`; weights are read under torchvision's names,
`features.N.weight` and `features.N.bias`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.errors import UserError
from jaxedit.layers.convolution import Conv
from jaxedit.layers.resampling import average_pool, max_pool
from jaxedit.weights import table

# Convolutions in each of the five blocks, and the blocks' widths in units of the first.
DEPTHS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (1, 2, 4, 8, 8)
POOLS = {"max": max_pool, "average": average_pool}


class VGG(nn.Module):
    """The convolutional part of VGG, as far as the deepest requested layer.

    Attributes:
      depth: 16 or 19.
      layers: names of the wanted outputs, `relu<block>_<position>`; None for all.
      channels: width of the first block; 64 as published, and as published weights need it.
      pool: between blocks, "max" as published, or "average", as style transfer and what came of it
        have it; then sides must halve evenly.
      dtype: dtype of the computation and of the features.
    """

    depth: int = 19
    layers: Sequence[str] | None = None
    channels: int = 64
    pool: str = "max"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Computes features.

        Args:
          x: (B, H, W, 3), normalised as the weights want it (see `imagenet.normalise`).

        Returns:
          Layer name -> (B, H / 2^(block - 1), W / 2^(block - 1), channels), after the ReLU.

        Raises:
          UserError: an unknown layer is asked for.
        """
        known = layer_names(self.depth)
        wanted = known if self.layers is None else tuple(self.layers)
        unknown = [name for name in wanted if name not in known]
        if unknown:
            raise UserError(
                f"VGG-{self.depth} has no layer {unknown[0]!r}, only {', '.join(known)}."
            )
        features = {}
        x = x.astype(self.dtype)
        for name in known[: max(known.index(name) for name in wanted) + 1]:
            block, position = (int(part) for part in name.removeprefix("relu").split("_"))
            if block > 1 and position == 1:
                x = POOLS[self.pool](x)
            width = WIDTHS[block - 1] * self.channels
            conv = Conv(width, padding=1, dtype=self.dtype, name=f"conv{block}_{position}")
            x = nn.relu(conv(x))
            if name in wanted:
                features[name] = x
        return features


def layer_names(depth: int) -> tuple[str, ...]:
    """Returns the names of all layers, from the image on."""
    if depth not in DEPTHS:
        raise UserError(f"There is a VGG-16 and a VGG-19, but no VGG-{depth}.")
    return tuple(
        f"relu{block}_{position}"
        for block, count in enumerate(DEPTHS[depth], start=1)
        for position in range(1, count + 1)
    )


def random_features(network: VGG) -> dict[str, Any]:
    """Returns fixed random variables for a VGG of any width: a stand-in that knows no images.

    He-normal kernels keep the features' scale from layer to layer.
    """
    variables = network.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    leaves, tree = jax.tree.flatten(variables)
    keys = jax.random.split(jax.random.key(19), len(leaves))
    start = nn.initializers.he_normal()
    return jax.tree.unflatten(tree, [
        start(key, leaf.shape, leaf.dtype) if leaf.ndim == 4 else jnp.zeros_like(leaf)
        for key, leaf in zip(keys, leaves, strict=True)
    ])


def conversion_table(depth: int, last: str | None = None) -> dict[str, table.Entry]:
    """Returns torchvision's names -> our places under `params`, as far as layer `last`."""
    names = layer_names(depth)
    if last is not None:
        names = names[: names.index(last) + 1]
    entries = {}
    index = 0
    for name in names:
        block, position = name.removeprefix("relu").split("_")
        if int(block) > 1 and position == "1":
            index += 1  # a max-pooling layer
        path = ("params", f"conv{block}_{position}")
        entries[f"features.{index}.weight"] = table.Entry((*path, "kernel"), "conv")
        entries[f"features.{index}.bias"] = table.Entry((*path, "bias"))
        index += 2  # the convolution and its ReLU
    return entries


def convert(
    published: Mapping[str, np.ndarray],
    depth: int,
    last: str | None = None,
    what: str = "VGG weights",
) -> dict[str, dict]:
    """Returns `{"params": ...}` from a torchvision file's arrays, classifier and rest left out.

    Raises:
      UserError: a layer is missing or of another shape.
    """
    entries = conversion_table(depth, last)
    later = conversion_table(depth)
    kept = {
        name: array
        for name, array in published.items()
        if not name.startswith("classifier.") and (name in entries or name not in later)
    }
    return table.to_jax(entries, kept, what=what)
