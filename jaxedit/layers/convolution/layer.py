"""Convolution: the one function that every network calls, and its linen module.

Padding is explicit and equals PyTorch's `padding` argument: the same count of rows on every side.
Kernels are HWIO. `formulation` decides how a convolution is computed on CPU; GPU and TPU
always have XLA's own.
"""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.layers import initializers, spectral
from jaxedit.layers.convolution import formulation, trilinear
from jaxedit.layers.convolution.trilinear import Geometry
from jaxedit.layers.padding import reflect_pad


def conv2d(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    strides: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> jax.Array:
    """Returns the cross-correlation of `x` with `kernel`, as `torch.nn.functional.conv2d` has it.

    Args:
      x: (B, H, W, I).
      kernel: (kernel height, kernel width, I, O), of the dtype of `x`.
      bias: (O,) or None.
      strides: step in pixels along both axes.
      padding: rows and columns of zeros on every side.
      dilation: distance in pixels between kernel taps.

    Under the formulation `auto` it is differentiable in reverse mode only, to any order.

    Returns:
      (B, H', W', O) with H' = (H + 2 padding - dilation (kernel height - 1) - 1) // strides + 1.
    """
    geometry = Geometry(x.shape, kernel.shape, strides, padding, dilation)
    chosen = formulation.choose(geometry, x.dtype)
    if chosen is None:
        y = trilinear.Plain(geometry).forward(x, kernel)
    else:
        y = trilinear.forward(chosen, x, kernel)
    return y if bias is None else y + bias


class Conv(nn.Module):
    """A 2-D convolution layer: parameters `kernel` (HWIO) and `bias`, always float32.

    Attributes:
      features: output channels.
      kernel_size: side of the square kernel.
      strides, padding, dilation: as in `conv2d`.
      padding_mode: "zeros" or "reflect" (mirrored without repeating the rim).
      use_bias: whether there is a bias.
      spectral_norm: whether the kernel is divided by its largest singular value, which is
        estimated by the vectors in the variable collection `spectral` (see `layers.spectral`).
      dtype: dtype of the computation and of the result.
    """

    features: int
    kernel_size: int = 3
    strides: int = 1
    padding: int = 0
    padding_mode: str = "zeros"
    dilation: int = 1
    use_bias: bool = True
    spectral_norm: bool = False
    kernel_init: Callable = nn.initializers.normal(0.02)
    bias_init: Callable = nn.initializers.zeros
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, I) -> (B, H', W', features)."""
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = initializers.parameter(self, "kernel", self.kernel_init, shape)
        if self.spectral_norm:
            kernel = spectral.normalise(self, kernel)
        bias = None
        if self.use_bias:
            bias = initializers.parameter(self, "bias", self.bias_init, (self.features,))
            bias = bias.astype(self.dtype)
        x = x.astype(self.dtype)
        padding = self.padding
        if self.padding_mode == "reflect":
            x = reflect_pad(x, padding)
            padding = 0
        elif self.padding_mode != "zeros":
            raise ValueError(f"padding_mode is {self.padding_mode!r}, not 'zeros' or 'reflect'")
        return conv2d(
            x,
            kernel.astype(self.dtype),
            bias,
            strides=self.strides,
            padding=padding,
            dilation=self.dilation,
        )
