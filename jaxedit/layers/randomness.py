"""Random draws that belong to samples, so that a sample gets the same ones in a batch of any size.

    keys = sample_keys(rng, len(image))
    noise = jax.vmap(lambda key: jax.random.normal(key, image.shape[1:]))(keys)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def sample_keys(rng: jax.Array, count: int) -> jax.Array:
    """Returns one key per sample (`count`,).

    Args:
      rng: a key per sample already (`count`,), which is returned as it is, or a single key, which
        is folded with each sample's place in the batch.
      count: samples in the batch.
    """
    if rng.ndim:
        return rng
    return jax.vmap(lambda place: jax.random.fold_in(rng, place))(jnp.arange(count))
