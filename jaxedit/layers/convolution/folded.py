"""3-D convolutions as 2-D ones: depth is folded into the batch, depth taps into channels.

XLA's own 3-D convolutions are unusable for training on CPU: the gradient of a few small ones takes
seconds, the folded form a sixteenth of it, with equal numbers. So no 3-D convolution stands in any
lowered program.

Volumes are (B, D, H, W, C). Kernels are (d, h, w, I, O); those of transposed convolutions are
(d, h, w, O, I), as `layers.transposed` has it in two dimensions.
"""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxedit.layers import initializers
from jaxedit.layers.convolution.layer import conv2d
from jaxedit.layers.convolution.transposed import conv_transpose2d


def conv3d(
    x: jax.Array,
    kernel: jax.Array,
    *,
    strides: int = 1,
    padding: tuple[int, int] = (0, 0),
) -> jax.Array:
    """Returns the cross-correlation, as `torch.nn.functional.conv3d` has it.

    Args:
      x: (B, D, H, W, I).
      kernel: (d, h, w, I, O), of the dtype of `x`.
      strides: step along all three axes.
      padding: zeros at both ends of the depth, and at both ends of height and width.
    """
    depth, height, width, inputs, outputs = kernel.shape
    x = _pad_depth(x, padding[0], padding[0])
    layers = (x.shape[1] - depth) // strides + 1
    last = (layers - 1) * strides + 1
    taps = [lax.slice_in_dim(x, a, a + last, strides, axis=1) for a in range(depth)]
    folded = _fold(jnp.concatenate(taps, -1) if depth > 1 else taps[0])
    # Channels are tap by tap, and within a tap the inputs.
    flat = kernel.transpose(1, 2, 0, 3, 4).reshape(height, width, depth * inputs, outputs)
    y = conv2d(folded, flat, strides=strides, padding=padding[1])
    return y.reshape(x.shape[0], layers, *y.shape[1:])


def conv_transpose3d(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Returns the transposed convolution that doubles all three axes.

    As `torch.nn.functional.conv_transpose3d` with a kernel of 4, stride 2 and padding 1.

    Args:
      x: (B, D, H, W, I).
      kernel: (4, 4, 4, O, I), of the dtype of `x`.

    Returns:
      (B, 2 D, 2 H, 2 W, O).
    """
    if kernel.shape[:3] != (4, 4, 4):
        raise ValueError(f"A kernel of {kernel.shape[:3]}, not (4, 4, 4)")
    batch, layers = x.shape[:2]
    padded = _pad_depth(x, 1, 1)
    part = lambda start: lax.slice_in_dim(padded, start, start + layers, axis=1)
    # Layer 2j of the result takes tap 1 of layer j and tap 3 of j - 1; layer 2j + 1 takes tap 2 of
    # layer j and tap 0 of j + 1.
    phases = []
    for (near, far), other in (((1, 3), 0), ((2, 0), 2)):
        folded = _fold(jnp.concatenate([part(1), part(other)], -1))
        flat = jnp.concatenate([kernel[near], kernel[far]], -1)
        y = conv_transpose2d(folded, flat, stride=2, padding=1)
        phases.append(y.reshape(batch, layers, *y.shape[1:]))
    y = jnp.stack(phases, 2)
    return y.reshape(batch, 2 * layers, *y.shape[3:])


class Conv3d(nn.Module):
    """A 3-D convolution without bias: parameter `kernel` (d, h, w, I, O), float32.

    Attributes:
      features: output channels.
      kernel_size: sides of the kernel.
      strides: along all axes.
      padding: of depth, and of height and width.
    """

    features: int
    kernel_size: tuple[int, int, int] = (3, 3, 3)
    strides: int = 1
    padding: tuple[int, int] = (1, 1)
    kernel_init: Callable = initializers.torch_kernel

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, D, H, W, I) -> (B, D', H', W', features)."""
        shape = (*self.kernel_size, x.shape[-1], self.features)
        kernel = initializers.parameter(self, "kernel", self.kernel_init, shape)
        return conv3d(x, kernel.astype(x.dtype), strides=self.strides, padding=self.padding)


class ConvTranspose3d(nn.Module):
    """A transposed convolution without bias that doubles a volume: `kernel` (4, 4, 4, O, I)."""

    features: int
    kernel_init: Callable = initializers.torch_kernel

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, D, H, W, I) -> (B, 2 D, 2 H, 2 W, features)."""
        shape = (4, 4, 4, self.features, x.shape[-1])
        kernel = initializers.parameter(self, "kernel", self.kernel_init, shape)
        return conv_transpose3d(x, kernel.astype(x.dtype))


def _pad_depth(x: jax.Array, before: int, after: int) -> jax.Array:
    nothing = (0, 0, 0)
    widths = (nothing, (before, after, 0), nothing, nothing, nothing)
    return lax.pad(x, jnp.zeros((), x.dtype), widths)


def _fold(x: jax.Array) -> jax.Array:
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])
