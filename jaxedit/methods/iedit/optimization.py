"""What iEdit's parts share of training: AdamW behind a clip of gradients, and averages."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import optax

from jaxedit.optim import schedules


def adamw(optim: ml_collections.ConfigDict, total_steps: int) -> optax.GradientTransformation:
    """Returns the optimizer that `config.optim` describes; a clip of 0 does not clip."""
    b1, b2 = optim.betas
    rate = schedules.warmed_up(optim.schedule, optim.lr, optim.warmup, total_steps)
    adam = optax.adamw(
        rate, b1=b1, b2=b2, eps=optim.eps, weight_decay=optim.weight_decay
    )
    return optax.chain(optax.clip_by_global_norm(optim.clip), adam) if optim.clip else adam


def average(before: Any, params: Any, decay: float, step: jax.Array) -> Any:
    """Returns averaged parameters after a step: decay x before + (1 - decay) x params.

    As in the published code of latent diffusion, n steps are averaged with the decay
    (1 + n) / (10 + n) at most, so that the first, random parameters are soon forgotten.

    Args:
      before, params: trees of the same shapes.
      decay: the largest.
      step: finished steps before this one.
    """
    count = jnp.asarray(step, jnp.float32) + 1
    return optax.incremental_update(
        params, before, step_size=1 - jnp.minimum(decay, (1 + count) / (10 + count))
    )
