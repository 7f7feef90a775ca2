"""The patch discriminator that latent diffusion's autoencoder is trained against.

PatchGAN (Isola et al., 2017) with batch normalisation, as in "Taming Transformers" (Esser et al.,
2021), whose recipe Rombach et al. (2022) keep.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.layers.convolution import Conv
from jaxedit.layers.normalization import BatchNorm

_WIDEST = 8  # times the channels of the first layer


def _near_one(rng: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype) -> jax.Array:
    return 1 + 0.02 * jax.random.normal(rng, shape, dtype)


class PatchDiscriminator(nn.Module):
    """Convolutions of 4 x 4; one logit for each overlapping patch.

    Attributes:
      channels: width of the first layer; each further one doubles it, up to eight times.
      layers: how many halve the size; one more, and the last, keep it but for a row and a column.
      axis_name: a mapped axis over which batch statistics are joined, or None.
      dtype: dtype of the computation; parameters, statistics and logits are float32.
    """

    channels: int = 64
    layers: int = 3
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool = True) -> jax.Array:
        """(B, H, W, 3) -> logits (B, H', W', 1), H' = H / 2^layers - 2.

        With `train`, the collection `batch_stats` must be mutable.
        """
        x = image.astype(self.dtype)
        for index in range(self.layers + 1):
            width = self.channels * min(2**index, _WIDEST)
            strides = 2 if index < self.layers else 1
            x = Conv(width, 4, strides, 1, use_bias=index == 0, dtype=self.dtype,
                     name=f"conv_{index}")(x)
            if index:
                x = BatchNorm(axis_name=self.axis_name, scale_init=_near_one, dtype=self.dtype,
                              name=f"norm_{index}")(x, train=train)
            x = nn.leaky_relu(x, 0.2)
        x = Conv(1, 4, 1, 1, dtype=self.dtype, name=f"conv_{self.layers + 1}")(x)
        return x.astype(jnp.float32)
