"""A small U-Net that labels every pixel of a photograph, and whose features describe it.

Ronneberger et al., 2015, in its common modern form: padded convolutions, group normalisation and
SiLU, bilinear enlargement. The network is this project's own: it has no published weights.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.layers import resampling
from jaxedit.layers.convolution import Conv
from jaxedit.layers.group_norm import GroupNorm

GROUP = 8  # channels that are normalised together
_HE = nn.initializers.he_normal()


class Segmenter(nn.Module):
    """Photographs to class scores.

    Attributes:
      classes: the number of classes.
      channels: of each level, from the full size to the smallest, multiples of 8; every level
        has half the height and width of the one before.
      dtype: of the computation; scores and features are float32.
    """

    classes: int
    channels: tuple[int, ...] = (16, 32, 64, 96)
    dtype: jnp.dtype = jnp.float32

    @property
    def multiple(self) -> int:
        """Sides of photographs must be multiples of this many pixels."""
        return 2 ** (len(self.channels) - 1)

    def setup(self):
        width = lambda n, name: _Block(n, self.dtype, name=name)
        self.encoder = [width(n, f"encoder_{i}") for i, n in enumerate(self.channels)]
        self.decoder = [width(n, f"decoder_{i}") for i, n in enumerate(self.channels[:-1])]
        self.head = Conv(self.classes, kernel_size=1, dtype=jnp.float32)

    def __call__(self, image: jax.Array) -> jax.Array:
        """Returns scores (B, H, W, classes) of images (B, H, W, 3) in [-1, 1]."""
        levels = self.features(image)
        x = levels[-1]
        for block, skipped in zip(self.decoder[::-1], levels[-2::-1], strict=True):
            x = resampling.upsample_bilinear(x, align_corners=False)
            x = block(jnp.concatenate([x, skipped], axis=-1))
        return self.head(x.astype(jnp.float32))

    def features(self, image: jax.Array) -> list[jax.Array]:
        """Returns what the encoder sees at each level: (B, H / 2^i, W / 2^i, channels[i])."""
        x, levels = image.astype(self.dtype), []
        for block in self.encoder:
            x = block(resampling.average_pool(x) if levels else x)
            levels.append(x)
        return levels

    def pooled(self, image: jax.Array) -> jax.Array:
        """Returns the spatial means of the deepest level, (B, channels[-1]) float32."""
        return jnp.mean(self.features(image)[-1].astype(jnp.float32), axis=(1, 2))


class _Block(nn.Module):
    """Two 3x3 convolutions, each followed by group normalisation and SiLU."""

    features: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(2):
            x = Conv(
                self.features, padding=1, use_bias=False, dtype=self.dtype,
                kernel_init=_HE,
            )(x)  # fmt: skip
            x = GroupNorm(self.features // GROUP, silu=True, dtype=self.dtype)(x)
        return x
