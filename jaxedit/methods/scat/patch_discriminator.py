"""AOT-GAN's patch discriminator (Zeng et al., 2022, section 3.2), for the baseline."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.layers.convolution import Conv


class PatchDiscriminator(nn.Module):
    """Five 4 x 4 convolutions; the first three halve, the last gives one logit per patch.

    Layers are named as in the published files: `conv_0`, `conv_2`, ... `conv_8`.

    Attributes:
      channels: width of the first layer; the others scale with it.
      spectral_norm: on every layer but the last.
      dtype: dtype of the computation; parameters and logits are float32.
    """

    channels: int = 64
    spectral_norm: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """(B, H, W, 3) in [-1, 1] -> logits (B, H / 8 - 2, W / 8 - 2, 1)."""
        x = image.astype(self.dtype)
        for index, (multiple, strides) in enumerate(((1, 2), (2, 2), (4, 2), (8, 1))):
            x = Conv(
                multiple * self.channels,
                kernel_size=4,
                strides=strides,
                padding=1,
                use_bias=False,
                spectral_norm=self.spectral_norm,
                dtype=self.dtype,
                name=f"conv_{2 * index}",
            )(x)
            x = nn.leaky_relu(x, 0.2)
        x = Conv(1, kernel_size=4, padding=1, dtype=self.dtype, name="conv_8")(x)
        return x.astype(jnp.float32)
