"""Group normalisation (Wu & He, 2018), alone or followed by SiLU, with a gradient of its own.

With mean mu and reciprocal deviation r of every sample's group of channels, the layer is one scale
and one shift per sample and channel:

    u = A x + B,   A = r gamma,   B = beta - mu A,   y = u or silu(u) = u sigmoid(u)

and its gradient needs two sums per sample and channel. With du the gradient in u:

    s1 = sum du,   s2 = r (sum du x - mu s1)          (over pixels)
    dbeta = sum s1,   dgamma = sum s2                 (over samples)
    dx = A du + K x + L,   K = -r^2 m2,   L = -r m1 - K mu

where m1 and m2 are the sums of gamma s1 and gamma s2 over a group, divided by its number of values.
Both ways, x is read three times and nothing of its size is kept but x itself.

The sums over pixels run in two stages, which keeps them exact to float32 and vectorised on CPU.
"""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxedit.layers import initializers

_PARTS = 16  # of the pixels, summed apart


def group_norm(
    x: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    *,
    groups: int = 32,
    epsilon: float = 1e-5,
    silu: bool = False,
) -> jax.Array:
    """Normalises over pixels and the channels of a group, then scales and shifts per channel.

    Args:
      x: (B, ..., C) with at least one axis between; C a multiple of `groups`.
      scale, bias: gamma and beta, (C,).
      groups: neighbouring channels are in one group.
      epsilon: added to the biased variance.
      silu: whether u sigmoid(u) follows.

    Returns:
      The shape and dtype of `x`; computed in float32.
    """
    channels = x.shape[-1]
    if channels % groups:
        raise ValueError(f"{channels} channels do not divide into {groups} groups")
    values = x.astype(jnp.float32).reshape(x.shape[0], -1, channels)
    y = _group_norm(groups, epsilon, silu, values, scale, bias)
    return y.reshape(x.shape).astype(x.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _group_norm(groups, epsilon, silu, x, scale, bias):
    return _forward(groups, epsilon, silu, x, scale, bias)[0]


def _forward(groups, epsilon, silu, x, scale, bias):
    mean = _over_group(_sum(x), groups) / _count(x, groups)
    mean = _per_channel(mean, x)
    centred = x - mean[:, None]
    variance = _over_group(_sum(jnp.square(centred)), groups) / _count(x, groups)
    r = _per_channel(lax.rsqrt(variance + epsilon), x)
    u = (r * scale)[:, None] * centred + bias
    return nn.silu(u) if silu else u, (x, scale, bias, mean, r)


def _backward(groups, epsilon, silu, saved, g):
    x, scale, bias, mean, r = saved
    a = r * scale
    if silu:
        sigmoid = nn.sigmoid(a[:, None] * (x - mean[:, None]) + bias)
        u = a[:, None] * (x - mean[:, None]) + bias
        g = lax.optimization_barrier(g * sigmoid * (1 + u * (1 - sigmoid)))
    s1 = _sum(g)
    s2 = r * (_sum(g * (x - mean[:, None])))
    m1, m2 = (
        _per_channel(_over_group(scale * s, groups) / _count(x, groups), x) for s in (s1, s2)
    )
    k = -r * r * m2
    dx = a[:, None] * g + k[:, None] * (x - mean[:, None]) - (r * m1)[:, None]
    return dx, s2.sum(0), s1.sum(0)


_group_norm.defvjp(_forward, _backward)


def _count(x: jax.Array, groups: int) -> int:
    return x.shape[1] * x.shape[2] // groups


def _sum(x: jax.Array) -> jax.Array:
    """Sums over pixels in two stages: (B, N, C) -> (B, C)."""
    batch, pixels, channels = x.shape
    if pixels % _PARTS:
        return x.sum(1)
    return x.reshape(batch, _PARTS, -1, channels).sum(2).sum(1)


def _over_group(sums: jax.Array, groups: int) -> jax.Array:
    """Sums over the channels of a group: (B, C) -> (B, groups)."""
    return sums.reshape(sums.shape[0], groups, -1).sum(2)


def _per_channel(values: jax.Array, x: jax.Array) -> jax.Array:
    """Repeats a group's value for its channels: (B, groups) -> (B, C)."""
    return jnp.repeat(values, x.shape[2] // values.shape[1], axis=1)


class GroupNorm(nn.Module):
    """Group normalisation: parameters `scale` and `bias` (C,), float32.

    Attributes:
      groups, epsilon, silu: as in `group_norm`.
      dtype: dtype of the result.
    """

    groups: int = 32
    epsilon: float = 1e-5
    silu: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, ..., C) -> (B, ..., C)."""
        shape = x.shape[-1:]
        scale = initializers.parameter(self, "scale", nn.initializers.ones, shape)
        bias = initializers.parameter(self, "bias", nn.initializers.zeros, shape)
        y = group_norm(
            x, scale, bias, groups=self.groups, epsilon=self.epsilon, silu=self.silu
        )
        return y.astype(self.dtype)
