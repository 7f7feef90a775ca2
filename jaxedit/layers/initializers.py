"""Parameters of layers: how they are drawn, and PyTorch's default initialisation.

PyTorch's weights and biases are uniform within 1 / sqrt(fan-in) of zero. For a transposed
convolution it counts the fan-in over the output channels, and so does `torch_kernel` for kernels as
`layers.transposed` stores them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

# One object for each number, which `parameter` can know again.
normal = functools.lru_cache(nn.initializers.normal)
constant = functools.lru_cache(nn.initializers.constant)
orthogonal = functools.lru_cache(nn.initializers.orthogonal)
_traced_once = functools.lru_cache(maxsize=512)(functools.partial(jax.jit, static_argnums=(1, 2)))

torch_kernel = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def parameter(
    module: nn.Module, name: str, initialise: Callable, shape: tuple[int, ...]
) -> jax.Array:
    """Returns a float32 parameter of a layer, as `module.param` does.

    Flax traces the initialiser of every parameter each time that a network is applied, to compare
    shapes: a third of the time that tracing a step of a network of 200 layers took. Here an
    initialiser is traced once for each shape.

    Args:
      module: whose parameter it is, inside its compact method.
      name: the parameter's.
      initialise: (rng, shape, dtype) -> array. One that is made anew at every call is traced anew.
      shape: of the parameter.
    """
    return module.param(name, _traced_once(initialise), shape, jnp.float32)


@functools.lru_cache(maxsize=512)
def torch_bias(fan_in: int) -> Callable:
    """Returns the initialiser of a bias whose layer has `fan_in` inputs per output."""
    limit = 1 / math.sqrt(fan_in)

    def initialise(rng: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype) -> jax.Array:
        return jax.random.uniform(rng, shape, dtype, -limit, limit)

    return initialise
