"""Layers that both networks of StyleGAN2 are made of.

Equalised learning rate (Karras et al., 2018, section 4.1): parameters are stored with unit
variance and scaled by 1 / sqrt(inputs) at run time, so that Adam moves all layers at the same
relative speed.
"""

from __future__ import annotations

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxedit.errors import UserError
from jaxedit.layers import initializers
from jaxedit.layers.convolution import conv2d
from jaxedit.layers.convolution.modulated import modulated_conv2d
from jaxedit.layers.convolution.transposed import conv_transpose2d
from jaxedit.layers.separable_blur import separable_blur

_unit = nn.initializers.normal(1.0)


def leaky_relu(x: jax.Array) -> jax.Array:
    """Leaky ReLU of slope 0.2 times sqrt(2), which keeps the variance."""
    return nn.leaky_relu(x, 0.2) * math.sqrt(2)


def channels(resolution: int, multiplier: float, most: int) -> int:
    """Returns the width of the maps of a resolution.

    At multiplier 2 and at most 512 it is the published table: 512 up to 64 pixels, then half as
    many at each doubling, 32 at 1024.
    """
    return max(1, min(most, int(16384 * multiplier) // resolution))


def check_size(size: int, what: str) -> None:
    """Raises UserError unless a network of `size` pixels can be built."""
    if size < 8 or size & (size - 1):
        raise UserError(f"{what} of {size} pixels: the size must be a power of two from 8 on.")


class EqualLinear(nn.Module):
    """A dense layer over the last axis with equalised learning rate.

    Attributes:
      features: output size.
      bias_start: initial value of the bias.
      rate: factor of the learning rate, of kernel and bias.
      activate: whether `leaky_relu` follows.
    """

    features: int
    bias_start: float = 0.0
    rate: float = 1.0
    activate: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., in) -> (..., features)."""
        start = initializers.normal(1 / self.rate)
        kernel = initializers.parameter(self, "kernel", start, (x.shape[-1], self.features))
        bias = initializers.parameter(
            self, "bias", initializers.constant(self.bias_start), (self.features,)
        )
        scale = self.rate / math.sqrt(x.shape[-1])
        y = jnp.dot(x, (kernel * scale).astype(x.dtype)) + (bias * self.rate).astype(x.dtype)
        return leaky_relu(y) if self.activate else y


class EqualConv(nn.Module):
    """A convolution with equalised learning rate, after a blur where it halves the size.

    Attributes:
      features: output channels.
      kernel_size: side of the kernel, odd.
      halve: blur with [1, 3, 3, 1] and step by two.
      use_bias: whether there is a bias.
      activate: whether `leaky_relu` follows.
    """

    features: int
    kernel_size: int = 3
    halve: bool = False
    use_bias: bool = True
    activate: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, I) -> (B, H, W, features), or half of it along both axes."""
        size = self.kernel_size
        shape = (size, size, x.shape[-1], self.features)
        kernel = initializers.parameter(self, "kernel", _unit, shape)
        kernel = (kernel / math.sqrt(size * size * x.shape[-1])).astype(x.dtype)
        if self.halve:
            # The kernel takes size - 1 pixels and the blur three: the result has half the size.
            x = separable_blur(x, padding=((size + 2) // 2, (size + 1) // 2))
            y = conv2d(x, kernel, strides=2)
        else:
            y = conv2d(x, kernel, padding=size // 2)
        if self.use_bias:
            bias = initializers.parameter(self, "bias", nn.initializers.zeros, (self.features,))
            y = y + bias.astype(y.dtype)
        return leaky_relu(y) if self.activate else y


class ModulatedConv(nn.Module):
    """A convolution whose kernel every sample's code scales (equations 1 to 3).

    Attributes:
      features: output channels.
      kernel_size: side of the kernel.
      demodulate: whether outputs are normalised by the kernel's norm.
      double: transposed convolution by two, then the blur.
    """

    features: int
    kernel_size: int = 3
    demodulate: bool = True
    double: bool = False

    @nn.compact
    def __call__(
        self, x: jax.Array, code: jax.Array, style_offset: jax.Array | None = None
    ) -> jax.Array:
        """(B, H, W, I), code (B, W), offset of the style (B, I) -> (B, H', W', features)."""
        size = self.kernel_size
        shape = (size, size, x.shape[-1], self.features)
        kernel = initializers.parameter(self, "kernel", _unit, shape)
        kernel = (kernel / math.sqrt(size * size * x.shape[-1])).astype(x.dtype)
        style = EqualLinear(x.shape[-1], bias_start=1.0, name="modulation")(code)
        self.sow("intermediates", "style", style)
        if style_offset is not None:
            style = style + style_offset
        convolve = _doubling if self.double else None
        return modulated_conv2d(
            x, kernel, style, demodulate=self.demodulate, convolve=convolve
        )


def _doubling(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Transposed convolution to 2 H + 1, blurred to 2 H."""
    y = conv_transpose2d(x, kernel.transpose(0, 1, 3, 2), stride=2, padding=0)
    return separable_blur(y, padding=(1, 1), gain=4.0)


def double_picture(x: jax.Array) -> jax.Array:
    """Doubles (B, H, W, C) by zeros between pixels and the blur, as RGB outputs are added up."""
    zero = jnp.zeros((), x.dtype)
    x = lax.pad(x, zero, ((0, 0, 0), (0, 1, 1), (0, 1, 1), (0, 0, 0)))
    return separable_blur(x, padding=(2, 1), gain=4.0)
