"""What the published networks see: ImageNet-normalised colour and a one-hot trimap."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxedit.models.imagenet import normalise

__all__ = ["normalise", "one_hot"]


def one_hot(trimap: jax.Array) -> jax.Array:
    """Returns labels (B, H, W, 1) as float32 (B, H, W, 3), a channel each in their order."""
    return (trimap == jnp.arange(3, dtype=trimap.dtype)).astype(jnp.float32)
