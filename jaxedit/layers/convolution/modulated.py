"""Modulated convolution (Karras et al., "Analyzing and Improving StyleGAN", 2020, equations 1-3).

Every sample b scales the kernel's input channels by its style s and normalises each output map:

    w'[b, k, i, o] = s[b, i] w[k, i, o]
    y[b, o] = sum over k, i of w'[b, k, i, o] x[b, i]  *  d[b, o]
    d[b, o] = 1 / sqrt(sum over k, i of w'[b, k, i, o]^2 + epsilon)

A kernel per sample would be a grouped convolution, whose gradients are ten times slower than a
shared one's on CPU. But s depends on the input channel only and d on the output channel only, so
the same numbers come from scaling the input, convolving with the shared kernel, and scaling the
output. And since w' squared factors too, d is one small matrix product: s^2 (sum over k of w^2).
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jaxedit.layers.convolution import conv2d


def modulated_conv2d(
    x: jax.Array,
    kernel: jax.Array,
    style: jax.Array,
    *,
    demodulate: bool = True,
    epsilon: float = 1e-8,
    convolve: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
) -> jax.Array:
    """Returns the convolution of every sample with its own modulated kernel.

    Args:
      x: (B, H, W, I).
      kernel: (h, w, I, O), shared, of the dtype of `x`; scaled already (equalised learning rate).
      style: (B, I), factors of the input channels.
      demodulate: whether every output map is divided by the norm of its kernel.
      epsilon: added to the squared norm.
      convolve: (x, kernel) -> (B, H', W', O), linear in both and the same for all samples, each
        output channel from the kernel's one: a strided or transposed convolution with a blur, for
        example. Default: an odd kernel that keeps the size.

    Returns:
      (B, H', W', O).
    """
    if convolve is None:
        if kernel.shape[0] != kernel.shape[1] or kernel.shape[0] % 2 == 0:
            raise ValueError(f"A kernel of {kernel.shape[:2]} cannot keep the size of a map")
        convolve = lambda x, kernel: conv2d(x, kernel, padding=kernel.shape[0] // 2)
    y = convolve(x * style.astype(x.dtype)[:, None, None, :], kernel)
    if not demodulate:
        return y
    factors = demodulation(kernel, style, epsilon)
    return y * factors.astype(y.dtype)[:, None, None, :]


def demodulation(kernel: jax.Array, style: jax.Array, epsilon: float = 1e-8) -> jax.Array:
    """Returns d, (B, O) float32: one over the norm of every sample's kernel of every output."""
    squares = jnp.square(kernel.astype(jnp.float32)).sum((0, 1))
    norms = jnp.dot(
        jnp.square(style.astype(jnp.float32)), squares, precision=lax.Precision.HIGHEST
    )
    return lax.rsqrt(norms + epsilon)
