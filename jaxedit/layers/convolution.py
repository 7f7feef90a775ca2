"""Convolution: the one function that every network calls, and its linen module.

Padding is explicit and equals PyTorch's `padding` argument: the same count of rows on every side.
Kernels are HWIO. Whoever finds a faster formulation changes `conv2d`, and every network has it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxedit.layers import spectral
from jaxedit.layers.padding import reflect_pad

# On CPU an unpadded convolution runs on a kernel of its own that is several times slower than the
# padded one from about 32 pixels on. Padding and cropping win up to this many times the arithmetic.
_CPU_PADDING_LIMIT = 2.5


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

    Returns:
      (B, H', W', O) with H' = (H + 2 padding - dilation (kernel height - 1) - 1) // strides + 1.
    """
    if strides == 1 and padding == 0 and _pays_on_cpu(x.shape, kernel.shape, dilation):
        y = _unpadded_conv2d(x, kernel, dilation)
    else:
        y = _plain_conv2d(x, kernel, strides, padding, dilation)
    return y if bias is None else y + bias


def _plain_conv2d(
    x: jax.Array, kernel: jax.Array, strides: int, padding: int, dilation: int
) -> jax.Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(strides, strides),
        padding=((padding, padding), (padding, padding)),
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _pays_on_cpu(shape: tuple[int, ...], kernel_shape: tuple[int, ...], dilation: int) -> bool:
    """Whether padding an unpadded convolution and cropping the result costs little enough."""
    rows, columns = (dilation * (size - 1) for size in kernel_shape[:2])
    if rows == 0 and columns == 0:
        return False
    kept = (shape[1] - rows) * (shape[2] - columns)
    return (shape[1] + 1) * (shape[2] + 1) <= _CPU_PADDING_LIMIT * kept


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _unpadded_conv2d(x: jax.Array, kernel: jax.Array, dilation: int) -> jax.Array:
    """A convolution of stride 1 without padding; the formulation depends on the backend.

    The gradient is that of the plain form everywhere: it is fast on CPU, whereas the weight
    gradient of the padded form is many times slower.
    """
    return lax.platform_dependent(
        x,
        kernel,
        cpu=lambda x, kernel: _padded_and_cropped_conv2d(x, kernel, dilation),
        default=lambda x, kernel: _plain_conv2d(x, kernel, 1, 0, dilation),
    )


def _padded_and_cropped_conv2d(x: jax.Array, kernel: jax.Array, dilation: int) -> jax.Array:
    rows, columns = (dilation * (size - 1) for size in kernel.shape[:2])
    y = lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(1, 1),
        padding=((0, rows + 1), (0, columns + 1)),
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return y[:, : x.shape[1] - rows, : x.shape[2] - columns]


def _unpadded_forward(x, kernel, dilation):
    return _unpadded_conv2d(x, kernel, dilation), (x, kernel)


def _unpadded_backward(dilation, residuals, cotangent):
    _, gradient = jax.vjp(lambda x, kernel: _plain_conv2d(x, kernel, 1, 0, dilation), *residuals)
    return gradient(cotangent)


_unpadded_conv2d.defvjp(_unpadded_forward, _unpadded_backward)


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
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        if self.spectral_norm:
            kernel = spectral.normalise(self, kernel)
        bias = None
        if self.use_bias:
            bias = self.param("bias", self.bias_init, (self.features,), jnp.float32)
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
