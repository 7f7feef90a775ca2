"""Convolutions of stride 1 that no better formulation fits: padding for the sake of speed.

XLA on CPU computes a convolution without any padding by a kernel several times slower than the
same one with padding (measured with jaxlib 0.10). So one row and one column more are asked for than
the input has, and what was not wanted is dropped; the values that stay are the same sums. The
gradient of the input pads by itself.

The gradient of the kernel is a product of matrices as tall as the image has pixels. XLA's own is
slow where one side is narrow, and there the narrow side is widened:

* few inputs and a large kernel (a first layer): the kernel's columns side by side, (pixels, kernel
  width x I), one product per kernel row, one image at a time so that the copies stay in cache;
* few outputs (a last layer): all taps of g side by side, (pixels, kernel height x width x O).
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax

from jaxedit.layers.trilinear import Geometry, Plain

_NARROW = 8  # channels
_LARGE_KERNEL = 5


@dataclasses.dataclass(frozen=True)
class Padded:
    """A convolution of stride 1, any kernel, padding and dilation."""

    geometry: Geometry

    def forward(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        """(B, H, W, I), (h, w, I, O) -> (B, H', W', O)."""
        if self.geometry.padding:
            return Plain(self.geometry).forward(x, kernel)
        rows, columns = self.geometry.reach
        y = lax.conv_general_dilated(
            x,
            kernel,
            window_strides=(1, 1),
            padding=((0, rows + 1), (0, columns + 1)),
            rhs_dilation=(self.geometry.dilation, self.geometry.dilation),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        _, height, width, _ = self.geometry.output_shape
        return y[:, :height, :width]

    def input_gradient(self, g: jax.Array, kernel: jax.Array) -> jax.Array:
        """(B, H', W', O), (h, w, I, O) -> (B, H, W, I)."""
        return Plain(self.geometry).input_gradient(g, kernel)

    def kernel_gradient(self, x: jax.Array, g: jax.Array) -> jax.Array:
        """(B, H, W, I), (B, H', W', O) -> (h, w, I, O)."""
        height, width, inputs, outputs = self.geometry.kernel_shape
        if outputs <= _NARROW:
            return self._few_outputs(x, g)
        if inputs <= _NARROW and min(height, width) >= _LARGE_KERNEL:
            return self._few_inputs(x, g)
        return Plain(self.geometry).kernel_gradient(x, g)

    def _few_inputs(self, x: jax.Array, g: jax.Array) -> jax.Array:
        d, padding = self.geometry.dilation, self.geometry.padding
        height, width, inputs, outputs = self.geometry.kernel_shape
        rows, columns = g.shape[1:3]
        x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))

        def add_image(total, image):
            x, g = image
            wide = jnp.concatenate(
                [x[:, j * d : j * d + columns] for j in range(width)], axis=-1
            )
            lines = [
                _product(wide[i * d : i * d + rows], g).reshape(width, inputs, outputs)
                for i in range(height)
            ]
            return total + jnp.stack(lines), None

        start = jnp.zeros(self.geometry.kernel_shape, x.dtype)
        return lax.scan(add_image, start, (x, g))[0]

    def _few_outputs(self, x: jax.Array, g: jax.Array) -> jax.Array:
        # dw[i, j] = sum over pixels p of x[p] g[p + padding - d (i, j)]
        d, padding = self.geometry.dilation, self.geometry.padding
        height, width, inputs, outputs = self.geometry.kernel_shape
        rows, columns = x.shape[1:3]
        down, right = self.geometry.reach
        g = lax.pad(
            g,
            jnp.zeros((), g.dtype),
            (
                (0, 0, 0),
                (down - padding, rows + padding - g.shape[1], 0),
                (right - padding, columns + padding - g.shape[2], 0),
                (0, 0, 0),
            ),
        )
        taps = [
            g[:, down - i * d : down - i * d + rows, right - j * d : right - j * d + columns]
            for i in range(height)
            for j in range(width)
        ]
        products = _product(x, jnp.concatenate(taps, axis=-1))
        return products.reshape(inputs, height, width, outputs).transpose(1, 2, 0, 3)


def _product(a: jax.Array, b: jax.Array) -> jax.Array:
    """Returns a^T b summed over all but the last axes: (..., M), (..., N) -> (M, N)."""
    a, b = (values.reshape(-1, values.shape[-1]) for values in (a, b))
    return lax.dot_general(a, b, (((0,), (0,)), ((), ())))
