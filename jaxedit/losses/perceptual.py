"""Perceptual and style losses on VGG-19 features (AOT-GAN, section 3.3; Gatys et al., 2016)."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import lax

PERCEPTUAL_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
STYLE_LAYERS = ("relu2_2", "relu3_4", "relu4_4", "relu5_2")


def perceptual_loss(
    features: Mapping[str, jax.Array], target: Mapping[str, jax.Array]
) -> jax.Array:
    """Returns the sum over PERCEPTUAL_LAYERS of the mean absolute difference.

    Args:
      features: layer name -> (B, H, W, C) features of the predicted images.
      target: the same of the real images.
    """
    return sum(_distance(features[name], target[name]) for name in PERCEPTUAL_LAYERS)


def style_loss(features: Mapping[str, jax.Array], target: Mapping[str, jax.Array]) -> jax.Array:
    """Returns the sum over STYLE_LAYERS of the mean absolute difference of Gram matrices."""
    return sum(_distance(gram(features[name]), gram(target[name])) for name in STYLE_LAYERS)


def gram(x: jax.Array) -> jax.Array:
    """Returns (B, C, C), products of channels summed over pixels and divided by C H W; float32."""
    batch, height, width, channels = x.shape
    flat = x.astype(jnp.float32).reshape(batch, height * width, channels)
    products = jnp.einsum("bnc,bnd->bcd", flat, flat, precision=lax.Precision.HIGHEST)
    return products / (channels * height * width)


def _distance(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.mean(jnp.abs(a.astype(jnp.float32) - b.astype(jnp.float32)))
