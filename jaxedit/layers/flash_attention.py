"""Attention over many tokens without the matrix of all pairs (Dao et al., "FlashAttention", 2022).

    o = softmax(scale q k^T) v

On CPU the queries come in chunks: a chunk's weights fill the cache and never leave it. What is kept
for the backward pass is o and, per query, the logarithm l of its weights' sum; the weights are
p = exp(scale q k^T - l) again. With do the gradient in o (section 3.1, appendix B.2):

    dv = p^T do,   dp = do v^T,   ds = p (dp - sum(do o)),   dq = scale ds k,   dk = scale ds^T q

A column of ones beside v makes the sums of the weights part of the product with v. GPU and TPU
get the plain form, which XLA fuses.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax

from jaxedit.layers import platforms

_CHUNK = 256  # queries


def attention(
    q: jax.Array, k: jax.Array, v: jax.Array, *, scale: float | None = None
) -> jax.Array:
    """Returns softmax(scale q k^T) v for every sample and head.

    Args:
      q: (B, N, heads, D).
      k: (B, M, heads, D).
      v: (B, M, heads, E).
      scale: default D^-1/2.

    Returns:
      (B, N, heads, E), of the dtype of `v`. Differentiable in reverse mode, to any order.
    """
    if scale is None:
        scale = q.shape[-1] ** -0.5
    heads_first = lambda values: values.swapaxes(1, 2)
    o = _attention(float(scale), heads_first(q), heads_first(k), heads_first(v))
    return heads_first(o)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attention(scale, q, k, v):
    return _forward(scale, q, k, v)[0]


def _forward(scale, q, k, v):
    o, total = platforms.dependent(
        q,
        k,
        v,
        cpu=functools.partial(_chunked, scale),
        default=functools.partial(_plain, scale),
    )
    return o, (q, k, v, o, total)


def _backward(scale, saved, g):
    return platforms.dependent(
        *saved,
        g,
        cpu=functools.partial(_chunked_gradients, scale),
        default=functools.partial(_gradients, scale),
    )


_attention.defvjp(_forward, _backward)


def _plain(scale, q, k, v):
    """Returns o and l: (B, heads, N, E) and (B, heads, N, 1)."""
    logits = scale * jnp.matmul(q, k.swapaxes(2, 3), preferred_element_type=jnp.float32)
    highest = logits.max(-1, keepdims=True)
    weights = jnp.exp(logits - highest)
    ones = jnp.ones((*v.shape[:-1], 1), v.dtype)
    both = jnp.matmul(
        weights.astype(v.dtype),
        jnp.concatenate([v, ones], -1),
        preferred_element_type=jnp.float32,
    )
    o, total = both[..., :-1], both[..., -1:]
    return (o / total).astype(v.dtype), highest + jnp.log(total)


def _gradients(scale, q, k, v, o, total, g):
    """Returns dq, dk and dv."""
    weights, ds = _weights_and_slopes(scale, q, k, v, o, total, g)
    return (
        scale * jnp.matmul(ds, k),
        scale * jnp.matmul(ds.swapaxes(2, 3), q),
        jnp.matmul(weights.swapaxes(2, 3), g),
    )


def _weights_and_slopes(scale, q, k, v, o, total, g):
    logits = scale * jnp.matmul(q, k.swapaxes(2, 3), preferred_element_type=jnp.float32)
    weights = jnp.exp(logits - total)
    dp = jnp.matmul(g, v.swapaxes(2, 3), preferred_element_type=jnp.float32)
    mean = jnp.sum((g * o).astype(jnp.float32), -1, keepdims=True)
    return weights.astype(q.dtype), (weights * (dp - mean)).astype(q.dtype)


def _chunked(scale, q, k, v):
    chunks = _split(q)
    o, total = lax.map(lambda q: _plain(scale, q, k, v), chunks)
    return _join(o, q.shape[2]), _join(total, q.shape[2])


def _chunked_gradients(scale, q, k, v, o, total, g):
    def add_chunk(sums, chunk):
        q, o, total, g = chunk
        weights, ds = _weights_and_slopes(scale, q, k, v, o, total, g)
        # Transposed, (D, M): the products' long side stays the contiguous one.
        dk = sums[0] + jnp.matmul(q.swapaxes(2, 3), ds)
        dv = sums[1] + jnp.matmul(g.swapaxes(2, 3), weights)
        return (dk, dv), scale * jnp.matmul(ds, k)

    start = tuple(jnp.zeros_like(values.swapaxes(2, 3)) for values in (k, v))
    (dk, dv), dq = lax.scan(add_chunk, start, tuple(map(_split, (q, o, total, g))))
    return _join(dq, q.shape[2]), scale * dk.swapaxes(2, 3), dv.swapaxes(2, 3)


def _split(x: jax.Array) -> jax.Array:
    """(B, heads, N, D) -> (chunks, B, heads, queries, D), the last chunk filled up with zeros."""
    batch, heads, queries, depth = x.shape
    chunks = -(-queries // _CHUNK)
    size = -(-queries // chunks)
    x = jnp.pad(x, ((0, 0), (0, 0), (0, chunks * size - queries), (0, 0)))
    return jnp.moveaxis(x.reshape(batch, heads, chunks, size, depth), 2, 0)


def _join(x: jax.Array, queries: int) -> jax.Array:
    """The inverse of `_split`."""
    chunks, batch, heads, size, depth = x.shape
    return jnp.moveaxis(x, 0, 2).reshape(batch, heads, chunks * size, depth)[:, :, :queries]
