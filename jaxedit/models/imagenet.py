"""The colours that networks trained on ImageNet expect."""

from __future__ import annotations

import jax
import jax.numpy as jnp

MEAN = (0.485, 0.456, 0.406)  # of RGB in [0, 1]
DEVIATION = (0.229, 0.224, 0.225)


def normalise(image: jax.Array) -> jax.Array:
    """Returns `image` (..., 3) in [-1, 1], brought to the mean and deviation of ImageNet."""
    mean, deviation = (jnp.asarray(x, image.dtype) for x in (MEAN, DEVIATION))
    return ((image + 1) / 2 - mean) / deviation
