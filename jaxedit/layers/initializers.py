"""PyTorch's default initialisation of convolutions and dense layers.

Weights and biases are uniform within 1 / sqrt(fan-in) of zero. For a transposed convolution PyTorch
counts the fan-in over the output channels, and so does `torch_kernel` for kernels as
`layers.transposed` stores them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

torch_kernel = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def torch_bias(fan_in: int) -> Callable:
    """Returns the initialiser of a bias whose layer has `fan_in` inputs per output."""
    limit = 1 / math.sqrt(fan_in)

    def initialise(rng: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype) -> jax.Array:
        return jax.random.uniform(rng, shape, dtype, -limit, limit)

    return initialise
