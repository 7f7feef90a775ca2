"""Transposed convolution, as `torch.nn.functional.conv_transpose2d`.

The kernel is stored as (kernel height, kernel width, O, I), O being the channels of the result: it
is the HWIO kernel of the convolution from O to I channels whose input gradient this layer computes.
So PyTorch's (I, O, h, w) becomes ours by the same order of axes as for a convolution, nothing is to
be flipped when weights are loaded, and spectral normalisation, whose matrix has the input channels
as its rows, finds them on the last axis as everywhere. The formulations of that convolution
(`formulation`, on CPU), with gradients of any order, are this layer's too; with a stride, it
always has one.
"""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.layers import initializers, spectral
from jaxedit.layers.convolution import formulation, trilinear
from jaxedit.layers.convolution.strided import Strided
from jaxedit.layers.convolution.trilinear import Geometry


def conv_transpose2d(
    x: jax.Array, kernel: jax.Array, *, stride: int = 2, padding: int = 1
) -> jax.Array:
    """Returns the transposed convolution of `x` with `kernel`, which is not flipped before.

    Args:
      x: (B, H, W, I).
      kernel: (k, k, O, I), of the dtype of `x`.
      stride: pixels of the result per pixel of `x`.
      padding: rows and columns cut from every side of the full result.

    Returns:
      (B, H', W', O) with H' = (H - 1) stride - 2 padding + k.
    """
    batch, *sizes, _ = x.shape
    size = [
        (pixels - 1) * stride - 2 * padding + taps
        for pixels, taps in zip(sizes, kernel.shape[:2], strict=True)
    ]
    geometry = Geometry((batch, *size, kernel.shape[2]), kernel.shape, stride, padding)
    chosen = formulation.choose(geometry, x.dtype)
    if chosen is None and 1 < stride <= min(kernel.shape[:2]):
        # In every mode: XLA's own gradients of it are more than 20 times slower on CPU.
        chosen = Strided(geometry)
    return trilinear.input_gradient(chosen or trilinear.Plain(geometry), x, kernel)


class ConvTranspose(nn.Module):
    """A transposed convolution without bias: parameter `kernel` (k, k, features, I), float32.

    Attributes:
      features: output channels.
      kernel_size: side of the square kernel.
      stride, padding: as in `conv_transpose2d`.
      spectral_norm: as in `layers.convolution.Conv`; the matrix is (I, features * k * k).
      dtype: dtype of the computation and of the result.
    """

    features: int
    kernel_size: int = 4
    stride: int = 2
    padding: int = 1
    spectral_norm: bool = False
    kernel_init: Callable = initializers.torch_kernel
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, I) -> (B, H', W', features)."""
        shape = (self.kernel_size, self.kernel_size, self.features, x.shape[-1])
        kernel = initializers.parameter(self, "kernel", self.kernel_init, shape)
        if self.spectral_norm:
            kernel = spectral.normalise(self, kernel)
        return conv_transpose2d(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            stride=self.stride,
            padding=self.padding,
        )
