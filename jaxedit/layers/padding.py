"""Reflect padding with a gradient of its own."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxedit.layers import platforms


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def reflect_pad(x: jax.Array, size: int) -> jax.Array:
    """Mirrors `size` rows and columns on every side, without repeating the rim itself.

    Args:
      x: (B, H, W, C) with H, W > size.
      size: how many rows and columns, the same on every side.

    Returns:
      (B, H + 2 size, W + 2 size, C), as `torch.nn.ReflectionPad2d(size)`.

    Raises:
      ValueError: the image is too small to be mirrored that far.
    """
    if size == 0:
        return x
    if min(x.shape[1:3]) <= size:
        raise ValueError(
            f"Reflect padding of {size} needs more than {size} rows and columns, "
            f"and the map is {x.shape[1]} x {x.shape[2]}"
        )
    # One gather per axis is several times faster on CPU than the slices and reversals of jnp.pad.
    return platforms.dependent(
        x,
        cpu=lambda x: x[:, _indices(x.shape[1], size)][:, :, _indices(x.shape[2], size)],
        default=lambda x: jnp.pad(x, ((0, 0), (size, size), (size, size), (0, 0)), "reflect"),
    )


def _indices(length: int, size: int) -> np.ndarray:
    return np.pad(np.arange(length), size, mode="reflect")


def _forward(x, size):
    return reflect_pad(x, size), None


def _backward(size, _, cotangent):
    if size == 0:
        return (cotangent,)
    return (_fold(_fold(cotangent, 1, size), 2, size),)


def _fold(cotangent: jax.Array, axis: int, size: int) -> jax.Array:
    """Adds the mirrored rims along `axis` onto the rows that they mirror."""
    length = cotangent.shape[axis] - 2 * size
    part = functools.partial(lax.slice_in_dim, cotangent, axis=axis)
    before = jnp.flip(part(0, size), axis)
    after = jnp.flip(part(size + length, length + 2 * size), axis)
    widths = [(0, 0)] * cotangent.ndim
    rest = length - 1 - size
    widths[axis] = (1, rest)  # the first mirrored row is row 1: row 0 is the mirror itself
    result = part(size, size + length) + jnp.pad(before, widths)
    widths[axis] = (rest, 1)
    return result + jnp.pad(after, widths)


reflect_pad.defvjp(_forward, _backward)
