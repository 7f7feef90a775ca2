"""The discriminators of SCAT: segmentation networks that tell generated pixels from valid ones.

One U-Net has two heads, a global one on the bottleneck and a per-pixel one. Three variants:

- `unet`: plain convolutions with ReLU, the default of the published code; 27,951,106 parameters;
- `resunet`: the same channels in residual blocks; 44,067,586 parameters;
- `v1`: the network of the first release, LeakyReLU and average pooling; 49,972,738 parameters.

High logits mean "valid" or "real". Names of layers are those of the published files, with "."
written as "_". With spectral normalisation on, the caller iterates `layers.spectral`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.errors import UserError
from jaxedit.host.names import check_choice
from jaxedit.layers import initializers
from jaxedit.layers.attention import SelfAttention
from jaxedit.layers.convolution import Conv
from jaxedit.layers.linear import Dense
from jaxedit.layers.resampling import average_pool, upsample_nearest

# Images must be multiples of this, for six halvings.
MULTIPLE = 64


class Discrimination(NamedTuple):
    """What a discriminator says about images.

    Attributes:
      features: e_0 ... e_5, the image and five encoder maps, of 1/1 ... 1/32 of the image's size.
      pooled: (B, 16 channels) float32, the pooled bottleneck h.
      global_logits: (B, 1) float32, d.
      pixel_logits: (B, H, W, 1) float32, S; None where the decoder was left out.
    """

    features: tuple[jax.Array, ...]
    pooled: jax.Array
    global_logits: jax.Array
    pixel_logits: jax.Array | None


class UNetDiscriminator(nn.Module):
    """The `unet` and `resunet` discriminators.

    Attributes:
      channels: width of the first block; all other widths scale with it.
      residual: residual blocks instead of single convolutions.
      attention: a self-attention block after the second encoder block.
      spectral_norm: on every layer but the last convolution.
      dtype: dtype of the computation; parameters, pooled features and logits are float32.
    """

    channels: int = 64
    residual: bool = False
    attention: bool = False
    spectral_norm: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array, decode: bool = True) -> Discrimination:
        """(B, H, W, 3) in [-1, 1], H and W multiples of 64 -> Discrimination.

        `decode=False` computes the encoder and the global head only.
        """
        _check(image)
        start = initializers.orthogonal(0.02)
        conv = functools.partial(
            Conv, kernel_init=start, spectral_norm=self.spectral_norm, dtype=self.dtype
        )
        features = [image]
        x = image.astype(self.dtype)
        for index, multiple in enumerate((1, 2, 4, 8, 8, 16)):
            width = multiple * self.channels
            if self.residual:
                x = ResidualDown(width, index > 0, conv, name=f"blocks_{index}")(x)
            else:
                x = nn.relu(conv(width, 4, strides=2, padding=1, name=f"blocks_{index}")(x))
            if index == 1 and self.attention:
                x = SelfAttention(self.spectral_norm, start, self.dtype, name="attention")(x)
            features.append(x)
        bottleneck = features.pop()
        pooled = nn.relu(bottleneck).astype(jnp.float32).sum((1, 2))
        global_logits = Dense(
            1, kernel_init=start, spectral_norm=self.spectral_norm, name="linear_middle"
        )(pooled)
        if not decode:
            return Discrimination(tuple(features), pooled, global_logits, None)

        x = bottleneck
        for index, multiple in enumerate((8, 8, 4, 2, 1, 1), start=6):
            if index > 6:
                x = jnp.concatenate([x, features[12 - index]], axis=-1)
            width = multiple * self.channels
            if self.residual:
                x = ResidualUp(width, conv, name=f"blocks_{index}")(x)
            else:
                x = upsample_nearest(x)
                x = nn.relu(conv(width, 3, padding=1, name=f"blocks_{index}")(x))
        pixel_logits = conv(1, 1, spectral_norm=False, name="blocks_12")(x).astype(jnp.float32)
        return Discrimination(tuple(features), pooled, global_logits, pixel_logits)


class ResidualDown(nn.Module):
    """Halves the map: two 3 x 3 convolutions beside a 1 x 1 shortcut, no closing activation.

    Attributes:
      features: output channels.
      preactivate: ReLU ahead of the main path; where not, the shortcut pools before it convolves.
      conv: makes the convolutions: `Conv` with normalisation, initialiser and dtype set.
    """

    features: int
    preactivate: bool
    conv: Callable[..., Conv]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, H / 2, W / 2, features)."""
        h = nn.relu(x) if self.preactivate else x
        h = nn.relu(self.conv(self.features, 3, padding=1, name="conv1")(h))
        h = self.conv(self.features, 3, padding=1, name="conv2")(h)
        # Published order is convolve, then pool, in all but the first block. The two commute:
        # a 1 x 1 convolution of means is the mean of 1 x 1 convolutions, at a quarter of the cost.
        shortcut = self.conv(self.features, 1, name="conv_sc")(average_pool(x))
        return average_pool(h) + shortcut


