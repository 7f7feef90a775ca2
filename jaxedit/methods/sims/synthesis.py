"""The synthesis network f: from a canvas of pasted segments and its layout to a photograph.

Qi et al., CVPR 2018, section 5; layers of the published code. Encoder like VGG-19 with average
pools, decoder like that of cascaded refinement networks, which sees the raw input again at every
level. One network serves three sizes, each grown from the one before (`growth`):

| stages | trained at | what is new |
|---|---|---|
| 1 | 256 x 512 | encoder, decoder |
| 2 | 512 x 1024 | one more decoder block at twice the size of the rest |
| 3 | 1024 x 2048 | one 1 x 1 convolution over picture and input |

What the release does at 2 and 3 is kept: encoder and decoder resize the full input with corner
pixels in place, while the decoder block that 2 adds reads at 3 every second pixel of it, since the
release resizes it there without aligned corners. The last convolution of 3 reads the picture before
it is scaled to 0..255.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.layers.convolution import Conv
from jaxedit.layers.resampling import average_pool_same, resize_bilinear, upsample_bilinear
from jaxedit.methods.sims import layout
from jaxedit.methods.sims.trunk import XAVIER, Block

ENCODER_DEPTHS = (2, 2, 3, 3, 3, 3)
STAGES = (1, 2, 3)


def network_input(
    label: jax.Array, canvas: jax.Array, presence: jax.Array, classes: int
) -> jax.Array:
    """Returns what f reads, (B, H, W, classes + 5): one-hot layout, canvas, presence.

    Args:
      label: int (B, H, W); what is no class counts as unlabelled.
      canvas: (B, H, W, 3) in [0, 1].
      presence: (B, H, W, 1), 1 where the canvas has something, white elisions included.
      classes: how many there are.
    """
    return jnp.concatenate([layout.one_hot(label, classes), canvas, presence], axis=-1)


class SynthesisNetwork(nn.Module):
    """The network f.

    Attributes:
      classes: of the layout, without "unlabelled".
      stages: 1, 2 or 3, see the module.
      width: channels of the first level; 64 as published.
      remat: recompute blocks in the backward pass, to save memory.
      dtype: dtype of the computation; normalisation and outputs are float32.
    """

    classes: int = 19
    stages: int = 1
    width: int = 64
    remat: bool = False
    dtype: jnp.dtype = jnp.float32

    @property
    def multiple(self) -> int:
        """What the sides of an input must divide by."""
        return 64 * 2 ** (self.stages - 1)

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(B, H, W, classes + 5), see `network_input`, to (photograph, logits).

        Returns:
          The photograph (B, H, W, 3) for 0..255, not cut to it; logits (B, h, w, classes + 1) of
          the classes at every pixel, "unlabelled" last; at three stages h = H / 2, w = W / 2.

        Raises:
          ValueError: a side that does not divide by `multiple`.
        """
        if any(side % self.multiple for side in x.shape[1:3]):
            raise ValueError(f"Sides {x.shape[1:3]} do not divide by {self.multiple}")
        x = x.astype(self.dtype)
        if self.stages < 3:
            picture, logits = self._base(x, x)
        else:
            picture, logits = self._base(x, x[:, ::2, ::2])
            picture = upsample_bilinear(picture.astype(self.dtype), align_corners=True)
            picture = self._head(3, "refine", jnp.concatenate([x, picture], axis=-1))
        return (picture + 1) / 2 * 255, logits

    def _base(self, x: jax.Array, finest: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The networks of one and two stages: (picture in about [-1, 1], logits).

        Args:
          x: the full input.
          finest: the same at the size of the picture.
        """
        small = _resize(x, 2 ** (self.stages - 1)) if self.stages > 1 else x
        pooled, level = [], small
        for i, count in enumerate(ENCODER_DEPTHS):
            level = self._block(f"encoder_{i + 1}", self.width * min(2**i, 8), count)(level)
            level = average_pool_same(level)
            pooled.append(level)
        height, width = small.shape[1:3]
        for k in range(len(ENCODER_DEPTHS), 0, -1):
            parts = [resize_bilinear(x, (height >> k, width >> k), align_corners=True)]
            parts += [pooled[k - 1]] + ([level] if k < len(ENCODER_DEPTHS) else [])
            features = self.width * (8 if k > 1 else 4)
            level = self._block(f"decoder_{k}", features)(jnp.concatenate(parts, axis=-1))
            level = upsample_bilinear(level, align_corners=True)
        level = self._block("decoder_final", 4 * self.width)(
            jnp.concatenate([small, level], axis=-1)
        )
        if self.stages > 1:
            level = upsample_bilinear(level, align_corners=True)
            level = self._block("decoder_up", 2 * self.width)(
                jnp.concatenate([finest, level], axis=-1)
            )
        return self._head(3, "to_rgb", level), self._head(
            self.classes + 1, "to_semantic", level
        )

    def _block(self, name: str, features: int, count: int = 2) -> nn.Module:
        block = nn.remat(Block) if self.remat else Block
        return block(features, count, dtype=self.dtype, name=name)

    def _head(self, features: int, name: str, x: jax.Array) -> jax.Array:
        conv = Conv(features, kernel_size=1, kernel_init=XAVIER, dtype=self.dtype, name=name)
        return conv(x).astype(jnp.float32)


def _resize(x: jax.Array, factor: int) -> jax.Array:
    """Returns the map at 1 / factor of its size, corner pixels kept in place."""
    size = tuple(side // factor for side in x.shape[1:3])
    return resize_bilinear(x, size, align_corners=True)
