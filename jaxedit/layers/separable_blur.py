"""Blurring with a short separable filter, such as StyleGAN2's [1, 3, 3, 1].

Per axis, the result is a weighted sum of as many shifted copies of the padded map as there are
taps. The two axes are kept apart by a barrier: fused, every value would be summed from taps x taps
values instead of 2 x taps. The adjoint of a shift is the opposite shift: the gradient is the same
blur with the taps turned round and padded by what the other side lacked, so derivatives of any
order are blurs again.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax


def separable_blur(
    x: jax.Array,
    taps: tuple[float, ...] = (1.0, 3.0, 3.0, 1.0),
    *,
    padding: tuple[int, int] = (2, 1),
    gain: float = 1.0,
) -> jax.Array:
    """Correlates every channel with the outer product of `taps` with itself.

    Args:
      x: (B, H, W, C).
      taps: the filter along each axis, first tap on the first row; scaled to a sum of 1.
      padding: zeros before and after each axis; negative numbers crop.
      gain: what the two-dimensional filter sums up to; 4 after inserting zeros for upsampling.

    Returns:
      (B, H', W', C) with H' = H + sum(padding) - len(taps) + 1.
    """
    total = sum(taps)
    scaled = tuple(tap / total * gain**0.5 for tap in taps)
    return _blur(scaled, tuple(padding), x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _blur(taps: tuple[float, ...], padding: tuple[int, int], x: jax.Array) -> jax.Array:
    widths = ((0, 0, 0), (*padding, 0), (*padding, 0), (0, 0, 0))
    x = lax.pad(x, jnp.zeros((), x.dtype), widths)
    return _along(taps, lax.optimization_barrier(_along(taps, x, 1)), 2)


def _along(taps: tuple[float, ...], x: jax.Array, axis: int) -> jax.Array:
    length = x.shape[axis] - len(taps) + 1
    return sum(
        tap * lax.slice_in_dim(x, start, start + length, axis=axis)
        for start, tap in enumerate(taps)
    )


def _backward(taps, padding, _, cotangent):
    before, after = (len(taps) - 1 - size for size in padding)
    return (_blur(taps[::-1], (before, after), cotangent),)


_blur.defvjp(lambda taps, padding, x: (_blur(taps, padding, x), None), _backward)