class ResidualUp(nn.Module):
    """Doubles the map: two 3 x 3 convolutions beside a 1 x 1 shortcut of the un-activated input.

    Attributes:
      features: output channels.
      conv: makes the convolutions: `Conv` with normalisation, initialiser and dtype set.
    """

    features: int
    conv: Callable[..., Conv]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, 2 H, 2 W, features)."""
        h = upsample_nearest(nn.relu(x))
        h = nn.relu(self.conv(self.features, 3, padding=1, name="conv1")(h))
        h = self.conv(self.features, 3, padding=1, name="conv2")(h)
        # Published order is upsample, then convolve; a 1 x 1 convolution does not mind.
        return h + upsample_nearest(self.conv(self.features, 1, name="conv_sc")(x))


class FirstReleaseDiscriminator(nn.Module):
    """The `v1` discriminator. Published for 256 x 256; other sizes pool the whole bottleneck.

    Attributes:
      channels, spectral_norm, dtype: as in `UNetDiscriminator`.
    """

    channels: int = 64
    spectral_norm: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array, decode: bool = True) -> Discrimination:
        """As `UNetDiscriminator.__call__`."""
        _check(image)
        conv = functools.partial(Conv, spectral_norm=self.spectral_norm, dtype=self.dtype)
        names = ("conv1", "conv2", "conv3", "conv4", "conv5", "conv_bottleneck")
        features = [image]
        x = image.astype(self.dtype)
        for name, multiple in zip(names, (1, 2, 4, 8, 16, 16), strict=True):
            width = multiple * self.channels
            x = conv(width, 4, strides=2, padding=1, name=name)(x)
            x = nn.leaky_relu(x, 0.2)
            features.append(x)
        bottleneck = features.pop()
        pooled = bottleneck.astype(jnp.float32).mean((1, 2))
        global_logits = Dense(1, spectral_norm=self.spectral_norm, name="fc")(pooled)
        if not decode:
            return Discrimination(tuple(features), pooled, global_logits, None)

        names = ("upconv_bottleneck", "upconv5", "upconv4", "upconv3", "upconv2", "upconv1")
        x = bottleneck
        for index, (name, multiple) in enumerate(zip(names, (16, 8, 4, 2, 1, 1), strict=True)):
            if index > 0:
                x = jnp.concatenate([x, features[6 - index]], axis=-1)
            width = multiple * self.channels
            x = nn.relu(conv(width, 3, padding=1, name=name)(upsample_nearest(x)))
        last = conv(1, 3, padding=1, spectral_norm=False, name="finalconv")
        return Discrimination(
            tuple(features), pooled, global_logits, last(x).astype(jnp.float32)
        )


KINDS = ("unet", "resunet", "v1")


def create(
    kind: str,
    *,
    channels: int = 64,
    attention: bool = False,
    spectral_norm: bool = True,
    dtype: jnp.dtype = jnp.float32,
) -> nn.Module:
    """Returns the discriminator `kind`: "unet", "resunet" or "v1".

    Raises:
      UserError: there is no such kind, or it has no attention.
    """
    check_choice("The discriminator", kind, KINDS)
    if kind == "v1":
        if attention:
            raise UserError("The v1 discriminator has no attention: use unet or resunet with it.")
        return FirstReleaseDiscriminator(channels, spectral_norm, dtype)
    return UNetDiscriminator(channels, kind == "resunet", attention, spectral_norm, dtype)


def _check(image: jax.Array) -> None:
    height, width = image.shape[1:3]
    if height % MULTIPLE or width % MULTIPLE:
        raise UserError(
            f"The discriminators take images whose height and width are multiples of {MULTIPLE} "
            f"pixels, not {height} x {width}: choose another training image size."
        )
