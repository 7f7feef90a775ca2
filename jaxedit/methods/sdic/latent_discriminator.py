"""e4e's judge of codes and the pools that it is shown codes from (Tov et al., 2021, section 5.2).

It holds the encoder's codes near those that the mapping network makes, where edits work.
"""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxedit.layers import initializers
from jaxedit.layers.linear import Dense


class LatentDiscriminator(nn.Module):
    """Codes (..., W) to scores (..., 1): dense layers of the codes' width, leaky ReLU of slope 0.2.

    Attributes:
      layers: with the last, which gives the score.
    """

    layers: int = 4

    @nn.compact
    def __call__(self, codes: jax.Array) -> jax.Array:
        width = codes.shape[-1]
        dense = lambda features: Dense(
            features, kernel_init=initializers.torch_kernel,
            bias_init=initializers.torch_bias(width),
        )
        for _ in range(self.layers - 1):
            codes = nn.leaky_relu(dense(width)(codes), 0.2)
        return dense(1)(codes)


class Pool(NamedTuple):
    """Codes of earlier steps: `codes` (size, W), of which the first `count` are filled."""

    codes: jax.Array
    count: jax.Array


def empty_pool(size: int, width: int) -> dict[str, jax.Array]:
    """Returns a pool of `size` codes with none in it, as a state keeps it."""
    return {"codes": jnp.zeros((size, width)), "count": jnp.zeros((), jnp.int32)}


def query(
    pool: dict[str, jax.Array], codes: jax.Array, rng: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Returns codes to show, (B, W), and the pool after them.

    While it is not full, a code is kept and shown; then in half of the cases an old one is shown
    and the new one takes its place.

    Args:
      pool: of `empty_pool`.
      codes: (B, W).
      rng: a key.
    """
    size = len(pool["codes"])
    if not size:
        return codes, pool

    def one(held: Pool, given):
        code, key = given
        swap, place = jax.random.split(key)
        filling = held.count < size
        swaps = ~filling & (jax.random.uniform(swap) > 0.5)
        at = jnp.where(filling, held.count, jax.random.randint(place, (), 0, size))
        shown = jnp.where(swaps, held.codes[at], code)
        kept = jnp.where(filling | swaps, code, held.codes[at])
        count = jnp.minimum(held.count + filling, size).astype(jnp.int32)
        return Pool(held.codes.at[at].set(kept), count), shown

    held, shown = lax.scan(
        one, Pool(pool["codes"], pool["count"]), (codes, jax.random.split(rng, len(codes)))
    )
    return shown, held._asdict()
