"""Convolutions on cells of pixels, whose pixels become channels (space to depth).

With stride s, output t reads the padded rows s t + i, for every tap i. Take b neighbouring outputs
as one cell and S = s b rows as one cell of the input: output row a of cell t reads rows

    S t + s a + i = S (t + u) + p          with s a + i = S u + p

so with the b outputs of a cell and the S rows of a cell as channels the convolution is a plain one,

    y[t, a] = sum over u, p of x[t + u, p] w[S u + p - s a]          (w is 0 outside of its k taps)

of stride 1 and ceil((k + s (b - 1)) / S) taps. There are two uses:

  * b = 1 rids a convolution of its stride. One of 4 x 4 taps and stride 2 becomes one of 2 x 2, for
    which `layers.winograd` has F(3, 2), with four ninths of the multiplications.
  * b = 2 makes wide matrix products of the narrow ones that few channels give. A stem of 7 x 7 taps
    from 4 to 64 channels becomes one of 4 x 4 from 16 to 256: 1.3 times the multiplications, done
    at several times the rate.

Between pixels and cells there are only rearrangements, padding and cutting; the adjoints of these
are XLA's. A transposed convolution is `input_gradient`.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax

from jaxedit.layers.convolution.trilinear import Formulation, Geometry


def of_cells(geometry: Geometry, block: int = 1) -> Geometry:
    """Returns the geometry of the plain convolution that one without dilation is on cells."""
    side = geometry.strides * block
    height, width, inputs, outputs = geometry.kernel_shape
    batch, *sizes, _ = geometry.output_shape
    taps = [-(-(size + side - geometry.strides) // side) for size in (height, width)]
    cells = [-(-size // block) + tap - 1 for size, tap in zip(sizes, taps, strict=True)]
    inputs, outputs = side**2 * inputs, block**2 * outputs
    return Geometry((batch, *cells, inputs), (*taps, inputs, outputs))


@dataclasses.dataclass(frozen=True)
class Cells:
    """A convolution without dilation.

    Attributes:
      geometry: of the convolution.
      plain: computes the convolution of geometry `of_cells(geometry, block)`.
      block: side b of a cell of outputs.
    """

    geometry: Geometry
    plain: Formulation
    block: int = 1

    def forward(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        """(B, H, W, I), (h, w, I, O) -> (B, H', W', O)."""
        y = _to_pixels(self.plain.forward(self._cells(x), self._cell_kernel(kernel)), self.block)
        _, height, width, _ = self.geometry.output_shape
        return y[:, :height, :width]

    def input_gradient(self, g: jax.Array, kernel: jax.Array) -> jax.Array:
        """(B, H', W', O), (h, w, I, O) -> (B, H, W, I)."""
        dx = self.plain.input_gradient(self._output_cells(g), self._cell_kernel(kernel))
        x = jax.ShapeDtypeStruct(self.geometry.shape, g.dtype)
        return jax.linear_transpose(self._cells, x)(dx)[0]

    def kernel_gradient(self, x: jax.Array, g: jax.Array) -> jax.Array:
        """(B, H, W, I), (B, H', W', O) -> (h, w, I, O)."""
        dw = self.plain.kernel_gradient(self._cells(x), self._output_cells(g))
        kernel = jax.ShapeDtypeStruct(self.geometry.kernel_shape, g.dtype)
        return jax.linear_transpose(self._cell_kernel, kernel)(dw)[0]

    def _cells(self, x: jax.Array) -> jax.Array:
        """(B, H, W, I) -> (B, rows, columns, S S I), padded or cut to what outputs read."""
        padding, side = self.geometry.padding, self.geometry.strides * self.block
        cells = of_cells(self.geometry, self.block).shape[1:3]
        widths = [
            (padding, count * side - padding - size, 0)
            for count, size in zip(cells, x.shape[1:3], strict=True)
        ]
        x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *widths, (0, 0, 0)))
        return _to_cells(x, side)

    def _output_cells(self, g: jax.Array) -> jax.Array:
        """(B, H', W', O) -> (B, rows, columns, b b O)."""
        short = [(0, -size % self.block) for size in g.shape[1:3]]
        return _to_cells(jnp.pad(g, ((0, 0), *short, (0, 0))), self.block)

    def _cell_kernel(self, kernel: jax.Array) -> jax.Array:
        """(h, w, I, O) -> (taps, taps, S S I, b b O)."""
        strides, block = self.geometry.strides, self.block
        height, width, inputs, outputs = kernel.shape
        rows, columns, *channels = of_cells(self.geometry, block).kernel_shape
        side = strides * block

        def shifted(a: int, b: int) -> jax.Array:
            down, right = strides * a, strides * b
            widths = (
                (down, rows * side - height - down),
                (right, columns * side - width - right),
            )
            return jnp.pad(kernel, (*widths, (0, 0), (0, 0)))

        kernels = [shifted(a, b) for a in range(block) for b in range(block)]
        kernel = jnp.stack(kernels, 3).reshape(rows, side, columns, side, inputs, -1, outputs)
        return kernel.transpose(0, 2, 1, 3, 4, 5, 6).reshape(rows, columns, *channels)


def _to_cells(x: jax.Array, side: int) -> jax.Array:
    """(B, H, W, C) -> (B, H / side, W / side, side side C)."""
    if side == 1:
        return x
    batch, height, width, _ = x.shape
    rows, columns = height // side, width // side
    x = x.reshape(batch, rows, side, columns, side, -1).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, rows, columns, -1)


def _to_pixels(cells: jax.Array, side: int) -> jax.Array:
    """The inverse of `_to_cells`."""
    if side == 1:
        return cells
    batch, rows, columns, _ = cells.shape
    x = cells.reshape(batch, rows, columns, side, side, -1).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, rows * side, columns * side, -1)
