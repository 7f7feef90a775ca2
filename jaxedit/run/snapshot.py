"""What is handed to Orbax: copies that nothing changes any more, and whether they are sound.

Orbax writes in the background while training goes on. On CPU an array that it was handed may share
memory with one that the next step donates, and a dict of the host may be the one that the loop goes
on adding to: so everything is copied first.

In a run of one process the copies are NumPy arrays. Orbax would otherwise share the writing of each
replicated array among all devices of the process, which cuts it up by one small compiled program
per shape: minutes on eight virtual CPU devices, for nothing.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

PyTree = Any


def take(tree: PyTree) -> PyTree:
    """Returns a copy of a tree of global arrays: on the host, or on the devices of several hosts.

    Random keys stay JAX arrays.
    """
    if jax.process_count() == 1:
        return _on_host(tree)
    # Other backends keep no two arrays in one buffer.
    return jax.tree.map(jnp.copy, tree) if jax.default_backend() == "cpu" else tree


def first_not_finite(tree: PyTree) -> str | None:
    """Returns the path of the first floating-point leaf that holds NaN or infinity, or None.

    Of arrays spread over several processes, it looks at the part that this process has.
    """
    for path, leaf in jax.tree.leaves_with_path(tree):
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            continue
        for part in _local_parts(leaf):
            if not np.isfinite(part).all():
                return jax.tree_util.keystr(path, simple=True, separator="/")
    return None


def _on_host(tree: PyTree) -> PyTree:
    leaves, structure = jax.tree.flatten(tree)
    numbers = [i for i, leaf in enumerate(leaves) if not _is_key(leaf)]
    # All transfers at once; on CPU it is views that come back.
    fetched = jax.device_get([leaves[i] for i in numbers])
    leaves = [jnp.copy(leaf) if _is_key(leaf) else leaf for leaf in leaves]
    for i, value in zip(numbers, fetched, strict=True):
        leaves[i] = np.array(value)
    return jax.tree.unflatten(structure, leaves)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _local_parts(leaf: Any) -> list[np.ndarray]:
    if isinstance(leaf, jax.Array):
        shards = leaf.addressable_shards
        if leaf.is_fully_replicated:
            shards = shards[:1]
        return [np.asarray(shard.data) for shard in shards]
    return [np.asarray(leaf)]
