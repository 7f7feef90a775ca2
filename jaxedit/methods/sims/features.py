"""The feature loss of SIMS: mean absolute differences in a fixed network's features.

Qi et al., CVPR 2018, section 5, as cascaded refinement networks have it: the picture itself and
VGG-19's conv1_2 to conv5_2 after the ReLU, with average pools, each with a weight of its own.

Without weights, `random_features` stands in: VGG's layers, narrow, with fixed random weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxedit.models import imagenet
from jaxedit.models.vgg import VGG

LAYERS = ("relu1_2", "relu2_2", "relu3_2", "relu4_2", "relu5_2")
# Weights of the picture and of LAYERS in the released code. According to the authors of cascaded
# refinement networks they are inverses of each term's mean at epoch 100.
WEIGHTS = (1.0, 1 / 2.6, 1 / 4.8, 1 / 3.7, 1 / 5.6, 10 / 1.5)
MEAN = (123.68, 116.779, 103.939)  # of RGB in 0..255: what the published VGG-19 had taken off
# torchvision's VGG-19 takes colours that are divided by 255 and by their deviation. Its features
# are multiplied by both again, so that they are in units of 0..255, as the weights expect (ours).
_UNITS = 255 * sum(imagenet.DEVIATION) / 3

Features = Callable[[jax.Array], Sequence[jax.Array]]


def network(width: int = 64, dtype: jnp.dtype = jnp.float32) -> VGG:
    """Returns the VGG-19 whose features are compared, `width` channels in its first block."""
    return VGG(19, LAYERS, width, "average", dtype)


def of_random(vgg: VGG, variables: Mapping[str, Any]) -> Features:
    """Returns features of a VGG with weights for colours in 0..255 without their mean."""
    return lambda image: _in_order(vgg.apply(variables, centred(image)))


def of_torchvision(vgg: VGG, variables: Mapping[str, Any]) -> Features:
    """Returns features of a VGG with torchvision's weights, in units of 0..255."""

    def features(image: jax.Array) -> list[jax.Array]:
        found = vgg.apply(variables, imagenet.normalise(image / 127.5 - 1))
        return [_UNITS * layer for layer in _in_order(found)]

    return features


def centred(image: jax.Array) -> jax.Array:
    """Returns the picture (..., 3) in 0..255 without the mean colour."""
    return image - jnp.asarray(MEAN, image.dtype)


def loss(
    real: jax.Array, fake: jax.Array, features: Features, weights: Sequence[float] = WEIGHTS
) -> tuple[jax.Array, jax.Array]:
    """Returns (total, terms before they are weighted), float32 () and (terms,).

    The published code also weighs every pixel by the one-hot layout and adds the classes up, which
    changes nothing, since the classes add up to one everywhere.

    Args:
      real, fake: (B, H, W, 3) in 0..255.
      features: picture in 0..255 -> layers.
      weights: of the picture's own term and of every layer; a weight of 0 leaves it out.

    Raises:
      ValueError: there are not as many weights as terms.
    """
    pairs = [(real, fake), *zip(features(real), features(fake), strict=True)]
    if len(pairs) != len(weights):
        raise ValueError(f"{len(weights)} weights for {len(pairs)} terms")
    terms = jnp.stack([
        jnp.mean(jnp.abs(a.astype(jnp.float32) - b.astype(jnp.float32))) for a, b in pairs
    ])
    return jnp.sum(terms * jnp.asarray(weights, jnp.float32)), terms


def _in_order(found: Mapping[str, jax.Array]) -> list[jax.Array]:
    return [found[name] for name in LAYERS]
