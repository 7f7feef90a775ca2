"""Normalisation: of batches as PyTorch defines it, of whole samples as TensorFlow's slim does.

Batch normalisation (Ioffe and Szegedy, 2015): the batch is normalised by its biased variance; the
running variance is fed the unbiased one, N / (N - 1) times as large with N the number of values per
channel. Under `jit` with a sharded batch, the statistics are those of the whole batch (PyTorch's
SyncBatchNorm); under `pmap` they are so when `axis_name` names the mapped axis, and those of one
device's share otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxedit.layers import initializers

COLLECTION = "batch_stats"


class BatchNorm(nn.Module):
    """Normalisation over all axes but the last: parameters `scale` and `bias`, and in the
    collection `batch_stats` the running `mean` and `var`; all (C,) and float32.

    Attributes:
      momentum: the share of a new batch in the running statistics (PyTorch's convention).
      epsilon: added to the variance.
      axis_name: a mapped axis over which the batch statistics are joined, or None.
      scale_init: initialiser of the scale.
      dtype: dtype of the result; statistics are always float32.
    """

    momentum: float = 0.1
    epsilon: float = 1e-5
    axis_name: str | None = None
    scale_init: Callable = nn.initializers.ones
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """(..., C) -> (..., C); with `train`, `batch_stats` must be mutable."""
        shape = x.shape[-1:]
        scale = initializers.parameter(self, "scale", self.scale_init, shape)
        bias = initializers.parameter(self, "bias", nn.initializers.zeros, shape)
        running_mean = self.variable(COLLECTION, "mean", jnp.zeros, shape, jnp.float32)
        running_variance = self.variable(COLLECTION, "var", jnp.ones, shape, jnp.float32)
        x = x.astype(jnp.float32)
        if train:
            mean, variance, count = self._statistics(x)
            if not self.is_initializing():
                unbiased = variance * (count / jnp.maximum(count - 1, 1))
                for running, new in ((running_mean, mean), (running_variance, unbiased)):
                    running.value += self.momentum * (lax.stop_gradient(new) - running.value)
        else:
            mean, variance = running_mean.value, running_variance.value
        y = (x - mean) * (scale * lax.rsqrt(variance + self.epsilon)) + bias
        return y.astype(self.dtype)

    def _statistics(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Returns mean and biased variance per channel, and the number of values behind them."""
        joined = self.axis_name is not None and not self.is_initializing()
        join = (lambda value: lax.pmean(value, self.axis_name)) if joined else (lambda value: value)
        axes = tuple(range(x.ndim - 1))
        count = jnp.float32(x.size // x.shape[-1])
        if joined:
            count = lax.psum(count, self.axis_name)
        mean = join(jnp.mean(x, axes))
        return mean, join(jnp.mean(jnp.square(x - mean), axes)), count


class SampleNorm(nn.Module):
    """Layer normalisation over height, width and channels of a sample together (slim's
    `layer_norm`), not over its channels alone: parameters `scale` and `bias`, (C,) and float32.

    Attributes:
      epsilon: added to the variance; slim's.
      dtype: dtype of the result; statistics are always float32.
    """

    epsilon: float = 1e-12
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, H, W, C)."""
        shape = x.shape[-1:]
        scale = initializers.parameter(self, "scale", nn.initializers.ones, shape)
        bias = initializers.parameter(self, "bias", nn.initializers.zeros, shape)
        x = x.astype(jnp.float32)
        axes = tuple(range(1, x.ndim))
        mean = jnp.mean(x, axes, keepdims=True)
        variance = jnp.mean(jnp.square(x - mean), axes, keepdims=True)
        gain = scale * lax.rsqrt(variance + self.epsilon)
        return (x * gain + (bias - mean * gain)).astype(self.dtype)


def unit_length(x: jax.Array, epsilon: float = 1e-12) -> jax.Array:
    """Divides (..., C) by its L2 norm over the last axis, or by `epsilon` where that is larger."""
    squares = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
    # Under the root, whose gradient at nothing is infinite.
    return x * lax.rsqrt(jnp.maximum(squares, epsilon**2))
