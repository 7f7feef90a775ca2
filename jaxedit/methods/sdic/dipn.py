"""DIPN, the discrepancy information prediction network (SDIC, section 3; class `DIP`).

Two pictures, the original and its first reconstruction, go down separate branches and up a shared
one. Their features, 24 channels each, are read as the 48 layers of a volume, which a 3-D hourglass
works on; attention is guided by the original's features alone. The head makes three channels of it.
Module names are those of the published files.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.errors import UserError
from jaxedit.layers import initializers
from jaxedit.layers.convolution import Conv
from jaxedit.layers.convolution.folded import Conv3d, ConvTranspose3d
from jaxedit.layers.convolution.transposed import ConvTranspose
from jaxedit.layers.normalization import BatchNorm
from jaxedit.methods.sdic.e4e import torch_conv
from jaxedit.models import irse

MULTIPLE = 8  # of both sides: the hourglasses halve three times
GUIDES = ("original", "both", "none")
# Channels at 1/1, 1/2, 1/4 and 1/8 size on the way down, with the convolutions of each step.
_DOWN = (((16, 1),), ((24, 2), (32, 1)), ((96, 2),), ((160, 2),))
UP = (("deconv8_4", 96), ("deconv4_2", 32), ("deconv2_1", 16))
_VOLUME = (8, 16, 32, 48)  # channels of the volume at its four sizes


class Basic(nn.Module):
    """A convolution without bias, BN and leaky ReLU: the published `BasicConv`, 2-D or 3-D.

    Attributes:
      features: output channels.
      size: side of the kernel; for a volume, of all three; or its three sides.
      strides: of the convolution.
      up: a transposed convolution of 4 that doubles every axis, in place of it.
      axis_name: as in `layers.normalization.BatchNorm`.
    """

    features: int
    size: int | tuple[int, int, int] = 3
    strides: int = 1
    up: bool = False
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """(B, [D,] H, W, C) -> (B, [D',] H', W', features)."""
        x = self._convolution(x.ndim == 5)(x)
        return nn.leaky_relu(BatchNorm(axis_name=self.axis_name, name="bn")(x, train=train))

    def _convolution(self, volume: bool) -> nn.Module:
        if self.up:
            return (ConvTranspose3d if volume else ConvTranspose)(self.features, name="conv")
        if not volume:
            return irse.conv(self.features, self.size, self.strides, name="conv")
        size = (self.size,) * 3 if isinstance(self.size, int) else self.size
        padding = (size[0] // 2, size[1] // 2)
        return Conv3d(self.features, size, self.strides, padding, name="conv")


class Down(nn.Module):
    """One picture's features at 1/1, 1/2, 1/4 and 1/8 size: 16, 32, 96 and 160 channels."""

    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> list[jax.Array]:
        features, number = [], 0
        for steps in _DOWN:
            for channels, strides in steps:
                number += 1
                basic = Basic(channels, 3, strides, axis_name=self.axis_name, name=f"fe{number}")
                x = basic(x, train)
            features.append(x)
        return features


class Up(nn.Module):
    """From the features of `Down` to those at the same sizes: 32, 64, 192 and 160 channels."""

    axis_name: str | None = None

    @nn.compact
    def __call__(self, features: list[jax.Array], train: bool) -> list[jax.Array]:
        basic = lambda channels, name, **more: Basic(
            channels, axis_name=self.axis_name, name=name, **more
        )
        x = features[-1]
        found = [x]
        for (name, channels), skip in zip(UP, features[-2::-1], strict=True):
            x = basic(channels, f"{name}_conv1", up=True)(x, train)
            x = jnp.concatenate([x, skip], -1)
            x = basic(x.shape[-1], f"{name}_conv2")(x, train)
            found.append(x)
        found[-1] = basic(x.shape[-1], "conv4")(x, train)
        return found[::-1]


class Fusion(nn.Module):
    """Attention of a volume by a picture's features (`CGF`): what they say where, added to it."""

    axis_name: str | None = None

    @nn.compact
    def __call__(self, volume: jax.Array, features: jax.Array, train: bool) -> jax.Array:
        """(B, D, H, W, V) and (B, H, W, C) -> (B, D, H, W, V)."""
        channels = volume.shape[-1]
        flat = lambda name: Basic(channels, (1, 5, 5), axis_name=self.axis_name, name=name)
        guide = Basic(features.shape[-1] // 2, 1, axis_name=self.axis_name, name="semantic_0")
        guide = torch_conv(guide(features, train), channels, 1, name="semantic_1")[:, None]
        gate = flat("att_0")(guide + volume, train)
        gate = Conv3d(channels, (1, 1, 1), 1, (0, 0), name="att_1")(gate)
        return flat("agg")(nn.sigmoid(gate) * guide + volume, train)


class Hourglass(nn.Module):
    """The 3-D hourglass: (B, D, H, W, 8) -> (B, D, H, W, 1), D, H and W multiples of 8.

    Attributes:
      attention: whether `Fusion` guides it.
      axis_name: as in `layers.normalization.BatchNorm`.
      remat: whether every step's activations are computed again in the backward pass.
    """

    attention: bool = True
    axis_name: str | None = None
    remat: bool = False

    @nn.compact
    def __call__(
        self, volume: jax.Array, guides: list[jax.Array], train: bool
    ) -> jax.Array:
        """`guides` are the features (B, h, w, C) at 1/2, 1/4 and 1/8 size."""
        wrap = lambda module, at: nn.remat(module, static_argnums=(at,)) if self.remat else module
        make, fuse = wrap(Basic, 2), wrap(Fusion, 3)
        basic = lambda name, x, channels, *more, **options: make(
            channels, *more, axis_name=self.axis_name, name=name, **options
        )(x, train)

        def fusion(name, x, guide):
            return fuse(self.axis_name, name=name)(x, guide, train) if self.attention else x

        half, quarter, _ = _VOLUME[1:]
        maps, x = [], volume
        for number, channels in enumerate(_VOLUME[1:], start=1):
            x = basic(f"conv{number}_0", x, channels, 3, 2)
            x = basic(f"conv{number}_1", x, channels)
            maps.append(x)
        x = fusion("CGF_32", x, guides[2])
        self.sow("intermediates", "attention_eighth", x)
        for name, up, skip, channels, fused, guide in (
            ("agg_0", "conv3_up", maps[1], quarter, "CGF_16", guides[1]),
            ("agg_1", "conv2_up", maps[0], half, "CGF_8", guides[0]),
        ):
            x = basic(up, x, channels, up=True)
            x = jnp.concatenate([x, skip], -1)
            for index, size in enumerate((1, 3, 3)):
                x = basic(f"{name}_{index}", x, channels, size)
            x = fusion(fused, x, guide)
        return ConvTranspose3d(1, name="conv1_up_conv")(x)


class DIPN(nn.Module):
    """Predicts what a reconstruction lacks, as a map of three channels.

    Attributes:
      attention: what the attention sees: the features of the "original" (as published), those of
        "both" pictures, added up, or "none": there is no attention.
      shared_down: both pictures go down the branch of the original.
      axis_name: as in `layers.normalization.BatchNorm`.
      remat: whether activations of the volume are computed again in the backward pass: at 256
        pixels each holds 25 million floats a picture.
    """

    attention: str = "original"
    shared_down: bool = False
    axis_name: str | None = None
    remat: bool = False

    @nn.compact
    def __call__(
        self, original: jax.Array, initial: jax.Array, *, train: bool = False
    ) -> jax.Array:
        """Returns the discrepancy (B, H, W, 3), not bounded.

        Args:
          original: (B, H, W, 3) in [-1, 1]; H and W multiples of 8.
          initial: its reconstruction, alike.
          train: whether batch statistics are used and updated.

        Raises:
          UserError: a side is no multiple of 8.
        """
        height, width = original.shape[1:3]
        if height % MULTIPLE or width % MULTIPLE:
            raise UserError(
                f"Pictures of {width} x {height} pixels: both sides must be multiples of "
                f"{MULTIPLE}, as the network halves them three times."
            )
        basic = lambda channels, size, name: Basic(
            channels, size, axis_name=self.axis_name, name=name
        )
        first = Down(self.axis_name, name="feature1")
        second = first if self.shared_down else Down(self.axis_name, name="feature2")
        up = Up(self.axis_name, name="feature_up")
        left = up(first(original, train), train)
        right = up(second(initial, train), train)
        for name, features in zip(("full", "half", "quarter", "eighth"), left, strict=True):
            self.sow("intermediates", f"left_{name}", features)
        self.sow("intermediates", "right_full", right[0])

        shared = basic(48, 3, "conv")
        description = Conv(
            24, 1, kernel_init=initializers.torch_kernel,
            bias_init=initializers.torch_bias(48), name="desc",
        )
        both = [description(shared(features[0], train)) for features in (left, right)]
        # The channels are the volume's depth, those of the original first; there is one channel.
        volume = jnp.concatenate(both, -1).transpose(0, 3, 1, 2)[..., None]
        stem = nn.remat(Basic, static_argnums=(2,)) if self.remat else Basic
        volume = stem(_VOLUME[0], axis_name=self.axis_name, name="corr_stem")(volume, train)
        self.sow("intermediates", "volume", volume)
        guides = left[1:]
        if self.attention == "both":
            guides = [a + b for a, b in zip(left[1:], right[1:], strict=True)]
        hourglass = Hourglass(
            self.attention != "none", self.axis_name, self.remat, name="hourglass_fusion"
        )
        x = hourglass(volume, guides, train)[..., 0].transpose(0, 2, 3, 1)
        self.sow("intermediates", "hourglass", x)

        x = basic(16, 3, "rgb1_0")(x, train)
        x = irse.conv(16, 3, name="rgb1_1")(x)
        x = nn.relu(BatchNorm(axis_name=self.axis_name, name="rgb1_2")(x, train=train))
        for index in range(3):
            x = irse.Block(3, 1, False, self.axis_name, name=f"rgb_{index}")(x, train)
        return x
