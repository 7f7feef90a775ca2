"""The dense layer."""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.layers import initializers, spectral


class Dense(nn.Module):
    """A linear layer over the last axis: parameters `kernel` (in, out) and `bias`, float32.

    Attributes:
      features: output size.
      use_bias: whether there is a bias.
      spectral_norm: as in `layers.convolution.Conv`.
      dtype: dtype of the computation and of the result.
    """

    features: int
    use_bias: bool = True
    spectral_norm: bool = False
    kernel_init: Callable = nn.initializers.normal(0.02)
    bias_init: Callable = nn.initializers.zeros
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., in) -> (..., features)."""
        shape = (x.shape[-1], self.features)
        kernel = initializers.parameter(self, "kernel", self.kernel_init, shape)
        if self.spectral_norm:
            kernel = spectral.normalise(self, kernel)
        y = jnp.dot(x.astype(self.dtype), kernel.astype(self.dtype))
        if self.use_bias:
            bias = initializers.parameter(self, "bias", self.bias_init, (self.features,))
            y = y + bias.astype(self.dtype)
        return y
