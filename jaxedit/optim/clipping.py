"""Clipping at twice the running mean of the gradient's norm, as MatteFormer trains.

The norm that enters the mean is that before clipping, and it enters after the limit of its own step
was taken. The first step's limit is so large that it only starts the mean.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

_EPSILON = 1e-6


class RunningNormState(NamedTuple):
    """Float32 scalars: the running mean of the norm, 0 before the first step; the last limit."""

    running: jax.Array
    limit: jax.Array


def clip_by_running_norm(
    decay: float = 0.999, factor: float = 2.0, first_limit: float = 1e6
) -> optax.GradientTransformation:
    """Returns the transformation that scales updates down to the limit of their step.

    Step 1: limit `first_limit`, running = norm. Later: limit `factor` x running, then running =
    decay x running + (1 - decay) x norm. Gradients over the limit are multiplied by
    limit / (norm + 1e-6). A norm that is not finite leaves the running mean as it is: in the
    published loop it would end the run.

    Args:
      decay: of the running mean.
      factor: how many times the running mean the norm may be.
      first_limit: the limit while there is no running mean.
    """

    def init(params: optax.Params) -> RunningNormState:
        del params
        return RunningNormState(jnp.zeros((), jnp.float32), jnp.zeros((), jnp.float32))

    def update(updates, state, params=None):
        del params
        norm = optax.tree.norm(updates).astype(jnp.float32)
        first = state.running == 0
        bound = jnp.where(first, first_limit, factor * state.running)
        scale = jnp.minimum(bound / (norm + _EPSILON), 1.0)
        clipped = jax.tree.map(lambda x: x * scale.astype(x.dtype), updates)
        running = jnp.where(first, norm, decay * state.running + (1 - decay) * norm)
        running = jnp.where(jnp.isfinite(norm), running, state.running)
        return clipped, RunningNormState(running, bound)

    return optax.GradientTransformation(init, update)


def limit(state: optax.OptState) -> jax.Array | None:
    """Returns the limit of the last step, a float32 scalar, for the log.

    Args:
      state: an optimizer's state that may hold that of `clip_by_running_norm` at any depth.

    Returns:
      The limit, 0 before the first step; None where nothing clips.
    """
    is_ours = lambda node: isinstance(node, RunningNormState)
    found = [node for node in jax.tree.leaves(state, is_leaf=is_ours) if is_ours(node)]
    return found[0].limit if found else None
