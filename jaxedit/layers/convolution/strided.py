"""Convolutions of stride s > 1 with gradients of their own, transposed convolutions among them.

Where XLA differentiates a strided convolution in its input, it stuffs the gaps between the pixels
of g with zeros and multiplies with all of them. But padded row r = s t + a of the input meets only
the taps k = a + s u:

    dx[s t + a] = sum over u of g[t - u] w[a + s u]

so each of the s^2 phases (a, b) is a plain convolution of g with every s-th tap, turned, and the
phases interleaved are the gradient. A 4 x 4 kernel of stride 2 falls into four of 2 x 2. This very
function is also the transposed convolution from the channels of g to those of x.

The gradient of the kernel is summed image by image, so that the copies stay in cache. For every tap
it is one product of g with every s-th pixel.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax

from jaxedit.layers.convolution.trilinear import Geometry


@dataclasses.dataclass(frozen=True)
class Strided:
    """A convolution without dilation whose kernel is no smaller than its stride."""

    geometry: Geometry

    def forward(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        """(B, H, W, I), (h, w, I, O) -> (B, H', W', O)."""
        strides, padding = self.geometry.strides, self.geometry.padding
        # Without any padding XLA takes a kernel of its own that is slow: one more output, dropped.
        after = padding or strides
        y = lax.conv_general_dilated(
            x,
            kernel,
            window_strides=(strides, strides),
            padding=((padding, after), (padding, after)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        _, height, width, _ = self.geometry.output_shape
        return y[:, :height, :width]

    def input_gradient(self, g: jax.Array, kernel: jax.Array) -> jax.Array:
        """(B, H', W', O), (h, w, I, O) -> (B, H, W, I)."""
        strides, padding = self.geometry.strides, self.geometry.padding
        batch, height, width, inputs = self.geometry.shape
        rows, columns = (-(-(padding + size) // strides) for size in (height, width))
        turned = kernel.swapaxes(2, 3)
        lines = []
        for a in range(strides):
            phases = []
            for b in range(strides):
                taps = turned[a::strides, b::strides][::-1, ::-1]
                above, beside = taps.shape[0] - 1, taps.shape[1] - 1
                phase = lax.conv_general_dilated(
                    g,
                    taps,
                    window_strides=(1, 1),
                    padding=((above, rows - g.shape[1]), (beside, columns - g.shape[2])),
                    dimension_numbers=("NHWC", "HWIO", "NHWC"),
                )
                phases.append(phase)
            lines.append(jnp.stack(phases, 3))
        x = jnp.stack(lines, 2)  # (B, rows, a, columns, b, I)
        x = x.reshape(batch, rows * strides, columns * strides, inputs)
        return x[:, padding : padding + height, padding : padding + width]

    def kernel_gradient(self, x: jax.Array, g: jax.Array) -> jax.Array:
        """(B, H, W, I), (B, H', W', O) -> (h, w, I, O)."""
        # Each image as a batch of one.
        images = x[:, None], g[:, None]
        add = lambda total, image: (total + self._products(*image), None)
        start = jnp.zeros(self.geometry.kernel_shape, x.dtype)
        return lax.scan(add, start, images)[0]

    def _products(self, x: jax.Array, g: jax.Array) -> jax.Array:
        """The gradient of one image, (1, H, W, I), (1, H', W', O) -> (h, w, I, O)."""
        strides, padding = self.geometry.strides, self.geometry.padding
        kernel_height, kernel_width, *channels = self.geometry.kernel_shape
        _, height, width, _ = g.shape
        x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
        rows, columns = (height - 1) * strides + 1, (width - 1) * strides + 1
        g = g.reshape(-1, channels[1])
        products = [
            lax.dot_general(
                x[:, i : i + rows : strides, j : j + columns : strides].reshape(-1, channels[0]),
                g,
                (((0,), (0,)), ((), ())),
            )
            for i in range(kernel_height)
            for j in range(kernel_width)
        ]
        return jnp.stack(products).reshape(self.geometry.kernel_shape)
