"""Self-attention over feature maps (Zhang et al., "Self-Attention GANs", 2019, section 3)."""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.layers import initializers
from jaxedit.layers.convolution import Conv
from jaxedit.layers.resampling import max_pool


class SelfAttention(nn.Module):
    """The block of the released SA-GAN code: gamma * output(attention) + x, with gamma from 0.

    Queries and keys have an eighth of the channels, values half of them; keys and values are
    max-pooled 2 x 2; the products are not scaled. 1 x 1 convolutions without bias, in the order
    and under the names of the published files: `to_q`, `to_key`, `to_value`, `output`.

    Attributes:
      spectral_norm: whether the four convolutions are spectrally normalised.
      dtype: dtype of the computation and of the result.
    """

    spectral_norm: bool = False
    kernel_init: Callable = nn.initializers.normal(0.02)
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, H, W, C); H and W even, C a multiple of 8."""
        batch, height, width, channels = x.shape

        def project(features: int, name: str) -> Conv:
            return Conv(
                features,
                kernel_size=1,
                use_bias=False,
                spectral_norm=self.spectral_norm,
                kernel_init=self.kernel_init,
                dtype=self.dtype,
                name=name,
            )

        queries = project(channels // 8, "to_q")(x).reshape(batch, height * width, -1)
        keys = max_pool(project(channels // 8, "to_key")(x)).reshape(
            batch, height * width // 4, -1
        )
        values = max_pool(project(channels // 2, "to_value")(x)).reshape(
            batch, height * width // 4, -1
        )
        logits = jnp.einsum("bqc,bkc->bqk", queries, keys).astype(jnp.float32)
        weights = jax.nn.softmax(logits, axis=-1).astype(self.dtype)
        attended = jnp.einsum("bqk,bkc->bqc", weights, values)
        attended = attended.reshape(batch, height, width, channels // 2)
        gamma = initializers.parameter(self, "gamma", nn.initializers.zeros, ())
        return gamma.astype(self.dtype) * project(channels, "output")(attended) + x
