"""A row of equal blocks, compiled once on CPU.

Winograd's many small programs make a block slow to compile (`layers.winograd`). Equal blocks in a
row share them when a loop, `lax.scan`, runs over their stacked parameters; the parameters
themselves stay where they are, one entry per block. On GPU and TPU the blocks are written out.

Only for blocks whose convolutions all become matrix products: XLA's own convolutions lose their
threads inside a loop, and their gradients are then many times slower.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxedit.layers import platforms

_FEWEST = 3  # blocks; two are as well written out


def pays(blocks: int, matrix_products: Sequence[bool]) -> bool:
    """Whether to loop: over enough blocks, all of whose convolutions are matrix products."""
    return blocks >= _FEWEST and all(matrix_products)


def apply_blocks(block: nn.Module, params: Sequence[Any], x: jax.Array) -> jax.Array:
    """Applies `block` once with each of `params`, the output of one being the input of the next.

    Args:
      block: an unbound module (`parent=None`) that takes and gives arrays of the shape of `x`, with
        no variables but parameters, and no randomness.
      params: one tree per application, all of the same shapes.
      x: the first input.
    """
    apply = lambda x, params: block.apply({"params": params}, x)

    def looped(x, params):
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *params)
        return lax.scan(lambda x, params: (apply(x, params), None), x, stacked)[0]

    def written_out(x, params):
        for one in params:
            x = apply(x, one)
        return x

    return platforms.dependent(x, list(params), cpu=looped, default=written_out)
