"""Winograd's minimal filtering for 3 x 3 and 2 x 2 kernels, dilated ones too, as matrix products.

Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", 2016, sections 3 and 4.
F(m, r) computes m neighbouring outputs of a filter of r taps from n = m + r - 1 inputs with n
instead of r m multiplications. In two dimensions, for every tile d of n x n inputs and every
kernel w:

    Y = A^T [ (G w G^T) . (B^T d B) ] A          (A^T: m x n, G: n x r, B^T: n x n)

Summed over input channels, the product in brackets is one matrix product for each of the n^2
positions t: M_t = V_t U_t, the transformed tiles V_t (tiles, I) with the transformed kernel U_t
(I, O). The 36 products of F(4, 3) do a quarter of the convolution's multiplications, the 16 of
F(2, 3) and of F(3, 2) four ninths. They are separate products on purpose: stacking them copies.

A kernel of dilation d sees, of all rows, only those of one remainder modulo d: the map falls into
d^2 maps without dilation. Reading row r as (r // d, r % d) makes them one more axis of tiles.

The gradients are the adjoints of the same three steps. With Mh_t the adjoint A g A^T of the output
transform: dU_t = V_t^T Mh_t and dw = G^T dU G; dV_t = Mh_t U_t^T and dx adds the tiles B dV B^T
where they overlap. A map that its tiles do not fill is extended by zeros, which is exact.

F(4, 3) loses about a decimal digit (10^-5 of the largest value in float32), F(2, 3) and F(3, 2)
nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxedit.layers.convolution.trilinear import Geometry

# B^T depends on n alone: four inputs are evaluated at the points 0, 1, -1 and infinity.
_FOUR_INPUTS = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
# (m, r) -> (B^T, G, A^T); Lavin & Gray, equations 6 and 7 for F(2, 3) and section 4.3 for F(4, 3).
# Row p of G is (1, p, p^2, ..) and column p of A^T the same of m powers, weights shared as there.
_MATRICES = {
    (3, 2): (
        _FOUR_INPUTS,
        np.array([[1, 0], [0.5, 0.5], [0.5, -0.5], [0, 1]]),
        np.array([[1, 1, 1, 0], [0, 1, -1, 0], [0, 1, 1, -1]]),
    ),
    (2, 3): (
        _FOUR_INPUTS,
        np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]),
        np.array([[1, 1, 1, 0], [0, 1, -1, -1]]),
    ),
    (4, 3): (
        np.array(
            [
                [4, 0, -5, 0, 1, 0],
                [0, -4, -4, 1, 1, 0],
                [0, 4, -4, -1, 1, 0],
                [0, -2, -1, 2, 1, 0],
                [0, 2, -1, -2, 1, 0],
                [0, 4, 0, -5, 0, 1],
            ]
        ),
        np.array(
            [
                [1 / 4, 0, 0],
                [-1 / 6, -1 / 6, -1 / 6],
                [-1 / 6, 1 / 6, -1 / 6],
                [1 / 24, 1 / 12, 1 / 6],
                [1 / 24, -1 / 12, 1 / 6],
                [0, 0, 1],
            ]
        ),
        np.array(
            [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
        ),
    ),
}

Parts = Sequence[jax.Array]


@dataclasses.dataclass(frozen=True)
class Winograd:
    """F(m, r) for an r x r kernel of stride 1.

    Attributes:
      geometry: the convolution.
      m: outputs per tile along each axis, 2 or 4 for three taps, 3 for two.
    """

    geometry: Geometry
    m: int

    def forward(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        """(B, H, W, I), (r, r, I, O) -> (B, H', W', O)."""
        products = [
            jnp.dot(tile, weight)
            for tile, weight in zip(
                self._transform_input(x), self._transform_kernel(kernel), strict=True
            )
        ]
        return self._transform_output(products)

    def input_gradient(self, g: jax.Array, kernel: jax.Array) -> jax.Array:
        """(B, H', W', O), (r, r, I, O) -> (B, H, W, I)."""
        return self._adjoint_input(
            [
                lax.dot_general(tile, weight, (((1,), (1,)), ((), ())))
                for tile, weight in zip(
                    self._adjoint_output(g), self._transform_kernel(kernel), strict=True
                )
            ]
        )

    def kernel_gradient(self, x: jax.Array, g: jax.Array) -> jax.Array:
        """(B, H, W, I), (B, H', W', O) -> (r, r, I, O)."""
        *_, inputs, outputs = self.geometry.kernel_shape
        # The longer side first: the CPU's product with a transposed left operand wants it so.
        swap = inputs >= 2 * outputs
        products = [
            lax.dot_general(b, a, (((0,), (0,)), ((), ())))
            if swap
            else lax.dot_general(a, b, (((0,), (0,)), ((), ())))
            for a, b in zip(self._transform_input(x), self._adjoint_output(g), strict=True)
        ]
        products = jnp.stack(products)
        if swap:
            products = products.swapaxes(1, 2)
        dw = jnp.dot(self._kernel_matrix(x.dtype).T, products.reshape(len(products), -1))
        return dw.reshape(self.geometry.kernel_shape)

    @property
    def _matrices(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns B^T, G and A^T."""
        return _MATRICES[self.m, self.geometry.kernel_shape[0]]

    @property
    def _shared(self) -> int:
        """How many inputs two neighbouring tiles share along an axis."""
        return self.geometry.kernel_shape[0] - 1

    @property
    def _tiles(self) -> tuple[int, int]:
        """How many tiles there are along rows and columns of each of the d x d maps."""
        step = self.m * self.geometry.dilation
        _, height, width, _ = self.geometry.output_shape
        return -(-height // step), -(-width // step)

    def _transform_kernel(self, kernel: jax.Array) -> Parts:
        """Returns U_t, n^2 matrices (I, O)."""
        *_, inputs, outputs = kernel.shape
        flat = kernel.reshape(-1, inputs * outputs)
        transformed = jnp.dot(self._kernel_matrix(kernel.dtype), flat)
        return [row.reshape(inputs, outputs) for row in transformed]

    def _kernel_matrix(self, dtype: jnp.dtype) -> jax.Array:
        """Returns G x G as one (n^2, r^2) matrix."""
        _, matrix, _ = self._matrices
        return jnp.asarray(np.kron(matrix, matrix), dtype)

    def _transform_input(self, x: jax.Array) -> Parts:
        """Returns V_t, n^2 matrices (tiles, I): B^T along rows, then along columns."""
        m, d, (rows, columns) = self.m, self.geometry.dilation, self._tiles
        shared = self._shared
        matrix, _, _ = self._matrices
        batch, height, width, channels = x.shape
        padding = self.geometry.padding
        widths = [
            (padding, (m * tiles + shared) * d - padding - size)
            for tiles, size in ((rows, height), (columns, width))
        ]
        x = lax.pad(
            x, jnp.zeros((), x.dtype), ((0, 0, 0), *((*pair, 0) for pair in widths), (0, 0, 0))
        )
        x = x.reshape(batch, m * rows + shared, d, (m * columns + shared) * d, channels)
        parts = []
        for part in _combine(matrix, _taps(x, 1, m, shared, rows)):
            part = part.reshape(batch, rows, d, m * columns + shared, d, channels)
            parts += _combine(matrix, _taps(part, 3, m, shared, columns), last=True)
        return [part.reshape(-1, channels) for part in parts]

    def _adjoint_input(self, parts: Parts) -> jax.Array:
        """Returns dx from dV_t: B along columns, then along rows, overlapping tiles added."""
        m, d, (rows, columns) = self.m, self.geometry.dilation, self._tiles
        shared = self._shared
        matrix, _, _ = self._matrices
        batch, height, width, channels = self.geometry.shape
        parts = [part.reshape(batch, rows, d, columns, d, channels) for part in parts]
        n = m + shared
        lines = []
        for row in range(n):
            line = _overlap(_combine(matrix.T, parts[row * n : (row + 1) * n], last=True), 3, m)
            lines.append(line.reshape(batch, rows, d, (m * columns + shared) * d, channels))
        x = _overlap(_combine(matrix.T, lax.optimization_barrier(lines), last=True), 1, m)
        x = x.reshape(batch, (m * rows + shared) * d, (m * columns + shared) * d, channels)
        padding = self.geometry.padding
        return x[:, padding : padding + height, padding : padding + width]

    def _transform_output(self, parts: Parts) -> jax.Array:
        """Returns y from M_t: A^T along columns, then along rows."""
        m, d, (rows, columns) = self.m, self.geometry.dilation, self._tiles
        *_, matrix = self._matrices
        batch, height, width, channels = self.geometry.output_shape
        parts = [part.reshape(batch, rows, d, columns, d, channels) for part in parts]
        n = m + self._shared
        lines = [_combine(matrix, parts[row * n : (row + 1) * n], last=True) for row in range(n)]
        lines = lax.optimization_barrier(lines)
        by_column = [
            jnp.stack(_combine(matrix, [line[column] for line in lines], last=True), 2)
            for column in range(m)
        ]
        y = jnp.stack(by_column, 5)  # (B, rows, m, d, columns, m, d, O)
        y = y.reshape(batch, rows * m * d, columns * m * d, channels)
        return y[:, :height, :width]

    def _adjoint_output(self, g: jax.Array) -> Parts:
        """Returns Mh_t, n^2 matrices (tiles, O): A along rows, then along columns."""
        m, d, (rows, columns) = self.m, self.geometry.dilation, self._tiles
        *_, matrix = self._matrices
        batch, height, width, channels = g.shape
        short = ((0, 0), (0, rows * m * d - height), (0, columns * m * d - width), (0, 0))
        g = jnp.pad(g, short).reshape(batch, rows, m, d, columns * m * d, channels)
        parts = []
        for part in _combine(matrix.T, [g[:, :, row] for row in range(m)]):
            part = part.reshape(batch, rows, d, columns, m, d, channels)
            line = [part[:, :, :, :, column] for column in range(m)]
            parts += _combine(matrix.T, line, last=True)
        return [part.reshape(-1, channels) for part in parts]


def _taps(x: jax.Array, axis: int, m: int, shared: int, tiles: int) -> Parts:
    """Returns for each of the m + shared positions in a tile its value in every tile along `axis`.
    """
    return [
        lax.slice_in_dim(x, tap, tap + m * (tiles - 1) + 1, m, axis) for tap in range(m + shared)
    ]


def _overlap(parts: Parts, axis: int, m: int) -> jax.Array:
    """Adds up tiles of at most 2 m values that start every m: the adjoint of `_taps`."""

    def shifted(part: jax.Array, before: int) -> jax.Array:
        widths = [(0, 0, 0)] * part.ndim
        widths[axis] = (before, 1 - before, 0)
        return lax.pad(part, jnp.zeros((), part.dtype), widths)

    tiles = [shifted(part, 0) for part in parts[:m]]
    for position, part in enumerate(parts[m:]):
        tiles[position] += shifted(part, 1)
    x = jnp.stack(tiles, axis + 1)
    shape = list(parts[0].shape)
    shape[axis] = m * (shape[axis] + 1)
    return lax.slice_in_dim(x.reshape(shape), 0, shape[axis] - 2 * m + len(parts), axis=axis)


def _combine(matrix: np.ndarray, parts: Parts, last: bool = False) -> Parts:
    """Returns matrix @ parts, written out as additions without the zeros.

    Unless `last`, the results are kept from being fused into what reads them, where each would be
    computed many times over.
    """
    results = []
    for row in matrix:
        total = None
        for weight, part in zip(row, parts, strict=True):
            if weight == 0:
                continue
            # Of `lax`, whose operations are traced several times as fast as those of `jnp`.
            term = part if abs(weight) == 1 else lax.mul(part, np.asarray(abs(weight), part.dtype))
            if total is None:
                total = term if weight > 0 else lax.neg(term)
            else:
                total = lax.add(total, term) if weight > 0 else lax.sub(total, term)
        results.append(total)
    return results if last else lax.optimization_barrier(results)
