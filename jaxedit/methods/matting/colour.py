"""What the published networks see: ImageNet-normalised colour and a one-hot trimap."""

from __future__ import annotations

import jax
import jax.numpy as jnp

# Labels of a trimap, and the channels of a one-hot one in this order.
from jaxedit.data.trimaps import BACKGROUND, FOREGROUND, UNKNOWN

__all__ = ["BACKGROUND", "FOREGROUND", "UNKNOWN", "normalise", "one_hot"]

MEAN = (0.485, 0.456, 0.406)  # of RGB in [0, 1]
DEVIATION = (0.229, 0.224, 0.225)


def normalise(image: jax.Array) -> jax.Array:
    """Returns RGB of [-1, 1] as normalised colour, (..., 3)."""
    return ((image + 1) / 2 - jnp.asarray(MEAN)) / jnp.asarray(DEVIATION)


def one_hot(trimap: jax.Array) -> jax.Array:
    """Returns labels (B, H, W, 1) as float32 (B, H, W, 3): background, unknown, foreground."""
    return (trimap == jnp.arange(3, dtype=trimap.dtype)).astype(jnp.float32)
