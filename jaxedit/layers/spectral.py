"""Spectral normalisation of kernels by power iteration (Miyato et al., 2018, section 2.1).

It behaves as PyTorch's classic hook. The variable collection `spectral` holds, beside every
normalised kernel, `u` (O,) and `v` (I * kernel height * kernel width,), in PyTorch's order, so that
`weight_u` and `weight_v` of a published file are copied as they are. With W the kernel as a matrix
(O, rest), the layer computes with W / sigma, sigma = u . (W v); u and v are constants for the
gradient, and sigma is differentiated through W.

A forward pass reads the vectors and never changes them. PyTorch iterates once in every forward
pass in training mode, in every layer, whether its output is used or not. Here the caller does
that, with one `iterate` before the pass; evaluation does not iterate:

    vectors = spectral.iterate(params, vectors)  # training mode only
    output = network.apply({"params": params, "spectral": vectors}, x)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

COLLECTION = "spectral"
_EPSILON = 1e-12


def normalise(module: nn.Module, kernel: jax.Array) -> jax.Array:
    """Returns `kernel` over its estimated largest singular value.

    Args:
      module: the layer that owns the kernel; its variables `u` and `v` are read from, and at
        initialisation drawn into, the collection `spectral`.
      kernel: float32, (h, w, I, O) or (I, O).
    """
    u = module.variable(COLLECTION, "u", lambda: _start(module, kernel.shape[-1])).value
    v = module.variable(COLLECTION, "v", lambda: right_vector(kernel, u)).value
    return kernel / sigma(kernel, u, v)


def sigma(kernel: jax.Array, u: jax.Array, v: jax.Array) -> jax.Array:
    """Returns u . (W v), a float32 scalar; differentiable in `kernel` only."""
    u, v = lax.stop_gradient((u, v))
    return jnp.dot(u, _apply(kernel, v), precision=lax.Precision.HIGHEST)


def iterate(params: Mapping[str, Any], vectors: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `vectors` after one power iteration: v = unit(W^T u), then u = unit(W v).

    Args:
      params: a network's nested parameters.
      vectors: the collection `spectral` of the same network: for every normalised layer a dict of
        `u` and `v` where `params` has a dict with `kernel`. May be empty.
    """
    if "u" in vectors and "v" in vectors:
        kernel, u = lax.stop_gradient((params["kernel"], vectors["u"]))
        v = right_vector(kernel, u)
        return {"u": _unit(_apply(kernel, v)), "v": v}
    return {name: iterate(params[name], below) for name, below in vectors.items()}


def right_vector(kernel: jax.Array, u: jax.Array) -> jax.Array:
    """Returns v = unit(W^T u), (I * h * w,) in PyTorch's order."""
    columns = jnp.dot(_matrix(kernel), u, precision=lax.Precision.HIGHEST)
    if kernel.ndim == 4:
        height, width, inputs, _ = kernel.shape
        columns = columns.reshape(height, width, inputs).transpose(2, 0, 1).reshape(-1)
    return _unit(columns)


def _apply(kernel: jax.Array, v: jax.Array) -> jax.Array:
    """Returns W v, (O,)."""
    if kernel.ndim == 4:
        # v is small: turning it into the kernel's order is cheaper than turning the kernel.
        height, width, inputs, _ = kernel.shape
        v = v.reshape(inputs, height, width).transpose(1, 2, 0).reshape(-1)
    return jnp.dot(v, _matrix(kernel), precision=lax.Precision.HIGHEST)


def _matrix(kernel: jax.Array) -> jax.Array:
    """Returns the transpose of W with its rest axis in the kernel's own order."""
    return kernel.reshape(-1, kernel.shape[-1])


def _unit(vector: jax.Array) -> jax.Array:
    length = jnp.sqrt(jnp.sum(jnp.square(vector)))
    return vector / jnp.maximum(length, _EPSILON)


def _start(module: nn.Module, size: int) -> jax.Array:
    return _unit(jax.random.normal(module.make_rng("params"), (size,), jnp.float32))
