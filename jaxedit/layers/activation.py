"""Activations with parameters."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp


class PReLU(nn.Module):
    """A leaky ReLU whose slope below zero is learned, one per channel: parameter `slope` (C,)."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., C) -> (..., C)."""
        start = nn.initializers.constant(0.25)  # PyTorch's
        slope = self.param("slope", start, x.shape[-1:], jnp.float32)
        return jnp.where(x >= 0, x, slope.astype(x.dtype) * x)
