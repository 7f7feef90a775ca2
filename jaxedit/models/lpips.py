"""LPIPS, the learned perceptual distance of Zhang et al., CVPR 2018 (arXiv 1801.03924), v0.1.

Equation 1: features of several layers are normalised over channels, their squared differences are
weighted per channel by learned non-negative weights, and averaged over space; layers are summed.
Images are in [-1, 1]; the published v0.1 first shifts and scales them per channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.models import alexnet, vgg
from jaxedit.weights.table import Entry, Table

# ImageNet's mean and standard deviation, restated for images in [-1, 1], as published.
_SHIFT = np.array([-0.030, -0.088, -0.188], np.float32)
_SCALE = np.array([0.458, 0.448, 0.450], np.float32)
_EPSILON = 1e-10  # added to the norm, not inside of the root

LAYERS = {
    "alex": ("relu1", "relu2", "relu3", "relu4", "relu5"),
    "vgg": ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"),
}
MINIMUM = {"alex": alexnet.MINIMUM, "vgg": 16}  # pixels


class Heads(nn.Module):
    """The learned part: a weight per channel of every layer (a 1x1 convolution without bias)."""

    @nn.compact
    def __call__(self, *differences: jax.Array) -> jax.Array:
        """Returns the distances (B,) of squared differences, (B, h, w, C) for every layer."""
        total = 0.0
        for index, difference in enumerate(differences):
            channels = difference.shape[-1]
            shape = (1, 1, channels, 1)
            initial = nn.initializers.constant(1 / channels)
            kernel = self.param(f"linear_{index}", initial, shape, jnp.float32)
            total += jnp.mean(difference @ kernel[0, 0, :, 0], axis=(1, 2))
        return total


def distance(backbone: str, variables: Mapping[str, Any], a: jax.Array, b: jax.Array) -> jax.Array:
    """Returns the LPIPS distance of each pair of images (B,), float32.

    Args:
      backbone: "alex" or "vgg".
      variables: {"backbone": variables of AlexNet or VGG-16, "heads": variables of `Heads`}.
      a: (B, H, W, 3) in [-1, 1]; H and W at least `MINIMUM[backbone]`.
      b: like `a`.
    """
    features_a = _features(backbone, variables["backbone"], a)
    features_b = _features(backbone, variables["backbone"], b)
    differences = [
        jnp.square(_normalise(features_a[layer]) - _normalise(features_b[layer]))
        for layer in LAYERS[backbone]
    ]
    return Heads().apply(variables["heads"], *differences)


def _features(backbone: str, variables: Any, images: jax.Array) -> dict[str, jax.Array]:
    images = (images - _SHIFT) / _SCALE
    if backbone == "alex":
        return alexnet.AlexNet().apply(variables, images)
    return vgg.VGG(depth=16, layers=LAYERS["vgg"]).apply(variables, images)


def _normalise(features: jax.Array) -> jax.Array:
    squares = jnp.sum(jnp.square(features), axis=-1, keepdims=True)
    # As a loss, too: the root's gradient at nothing is infinite.
    norm = jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)
    return features / (norm + _EPSILON)


def conversion_table() -> Table:
    """Returns the published names of the heads -> places in the variables of `Heads`.

    The published heads have a dropout (0) ahead of the convolution (1).
    """
    return {
        f"lin{index}.model.1.weight": Entry(("params", f"linear_{index}"), "conv")
        for index in range(5)
    }
