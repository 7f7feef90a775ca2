"""Which rows of a large collection score highest for each query: blocked, jitted, over devices.

The score is any function of the queries and a block of the collection: inner products of features,
overlaps of masks. The collection may be larger than a device's memory, or lie in memory-mapped
files: only a block of it is on the devices at a time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec

PyTree = Any
Score = Callable[[PyTree, PyTree], jax.Array]
_ROWS = 4096


def inner_product(queries: jax.Array, block: jax.Array) -> jax.Array:
    """Returns the inner products (Q, B) of rows, float32; of normalised ones their cosines."""
    return lax.dot_general(
        queries, block, (((1,), (1,)), ((), ())), preferred_element_type=jnp.float32,
        precision=lax.Precision.HIGHEST,
    )


def search(
    queries: PyTree,
    collection: PyTree,
    k: int,
    *,
    score: Score = inner_product,
    rows: int = _ROWS,
    mesh: Mesh | None = None,
    approximate: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (scores float32 (Q, k), rows int32 (Q, k)), by falling score, ties by lower row.

    Where there are fewer rows than `k`, or a score is -inf, the row is -1 and the score -inf.

    Args:
      queries: a pytree of arrays, queries first.
      collection: a pytree of arrays, rows first; NumPy's, memory-mapped or not, or JAX's.
      k: how many rows to return for each query, at least 1.
      score: (queries, a block of the collection) -> (Q, rows of the block); traced, and compiled
        anew for every other function object. -inf leaves a row out.
      rows: of a block. Each block is scored for all queries at once, which needs memory for
        Q x rows scores and for whatever the score makes of a block.
      mesh: devices, along its first axis, that share each block; None takes the default device.
      approximate: on TPUs `lax.approx_max_k`, which may miss some; exact elsewhere.

    Raises:
      ValueError: the arrays of the collection differ in their number of rows, or k is below 1.
    """
    lengths = {len(leaf) for leaf in jax.tree.leaves(collection)}
    if len(lengths) != 1 or k < 1:
        raise ValueError(f"a collection of {sorted(lengths)} rows cannot be searched for {k}")
    (count,) = lengths
    parts = 1 if mesh is None else mesh.shape[mesh.axis_names[0]]
    rows = -(-min(rows, max(count, 1)) // parts) * parts
    many = len(jax.tree.leaves(queries)[0])
    best = jnp.full((many, k), -jnp.inf), jnp.full((many, k), -1, jnp.int32)
    for start in range(0, count, rows):
        # The last block reaches back, so that all have one shape; what was seen is masked.
        begin = max(0, min(start, count - rows))
        block = jax.tree.map(lambda leaf, begin=begin: _block(leaf, begin, rows), collection)
        best = _step(
            best, queries, block, jnp.int32(begin), jnp.int32(start), jnp.int32(count),
            score=score, mesh=mesh, approximate=approximate,
        )
    values, found = (np.asarray(part) for part in best)
    return values, np.where(np.isneginf(values), -1, found)


def _block(leaf: Any, begin: int, rows: int) -> Any:
    if len(leaf) < rows:  # the only block, on devices that do not divide it
        pad = jnp.pad if isinstance(leaf, jax.Array) else np.pad
        return pad(leaf, [(0, rows - len(leaf))] + [(0, 0)] * (leaf.ndim - 1))
    if isinstance(leaf, jax.Array):
        return _slice(leaf, begin, rows)
    return leaf[begin : begin + rows]


@functools.partial(jax.jit, static_argnums=2)
def _slice(leaf: jax.Array, begin: jax.Array, rows: int) -> jax.Array:
    return lax.dynamic_slice_in_dim(leaf, begin, rows)


@functools.partial(jax.jit, static_argnames=("score", "mesh", "approximate"))
def _step(
    best: tuple[jax.Array, jax.Array],
    queries: PyTree,
    block: PyTree,
    begin: jax.Array,
    start: jax.Array,
    count: jax.Array,
    *,
    score: Score,
    mesh: Mesh | None,
    approximate: bool,
) -> tuple[jax.Array, jax.Array]:
    """Returns the best so far and of a block whose first row is `begin`; rows below `start` are
    known already."""
    k = best[0].shape[1]

    def local(queries: PyTree, block: PyTree, offset: jax.Array) -> tuple[jax.Array, jax.Array]:
        values = score(queries, block).astype(jnp.float32)
        index = offset + jnp.arange(values.shape[1], dtype=jnp.int32)
        values = jnp.where((index >= start) & (index < count), values, -jnp.inf)
        kept = min(k, values.shape[1])
        if approximate:
            values, places = lax.approx_max_k(values, kept)
        else:
            values, places = lax.top_k(values, kept)
        return values, index[places]

    if mesh is None:
        values, index = local(queries, block, begin)
    else:
        axis = mesh.axis_names[0]

        def on_device(queries: PyTree, block: PyTree) -> tuple[jax.Array, jax.Array]:
            each = len(jax.tree.leaves(block)[0])
            found = local(queries, block, begin + each * lax.axis_index(axis))
            return tuple(lax.all_gather(part, axis, axis=1, tiled=True) for part in found)

        split, whole = PartitionSpec(axis), PartitionSpec()
        values, index = jax.shard_map(
            on_device, mesh=mesh, in_specs=(whole, split), out_specs=(whole, whole),
            check_vma=False,
        )(queries, block)
    # The best so far stand first, and devices in their order: of equals the lower row wins.
    values = jnp.concatenate([best[0], values], axis=1)
    index = jnp.concatenate([best[1], index], axis=1)
    values, places = lax.top_k(values, k)
    return values, jnp.take_along_axis(index, places, axis=1)
