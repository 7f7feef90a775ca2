"""The convolutional encoder: GCA-Matting's ResNet-34 variant (Li and Lu, AAAI 2020), as MG-Matting
(Yu et al., 2021) keeps it.

All convolutions are spectrally normalised (SN) and have no bias. It stands in for MatteFormer's
transformer to compare backbones: the decoder is the same, and attention is in the encoder only.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.layers.normalization import BatchNorm
from jaxedit.layers.resampling import average_pool
from jaxedit.methods.matting.guided_attention import GuidanceHead, GuidedAttention
from jaxedit.methods.matting.shortcut import Shortcut
from jaxedit.methods.matting.spectral_conv import XAVIER, spectral_conv

# Channels of the stages at 1/4, 1/8, 1/16 and 1/32 size, in multiples of the width.
STAGE_WIDTHS = (2, 4, 8, 16)
_GUIDED_STAGE = 1


def _colour_only(rng: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype) -> jax.Array:
    """Initialises a kernel whose inputs beyond the three colours start without effect."""
    return XAVIER(rng, shape, dtype).at[:, :, 3:].set(0)


class BasicBlock(nn.Module):
    """Two SN convolutions 3 x 3 with batch normalisation beside a skip.

    Attributes:
      features: output channels.
      halve: whether the first convolution has stride 2, and the skip is the mean of 2 x 2 pixels,
        SN conv 1 x 1 and BN.
      axis_name: as in `layers.normalization.BatchNorm`.
      dtype: dtype of the computation and of the result.
    """

    features: int
    halve: bool = False
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """(B, H, W, C) -> (B, H, W, features), or half as high and wide with `halve`."""
        options = {"axis_name": self.axis_name, "dtype": self.dtype}
        strides = 2 if self.halve else 1
        y = spectral_conv(self.features, strides=strides, dtype=self.dtype, name="conv1")(x)
        y = nn.relu(BatchNorm(**options, name="bn1")(y, train=train))
        y = spectral_conv(self.features, dtype=self.dtype, name="conv2")(y)
        y = BatchNorm(scale_init=nn.initializers.zeros, **options, name="bn2")(y, train=train)
        if self.halve:
            skip = spectral_conv(self.features, 1, dtype=self.dtype, name="skip_conv")
            x = BatchNorm(**options, name="skip_bn")(skip(average_pool(x)), train=train)
        return nn.relu(x + y)


class ResNetEncoder(nn.Module):
    """Stem of three convolutions, four stages of residual blocks, five shortcuts.

    Attributes:
      width: channels at 1/1 and 1/2 size; the stages have 2, 4, 8 and 16 times as many.
      blocks: residual blocks of the stages at 1/4, 1/8, 1/16 and 1/32 size.
      guided_attention: whether guided contextual attention follows the stage at 1/8 size.
      axis_name: as in `layers.normalization.BatchNorm`.
      remat: whether the blocks' activations are computed again in the backward pass.
      dtype: dtype of the computation and of the result.
    """

    width: int = 32
    blocks: tuple[int, ...] = (3, 4, 4, 2)
    guided_attention: bool = False
    axis_name: str | None = None
    remat: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array, trimap: jax.Array, *, train: bool) -> list[jax.Array]:
        """Returns the features at 1/1, 1/2, ... 1/32 size, with width times 1, 1, 2, 4, 8 and 16
        channels; all but the last after a shortcut's convolutions.

        Args:
          image: (B, H, W, 3) normalised colour; H and W multiples of 32.
          trimap: (B, H, W, 3), one-hot in the order background, unknown, foreground.
          train: whether batch statistics are used and updated.
        """
        options = {"axis_name": self.axis_name, "dtype": self.dtype}
        both = jnp.concatenate([image, trimap], -1).astype(self.dtype)
        features = [self._shortcut(0, 1, both, train)]
        x = self._stem(1, self.width, 2, both, train)
        x = self._stem(2, self.width, 1, x, train)
        features.append(self._shortcut(1, 1, x, train))
        x = self._stem(3, STAGE_WIDTHS[0] * self.width, 2, x, train)
        block = nn.remat(BasicBlock, static_argnums=(2,)) if self.remat else BasicBlock
        for stage, (count, multiple) in enumerate(zip(self.blocks, STAGE_WIDTHS, strict=True)):
            for index in range(count):
                halve = stage > 0 and index == 0
                name = f"layer{stage + 1}_{index}"
                x = block(multiple * self.width, halve, **options, name=name)(x, train)
            if self.guided_attention and stage == _GUIDED_STAGE:
                guidance = GuidanceHead(self.width, **options, name="guidance_head")(
                    image, train=train
                )
                attend = GuidedAttention(**options, name="guided_attention")
                x = attend(x, guidance, trimap[:, ::8, ::8, 1:2], train=train)
            if stage < len(self.blocks) - 1:
                features.append(self._shortcut(stage + 2, multiple, x, train))
        return [*features, x]

    def _stem(
        self, index: int, features: int, strides: int, x: jax.Array, train: bool
    ) -> jax.Array:
        x = spectral_conv(
            features,
            strides=strides,
            kernel_init=_colour_only if index == 1 else XAVIER,
            dtype=self.dtype,
            name=f"conv{index}",
        )(x)
        norm = BatchNorm(axis_name=self.axis_name, dtype=self.dtype, name=f"bn{index}")
        return nn.relu(norm(x, train=train))

    def _shortcut(self, index: int, multiple: int, x: jax.Array, train: bool) -> jax.Array:
        shortcut = Shortcut(
            multiple * self.width, self.axis_name, self.dtype, name=f"shortcut_{index}"
        )
        return shortcut(x, train=train)
