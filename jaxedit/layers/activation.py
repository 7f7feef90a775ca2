"""Activations with parameters."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.layers import initializers


class PReLU(nn.Module):
    """A leaky ReLU whose slope below zero is learned, one per channel: parameter `slope` (C,)."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., C) -> (..., C)."""
        start = initializers.constant(0.25)  # PyTorch's
        slope = initializers.parameter(self, "slope", start, x.shape[-1:])
        return jnp.where(x >= 0, x, slope.astype(x.dtype) * x)
