"""What the published networks see: ImageNet-normalised colour and a one-hot trimap."""

from __future__ import annotations

import jax
import jax.numpy as jnp

# Labels of a trimap, and the channels of a one-hot one in this order.
from jaxedit.data.trimaps import BACKGROUND, FOREGROUND, UNKNOWN
from jaxedit.models.imagenet import normalise

__all__ = ["BACKGROUND", "FOREGROUND", "UNKNOWN", "normalise", "one_hot"]


def one_hot(trimap: jax.Array) -> jax.Array:
    """Returns labels (B, H, W, 1) as float32 (B, H, W, 3): background, unknown, foreground."""
    return (trimap == jnp.arange(3, dtype=trimap.dtype)).astype(jnp.float32)
