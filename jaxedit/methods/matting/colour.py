"""What the published networks see: ImageNet-normalised colour and a one-hot trimap."""

from __future__ import annotations

import jax
import jax.numpy as jnp

MEAN = (0.485, 0.456, 0.406)  # of RGB in [0, 1]
DEVIATION = (0.229, 0.224, 0.225)
BACKGROUND, UNKNOWN, FOREGROUND = 0, 1, 2  # labels of a trimap, and its channels in this order


def normalise(image: jax.Array) -> jax.Array:
    """Returns RGB of [-1, 1] as normalised colour, (..., 3)."""
    return ((image + 1) / 2 - jnp.asarray(MEAN)) / jnp.asarray(DEVIATION)


def one_hot(trimap: jax.Array) -> jax.Array:
    """Returns labels (B, H, W, 1) as float32 (B, H, W, 3): background, unknown, foreground."""
    return (trimap == jnp.arange(3, dtype=trimap.dtype)).astype(jnp.float32)
