"""The decoder that DPT shares with MatteFormer: residual blocks, each doubling once, three heads.

It is MG-Matting's: spectrally normalised (SN) convolutions, transposed ones for doubling, and an
alpha predicted at 1/8, 1/4 and 1/1 size.
"""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.layers import initializers
from jaxedit.layers.convolution import Conv
from jaxedit.layers.convolution.transposed import ConvTranspose
from jaxedit.layers.normalization import BatchNorm
from jaxedit.layers.resampling import resize_bilinear, upsample_nearest
from jaxedit.methods.matting.spectral_conv import XAVIER, spectral_conv

# Output channels of the four layers, in multiples of the width.
LAYER_WIDTHS = (8, 4, 2, 1)


def _activate(x: jax.Array) -> jax.Array:
    return nn.leaky_relu(x, 0.2)


class ResidualBlock(nn.Module):
    """Two SN convolutions with batch normalisation beside a skip; doubles the map on demand.

    Attributes:
      features: output channels.
      double: whether the first convolution is a transposed one that doubles height and width, and
        the skip is SN conv 1 x 1 and BN of the map repeated twice.
      axis_name: as in `layers.normalization.BatchNorm`.
      dtype: dtype of the computation and of the result.
    """

    features: int
    double: bool = False
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """(B, H, W, C) -> (B, H, W, features), or twice as high and wide with `double`."""
        inputs = x.shape[-1]
        options = {"axis_name": self.axis_name, "dtype": self.dtype}
        if self.double:
            y = ConvTranspose(inputs, spectral_norm=True, dtype=self.dtype, name="conv1")(x)
        else:
            y = spectral_conv(inputs, dtype=self.dtype, name="conv1")(x)
        y = _activate(BatchNorm(**options, name="bn1")(y, train=train))
        y = spectral_conv(self.features, dtype=self.dtype, name="conv2")(y)
        y = BatchNorm(scale_init=nn.initializers.zeros, **options, name="bn2")(y, train=train)
        if self.double:
            # A 1 x 1 convolution before repeating equals one after it, at a quarter of the work.
            skip = spectral_conv(self.features, 1, dtype=self.dtype, name="skip_conv")
            x = BatchNorm(**options, name="skip_bn")(upsample_nearest(skip(x)), train=train)
        return _activate(x + y)


class Head(nn.Module):
    """Convolution, BN, LeakyReLU, convolution to one logit; the convolutions are plain.

    Attributes:
      features: channels in between.
      axis_name, dtype: as in `ResidualBlock`.
    """

    features: int
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """(B, H, W, C) -> (B, H, W, 1) float32."""
        options = {"padding": 1, "kernel_init": XAVIER, "dtype": self.dtype}
        x = Conv(self.features, use_bias=False, name="conv1", **options)(x)
        norm = BatchNorm(axis_name=self.axis_name, dtype=self.dtype, name="bn")
        x = _activate(norm(x, train=train))
        bias_init = initializers.torch_bias(9 * self.features)
        return Conv(1, bias_init=bias_init, name="conv2", **options)(x).astype(jnp.float32)


class Decoder(nn.Module):
    """Six features to three alphas.

    Attributes:
      width: channels at full size; the layers have 8, 4, 2 and 1 times as many.
      blocks: residual blocks of each layer; the first of each doubles the map.
      axis_name: as in `layers.normalization.BatchNorm`.
      remat: whether the blocks' activations are computed again in the backward pass.
      dtype: dtype of the computation.
    """

    width: int = 32
    blocks: tuple[int, ...] = (2, 3, 3, 2)
    axis_name: str | None = None
    remat: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, features: Sequence[jax.Array], *, train: bool) -> dict[str, jax.Array]:
        """Returns `os1`, `os4` and `os8`, alphas (B, H, W, 1) float32 in [0, 1].

        Args:
          features: six maps at 1/1, 1/2, ... 1/32 size, as an encoder returns them.
          train: whether batch statistics are used and updated.
        """
        size = features[0].shape[1:3]
        block = nn.remat(ResidualBlock, static_argnums=(2,)) if self.remat else ResidualBlock
        options = {"axis_name": self.axis_name, "dtype": self.dtype}
        x = features[5]
        logits = {}
        for layer, (multiple, count) in enumerate(zip(LAYER_WIDTHS, self.blocks, strict=True), 1):
            for index in range(count):
                name = f"layer{layer}_{index}"
                x = block(multiple * self.width, index == 0, **options, name=name)(x, train)
            x = x + features[5 - layer]
            if layer in (2, 3):
                scale = {2: 8, 3: 4}[layer]
                logits[f"os{scale}"] = Head(self.width, **options, name=f"head_os{scale}")(
                    x, train=train
                )
        x = ConvTranspose(self.width, spectral_norm=True, dtype=self.dtype, name="conv1")(x)
        x = BatchNorm(**options, name="bn1")(x, train=train)
        x = _activate(x) + features[0]
        logits["os1"] = Head(self.width, **options, name="head_os1")(x, train=train)
        return {name: _alpha(logits[name], size) for name in ("os1", "os4", "os8")}


def _alpha(logits: jax.Array, size: tuple[int, int]) -> jax.Array:
    if logits.shape[1:3] != size:
        logits = resize_bilinear(logits, size, align_corners=False)
    return (jnp.tanh(logits) + 1) / 2
