"""Gradients shared by every method: accumulation over micro-batches, synchronisation, norms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

PyTree = Any


def synchronise(tree: PyTree, axis_name: str | None) -> PyTree:
    """Returns `tree` averaged over the mapped axis, or `tree` itself outside of `pmap`."""
    return tree if axis_name is None else jax.lax.pmean(tree, axis_name)


def accumulate(
    value_and_grad: Callable[[PyTree, PyTree, Any], tuple[tuple[Any, PyTree], PyTree]],
    params: PyTree,
    carried: PyTree,
    batch: Any,
    steps: int,
) -> tuple[tuple[Any, PyTree], PyTree]:
    """Averages gradients over `steps` micro-batches, one after the other, to save memory.

    Args:
      value_and_grad: (params, carried, micro-batch) -> ((value, carried), gradients); `value` is
        a pytree of means over the micro-batch, `carried` (spectral or batch statistics) is handed
        from one micro-batch to the next.
      params: what is differentiated.
      carried: the first `carried`.
      batch: a pytree whose leaves have the batch as first axis, divisible by `steps`.
      steps: the number of micro-batches; 1 calls `value_and_grad` once, unchanged.

    Returns:
      ((mean value, last carried), mean gradients).

    A loss that is a mean over samples gives the same gradients as the whole batch. Losses that
    couple samples (batch negatives, ratios of batch means) see one micro-batch at a time.

    Raises:
      ValueError: the batch does not divide into `steps` equal parts.
    """
    if steps == 1:
        return value_and_grad(params, carried, batch)
    sizes = {x.shape[0] for x in jax.tree.leaves(batch)}
    if any(size % steps for size in sizes):
        raise ValueError(
            f"A batch of {sorted(sizes)} samples does not divide into {steps} micro-batches"
        )
    # Strided parts: under a mesh every device keeps a share of each micro-batch.
    parts = jax.tree.map(
        lambda x: x.reshape((x.shape[0] // steps, steps) + x.shape[1:]).swapaxes(0, 1), batch
    )
    first = jax.tree.map(lambda x: x[0], parts)
    shapes = jax.eval_shape(value_and_grad, params, carried, first)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), (shapes[0][0], shapes[1]))

    def body(carry, part):
        carried, value_sum, grad_sum = carry
        (value, carried), grads = value_and_grad(params, carried, part)
        return (
            carried,
            jax.tree.map(jnp.add, value_sum, value),
            jax.tree.map(jnp.add, grad_sum, grads),
        ), None

    (carried, value_sum, grad_sum), _ = jax.lax.scan(body, (carried, *zeros), parts)
    mean = lambda tree: jax.tree.map(lambda x: x / steps, tree)  # noqa: E731
    return (mean(value_sum), carried), mean(grad_sum)


def norm(tree: PyTree) -> jax.Array:
    """Returns the L2 norm over all leaves, a float32 scalar."""
    return optax.tree.norm(tree)
