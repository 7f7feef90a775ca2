"""Transposed convolution, as `torch.nn.functional.conv_transpose2d`.

The kernel is stored as (kernel height, kernel width, O, I), O being the channels of the result: it
is the HWIO kernel of the convolution from O to I channels whose input gradient this layer computes.
So PyTorch's (I, O, h, w) becomes ours by the same order of axes as for a convolution, nothing is to
be flipped when weights are loaded, and spectral normalisation, whose matrix has the input channels
as its rows, finds them on the last axis as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxedit.layers import initializers, spectral


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
    if (*kernel.shape[:2], stride, padding) == (4, 4, 2, 1):
        return _doubling(x, kernel)
    return _dilated(x, kernel, stride, padding)


def _dilated(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
    pads = [(size - 1 - padding, size - 1 - padding) for size in kernel.shape[:2]]
    return lax.conv_general_dilated(
        x,
        jnp.flip(kernel, (0, 1)),
        window_strides=(1, 1),
        padding=pads,
        lhs_dilation=(stride, stride),
        dimension_numbers=("NHWC", "HWOI", "NHWC"),
    )


@jax.custom_vjp
def _doubling(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The 4 x 4 kernel with stride 2 and padding 1. On CPU, XLA's own form is 100 times slower."""
    return lax.platform_dependent(
        x, kernel, cpu=_polyphase, default=lambda x, kernel: _dilated(x, kernel, 2, 1)
    )


def _polyphase(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Every second row and column of the result is a plain 2 x 2 convolution."""
    batch, height, width, _ = x.shape
    # Row 2m is x[m-1] k[3] + x[m] k[1]; row 2m + 1 is x[m] k[2] + x[m+1] k[0].
    rows = []
    for p in (0, 1):
        columns = []
        for q in (0, 1):
            phase = lax.conv_general_dilated(
                x,
                kernel[3 - p :: -2, 3 - q :: -2],
                window_strides=(1, 1),
                padding=((1, 1), (1, 1)),
                dimension_numbers=("NHWC", "HWOI", "NHWC"),
            )
            columns.append(phase[:, p : p + height, q : q + width])
        rows.append(jnp.stack(columns, 3))
    return jnp.stack(rows, 2).reshape(batch, 2 * height, 2 * width, -1)


def _doubling_forward(x, kernel):
    return _doubling(x, kernel), (x, kernel)


def _doubling_backward(residuals, cotangent):
    x, kernel = residuals
    of_x = lax.conv_general_dilated(
        cotangent,
        kernel,
        window_strides=(2, 2),
        padding=((1, 1), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    of_kernel = lax.platform_dependent(x, cotangent, cpu=_by_dots, default=_by_convolution)
    return of_x, of_kernel.astype(kernel.dtype)


def _by_convolution(x: jax.Array, cotangent: jax.Array) -> jax.Array:
    """The gradient of the kernel as XLA derives it."""
    shape = (4, 4, cotangent.shape[-1], x.shape[-1])
    kernel = jnp.zeros(shape, x.dtype)
    _, gradient = jax.vjp(lambda kernel: _dilated(x, kernel, 2, 1), kernel)
    return gradient(cotangent)[0]


def _by_dots(x: jax.Array, cotangent: jax.Array) -> jax.Array:
    """The gradient of the kernel as one matrix product per image: (16 O, pixels) (pixels, I)."""
    _, height, width, inputs = x.shape
    outputs = cotangent.shape[-1]
    padded = jnp.pad(cotangent, ((0, 0), (1, 1), (1, 1), (0, 0)))

    def add(total, image):
        x, cotangent = image
        taps = [
            cotangent[i : i + 2 * height : 2, j : j + 2 * width : 2].reshape(-1, outputs)
            for i in range(4)
            for j in range(4)
        ]
        product = jnp.dot(x.reshape(-1, inputs).T, jnp.concatenate(taps, 1))
        return total + product, None

    start = jnp.zeros((inputs, 16 * outputs), x.dtype)
    total, _ = lax.scan(add, start, (x, padded))
    return total.T.reshape(4, 4, outputs, inputs)


_doubling.defvjp(_doubling_forward, _doubling_backward)


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
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        if self.spectral_norm:
            kernel = spectral.normalise(self, kernel)
        return conv_transpose2d(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            stride=self.stride,
            padding=self.padding,
        )
