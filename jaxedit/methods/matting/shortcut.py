"""The shortcut from an encoder to the decoder (MatteFormer, figure 2; after MG-Matting).

Two spectrally normalised 3 x 3 convolutions, each followed by ReLU and THEN by batch normalisation.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.layers import initializers
from jaxedit.layers.normalization import BatchNorm
from jaxedit.methods.matting.spectral_conv import spectral_conv


class Shortcut(nn.Module):
    """SN conv 3 x 3, ReLU, BN, SN conv 3 x 3, ReLU, BN; no biases in the convolutions.

    Attributes:
      features: output channels of both convolutions.
      axis_name: as in `layers.normalization.BatchNorm`.
      dtype: dtype of the computation and of the result.
    """

    features: int
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """(B, H, W, C) -> (B, H, W, features)."""
        for index in (1, 2):
            x = spectral_conv(
                self.features,
                kernel_init=initializers.torch_kernel,
                dtype=self.dtype,
                name=f"conv{index}",
            )(x)
            norm = BatchNorm(axis_name=self.axis_name, dtype=self.dtype, name=f"bn{index}")
            x = norm(nn.relu(x), train=train)
        return x
