"""Rates and updates of DPT's pre-training and of MatteFormer's fine-tuning.

Both ramp the rate up linearly and then follow a cosine to 0; DPT counts in epochs (the rate is
constant within one), MatteFormer in steps. Both clip at twice the running mean of the gradient's
norm before the update (`clipping`).
"""

from __future__ import annotations

import jax.numpy as jnp
import ml_collections
import optax

from jaxedit.optim import clipping


def create(
    optim: ml_collections.ConfigDict, total_steps: int
) -> optax.GradientTransformation:
    """Returns the transformation that `config.optim` describes.

    Args:
      optim: kind, lr, betas, eps, weight_decay, schedule, warmup, total, steps_per_epoch, clip,
        clip_decay.
      total_steps: where the cosine ends if `optim.total` is 0 (in steps, or rounded up to epochs).
    """
    per_unit = optim.steps_per_epoch if optim.schedule == "epochs" else 1
    total = optim.total or -(-total_steps // per_unit)
    rate = schedule(optim.lr, optim.warmup, total, per_unit)
    b1, b2 = optim.betas
    if optim.kind == "adamw":
        # On every tensor, biases and normalisation included, as published.
        update = optax.adamw(rate, b1=b1, b2=b2, eps=optim.eps, weight_decay=optim.weight_decay)
    else:
        update = optax.adam(rate, b1=b1, b2=b2, eps=optim.eps)
    if not optim.clip:
        return update
    return optax.chain(clipping.clip_by_running_norm(optim.clip_decay), update)


def schedule(lr: float, warmup: int, total: int, steps_per_unit: int = 1) -> optax.Schedule:
    """Returns step (from 0) -> rate: `lr u / warmup` up to unit `warmup`, then a cosine to 0.

    u = 1, 2, ... numbers the units (epochs or steps). At `total` and after it the rate is 0; a
    `total` inside the warm-up leaves the ramp alone.
    """

    def rate(step):
        unit = jnp.asarray(step // steps_per_unit + 1, jnp.float32)
        along = jnp.clip((unit - warmup) / max(1, total - warmup), 0.0, 1.0)
        cosine = 0.5 * (1 + jnp.cos(jnp.pi * along))
        return lr * jnp.where(unit <= warmup, unit / max(1, warmup), cosine)

    return rate
