"""Convolutions whose taps never meet are matrix products: 1 x 1 kernels and patch embeddings.

With a kernel no larger than the stride and no padding, every pixel is read by one output at most.
The map falls into cells of stride x stride pixels; the upper left kernel height x width of each,
written as one row, makes (cells, h w I), and the convolution is its product with the kernel as an
(h w I, O) matrix. Both gradients are products of the same matrices.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax

from jaxedit.layers.convolution.trilinear import Geometry


@dataclasses.dataclass(frozen=True)
class MatrixProduct:
    """A convolution without padding and dilation whose kernel is no larger than its stride."""

    geometry: Geometry

    def forward(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        """(B, H, W, I), (h, w, I, O) -> (B, H', W', O)."""
        y = jnp.dot(self._rows(x), kernel.reshape(-1, kernel.shape[-1]))
        return y.reshape(self.geometry.output_shape)

    def input_gradient(self, g: jax.Array, kernel: jax.Array) -> jax.Array:
        """(B, H', W', O), (h, w, I, O) -> (B, H, W, I)."""
        rows = lax.dot_general(
            g.reshape(-1, g.shape[-1]),
            kernel.reshape(-1, kernel.shape[-1]),
            (((1,), (1,)), ((), ())),
        )
        return self._map(rows)

    def kernel_gradient(self, x: jax.Array, g: jax.Array) -> jax.Array:
        """(B, H, W, I), (B, H', W', O) -> (h, w, I, O)."""
        g = g.reshape(-1, g.shape[-1])
        product = lax.dot_general(self._rows(x), g, (((0,), (0,)), ((), ())))
        return product.reshape(self.geometry.kernel_shape)

    def _rows(self, x: jax.Array) -> jax.Array:
        """Returns (cells, h w I)."""
        height, width, inputs, _ = self.geometry.kernel_shape
        strides = self.geometry.strides
        batch, rows, columns, _ = self.geometry.output_shape
        if height == width == 1:
            return x[:, ::strides, ::strides].reshape(-1, inputs)
        # The last cells of an uneven map may lack the pixels that no tap reads.
        x = self._fit(x, rows * strides, columns * strides)
        x = x.reshape(batch, rows, strides, columns, strides, inputs)
        x = x[:, :, :height, :, :width].transpose(0, 1, 3, 2, 4, 5)
        return x.reshape(batch * rows * columns, -1)

    def _map(self, values: jax.Array) -> jax.Array:
        """The adjoint of `_rows`: zeros where no tap reads."""
        height, width, inputs, _ = self.geometry.kernel_shape
        strides = self.geometry.strides
        batch, rows, columns, _ = self.geometry.output_shape
        values = values.reshape(batch, rows, columns, height, width, inputs)
        values = values.transpose(0, 1, 3, 2, 4, 5)
        below, beside = strides - height, strides - width
        values = jnp.pad(values, ((0, 0), (0, 0), (0, below), (0, 0), (0, beside), (0, 0)))
        values = values.reshape(batch, rows * strides, columns * strides, inputs)
        return self._fit(values, *self.geometry.shape[1:3])

    @staticmethod
    def _fit(x: jax.Array, height: int, width: int) -> jax.Array:
        """Crops or extends by zeros, below and on the right."""
        widths = ((0, 0, 0), (0, height - x.shape[1], 0), (0, width - x.shape[2], 0), (0, 0, 0))
        return lax.pad(x, jnp.zeros((), x.dtype), widths)
