"""Sampling and inversion by DDIM without noise of its own (Song et al., 2021), with guidance.

One step from level t to level p, with z_0 and e as predicted at t:

    z_p = sqrt(abar_p) z_0 + sqrt(1 - abar_p) e

Every sampling of N steps is one `lax.scan`. How many of its moves are made, guidance and masks are
arrays: one program serves all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxedit.models.diffusion.schedule import Schedule, per_sample

Predict = Callable[[jax.Array, jax.Array], jax.Array]  # latents (B, ...), steps (B,) -> (B, ...)


class Moves(NamedTuple):
    """What happened at each of N steps, in their order; zeros at those that were left out.

    Attributes:
      latents: after the step, (N, B, ...).
      clean: z_0 as predicted at the step, (N, B, ...).
      predictions: of the network, after guidance, (N, B, ...).
    """

    latents: jax.Array
    clean: jax.Array
    predictions: jax.Array


class Blend(NamedTuple):
    """What every step takes from elsewhere.

    Attributes:
      mask: (B, h, w, 1) in [0, 1]: 1 where the sampler's latents stay.
      levels: (N, B, h, w, C): what stands elsewhere after each step, at that step's level; see
        `noised_levels` and `inverted_levels`.
    """

    mask: jax.Array
    levels: jax.Array


def guide(unconditional: jax.Array, conditional: jax.Array, guidance: jax.Array) -> jax.Array:
    """Classifier-free guidance (Ho & Salimans, 2021): u + w (c - u).

    Args:
      unconditional, conditional: (B, ...); the former of the empty text, or of a negative one.
      guidance: w, one number or (B,).
    """
    guidance = per_sample(jnp.asarray(guidance, unconditional.dtype), unconditional)
    return unconditional + guidance * (conditional - unconditional)


def conditioned(network: Callable[..., jax.Array], text: jax.Array) -> Predict:
    """Returns the prediction under `text` (B, M, D) alone, which is guidance 1.

    Args:
      network: latents (B, ...), steps (B,), text states (B, M, D) -> prediction.
    """
    return lambda latents, time: network(latents, time, text)


def guided(
    network: Callable[..., jax.Array],
    text: jax.Array,
    negative: jax.Array,
    guidance: jax.Array,
) -> Predict:
    """Returns the guided prediction; the network runs once, on twice the batch.

    Args:
      network: as in `conditioned`.
      text: states of the prompt, (B, M, D).
      negative: states of what to lead away from, the empty prompt as a rule: (B or 1, M, D).
      guidance: as in `guide`.
    """
    negative = jnp.broadcast_to(negative, text.shape)
    both = jnp.concatenate([negative, text])

    def predict(latents: jax.Array, time: jax.Array) -> jax.Array:
        double = lambda values: jnp.concatenate([values, values])
        return guide(*jnp.split(network(double(latents), double(time), both), 2), guidance)

    return predict


def moves_of(ratio: jax.Array | float, steps: int) -> jax.Array:
    """Returns how many of `steps` moves an encoding ratio in [0, 1] asks for: min(int(N r), N).

    One ratio, or one per sample.
    """
    # A ratio like 0.7 is a little less in float32, and N r with it.
    counted = jnp.floor(jnp.asarray(ratio, jnp.float32) * steps + 1e-4).astype(jnp.int32)
    return jnp.clip(counted, 0, steps)


def sample(
    schedule: Schedule,
    predict: Predict,
    latents: jax.Array,
    steps: int,
    *,
    moves: jax.Array | int | None = None,
    blend: Blend | None = None,
) -> tuple[jax.Array, Moves]:
    """Samples.

    Args:
      schedule: of the diffusion.
      predict: the network under its text, see `guided` and `conditioned`.
      latents: (B, h, w, C), of the level of the first move: normal noise, or what `invert` or
        `noised_start` gave for `moves`.
      steps: N, of a whole sampling.
      moves: how many of them are made, the last ones: one number or (B,), which may be traced; all
        by default.
      blend: what stands outside of a mask.

    Returns:
      The latents (B, h, w, C) free of noise, and what every step did.
    """
    times = jnp.asarray(schedule.timesteps(steps))
    moves = jnp.asarray(steps if moves is None else moves, jnp.int32)
    latents = jnp.asarray(latents, jnp.float32)  # whatever the network computes in

    def move(latents: jax.Array, time: jax.Array, level: jax.Array | None):
        before = time - schedule.stride(steps)
        return _move(schedule, predict, latents, time, time, before, blend, level)

    def step(latents: jax.Array, inputs):
        index, time, level = inputs
        made = lambda latents: move(latents, time, level)
        return _either(index >= steps - moves, made, latents)

    levels = None if blend is None else blend.levels
    return lax.scan(step, latents, (jnp.arange(steps), times, levels))


def invert(
    schedule: Schedule,
    predict: Predict,
    latents: jax.Array,
    steps: int,
    *,
    moves: jax.Array | int | None = None,
) -> tuple[jax.Array, Moves]:
    """Walks the sampler's steps upwards, from latents free of noise: DDIM inversion.

    The network is evaluated at the step that is moved to. `predict` is to have guidance 1.

    Args:
      latents: z_0, (B, h, w, C).
      moves: how many of the moves are made, the first ones: one number or (B,), which may be
        traced; all by default.

    Returns:
      The latents after the last move that was made, and what every move did.
    """
    times = jnp.asarray(schedule.timesteps(steps)[::-1].copy())
    moves = jnp.asarray(steps if moves is None else moves, jnp.int32)
    latents = jnp.asarray(latents, jnp.float32)  # whatever the network computes in

    def step(latents: jax.Array, inputs):
        index, time = inputs
        below = time - schedule.stride(steps)
        made = lambda latents: _move(schedule, predict, latents, time, below, time, None, None)
        return _either(index < moves, made, latents)

    return lax.scan(step, latents, (jnp.arange(steps), times))


def noised_start(
    schedule: Schedule,
    latents: jax.Array,
    noise: jax.Array,
    steps: int,
    moves: jax.Array | int | None = None,
) -> jax.Array:
    """Returns z_t of z_0 at the level where the last `moves` of `steps` steps begin.

    With no move, the latents as they are.
    """
    times = jnp.asarray(schedule.timesteps(steps))
    moves = jnp.asarray(steps if moves is None else moves, jnp.int32)
    time = times[jnp.clip(steps - moves, 0, steps - 1)]
    noised = schedule.add_noise(latents, noise, time)
    return jnp.where(per_sample(moves > 0, latents), noised, latents)


def noised_levels(
    schedule: Schedule, latents: jax.Array, noise: jax.Array, steps: int
) -> jax.Array:
    """Returns z_0 with the one noise, at the level after each step, (N, B, ...); z_0 at the end."""
    after = jnp.asarray(schedule.timesteps(steps)[:-1] - schedule.stride(steps))
    noised = jax.vmap(lambda time: schedule.add_noise(latents, noise, time))(after)
    return jnp.concatenate([noised, jnp.asarray(latents)[None]])


def inverted_levels(latents: jax.Array, inversion: Moves) -> jax.Array:
    """Returns, of z_0 and its inversion, the level after every step of sampling, (N, B, ...)."""
    upwards = jnp.concatenate([latents[None], inversion.latents[:-1]])
    return upwards[::-1]


def _move(schedule, predict, latents, time, level, target, blend, elsewhere):
    """One step: the network at step `time`, from the level of step `level` to that of `target`."""
    prediction = predict(latents, jnp.broadcast_to(time, latents.shape[:1])).astype(jnp.float32)
    clean, noise = schedule.split(prediction, latents, schedule.signal_at(level))
    share = schedule.signal_at(target)
    moved = jnp.sqrt(share) * clean + jnp.sqrt(1 - share) * noise
    if blend is not None:
        moved = blend.mask * moved + (1 - blend.mask) * elsewhere
    return moved, Moves(moved, clean, prediction)


def _either(wanted, move, latents):
    """Makes the move, of those samples that want it; where none does, without computing it."""

    def leave(latents):
        empty = jnp.zeros_like(latents)
        return latents, Moves(empty, empty, empty)

    moved = lax.cond(wanted.any(), move, leave, latents)
    if not wanted.ndim:
        return moved
    chosen = per_sample(wanted, latents)
    return jax.tree.map(lambda new, old: jnp.where(chosen, new, old), moved, leave(latents))
