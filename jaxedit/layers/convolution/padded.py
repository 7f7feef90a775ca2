"""Convolutions of stride 1 that no better formulation fits: padding for the sake of speed.

XLA on CPU computes a convolution without any padding by a kernel several times slower than the
same one with padding (measured with jaxlib 0.10). So one row and one column more are asked for than
the input has, and what was not wanted is dropped; the values that stay are the same sums. The
gradient of the input is the same, of a map padded beforehand and with the kernel turned.

The gradient of the kernel is a product of matrices as tall as the image has pixels. XLA's own is
slow where there are few outputs (a last layer): then all taps of g are put side by side, (pixels,
kernel height x width x O), and it is one product. For few inputs see `cells`.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax

from jaxedit.layers.convolution.trilinear import Geometry, Plain

_NARROW = 8  # channels


@dataclasses.dataclass(frozen=True)
class Padded:
    """A convolution of stride 1, any kernel, padding and dilation."""

    geometry: Geometry

    def forward(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        """(B, H, W, I), (h, w, I, O) -> (B, H', W', O)."""
        if self.geometry.padding:
            return Plain(self.geometry).forward(x, kernel)
        return self._with_one_more(x, kernel)

    def input_gradient(self, g: jax.Array, kernel: jax.Array) -> jax.Array:
        """(B, H', W', O), (h, w, I, O) -> (B, H, W, I)."""
        if self.geometry.padding:
            return Plain(self.geometry).input_gradient(g, kernel)
        around = ((0, 0), *((reach, reach) for reach in self.geometry.reach), (0, 0))
        g = lax.optimization_barrier(jnp.pad(g, around))
        return self._with_one_more(g, kernel[::-1, ::-1].swapaxes(2, 3))

    def kernel_gradient(self, x: jax.Array, g: jax.Array) -> jax.Array:
        """(B, H, W, I), (B, H', W', O) -> (h, w, I, O)."""
        if self.geometry.kernel_shape[-1] <= _NARROW:
            return self._few_outputs(x, g)
        return Plain(self.geometry).kernel_gradient(x, g)

    def _with_one_more(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        """The convolution without padding, its last row and column computed and dropped."""
        down, right = self.geometry.reach
        y = lax.conv_general_dilated(
            x,
            kernel,
            window_strides=(1, 1),
            padding=((0, down + 1), (0, right + 1)),
            rhs_dilation=(self.geometry.dilation, self.geometry.dilation),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return y[:, : x.shape[1] - down, : x.shape[2] - right]

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
        wide = jnp.concatenate(taps, axis=-1)
        products = jnp.dot(x.reshape(-1, inputs).T, wide.reshape(-1, wide.shape[-1]))
        return products.reshape(inputs, height, width, outputs).transpose(1, 2, 0, 3)
