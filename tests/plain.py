"""Convolution in plain operators, for restatements of whole training steps in double precision."""

import jax.numpy as jnp
from jax import lax


def convolution(x, kernel, stride=1, pads=None):
    """Returns `x` convolved; PyTorch's layout, two or three dimensions.

    Windows are multiplied with the kernel: in double precision, where XLA has no fast convolution
    on CPU, that takes a tenth of the time.

    Args:
      x: (B, C, ...).
      kernel: (O, C, ...).
      stride: the same for all dimensions.
      pads: (before, after) of each dimension; None is half a kernel.
    """
    rank = kernel.ndim - 2
    pads = [(width // 2, width // 2) for width in kernel.shape[2:]] if pads is None else pads
    x = jnp.pad(x, [(0, 0), (0, 0), *pads])
    for axis, width in enumerate(kernel.shape[2:], 2):
        last = x.shape[axis] - width + 1
        x = jnp.stack([
            lax.slice_in_dim(x, first, first + last, stride, axis) for first in range(width)
        ], -1)
    inside = range(x.ndim - rank, x.ndim)  # the axes of the windows
    y = jnp.tensordot(x, kernel, ((1, *inside), (1, *range(2, 2 + rank))))
    return jnp.moveaxis(y, -1, 1)
