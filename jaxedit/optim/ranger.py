"""Ranger: rectified Adam (Liu et al., 2020), Lookahead (Zhang et al., 2019) and centralised
gradients (Yong et al., 2020) in one optimizer, in the order of the widely used PyTorch code.

Per tensor: the mean over all inputs of each output is taken from the gradient; moments as Adam's;
a step of rectified Adam, or of momentum alone while too few gradients were seen; after every
`lookahead`-th step the parameters go back half of the way to where they were after the last such.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax


class RangerState(NamedTuple):
    """Steps taken (int32), first and second moments, and Lookahead's slow parameters (or ())."""

    count: jax.Array
    mean: optax.Updates
    square: optax.Updates
    slow: optax.Params


def ranger(
    lr: float | optax.Schedule,
    *,
    betas: tuple[float, float] = (0.95, 0.999),
    epsilon: float = 1e-5,
    weight_decay: float = 0.0,
    lookahead: int = 6,
    alpha: float = 0.5,
    threshold: float = 5.0,
    centralise: bool = True,
    output_axis: int = -1,
) -> optax.GradientTransformation:
    """Returns the optimizer. Its `update` needs the parameters.

    Args:
      lr: the rate, or a schedule of steps from 0.
      betas: decays of the moments.
      epsilon: added to the root of the second moment.
      weight_decay: share of a parameter, times the rate, that a step takes off.
      lookahead: steps between returns to the slow parameters; 0 is never.
      alpha: how far the slow parameters go towards the fast ones.
      threshold: length of the approximated moving average above which steps are rectified.
      centralise: whether gradients are centralised, of tensors of two axes or more.
      output_axis: the axis of outputs; PyTorch's is 0, and -1 in our layout.
    """
    first, second = betas
    longest = 2 / (1 - second) - 1

    def init(params: optax.Params) -> RangerState:
        zeros = lambda: jax.tree.map(jnp.zeros_like, params)
        slow = jax.tree.map(jnp.array, params) if lookahead else ()
        return RangerState(jnp.zeros((), jnp.int32), zeros(), zeros(), slow)

    def update(updates, state, params=None):
        if params is None:
            raise ValueError("ranger needs the parameters: update(gradients, state, params)")
        count = state.count + 1
        rate = lr(state.count) if callable(lr) else lr
        if centralise:
            updates = jax.tree.map(lambda g: _centralised(g, output_axis), updates)
        mean = optax.tree.update_moment(updates, state.mean, first, 1)
        square = optax.tree.update_moment(updates, state.square, second, 2)
        first_left, second_left = _one_less_power(first, count), _one_less_power(second, count)
        length = _length(second, count)
        safe = jnp.maximum(length, 4.5)  # the branch that is not taken must not be NaN
        rectified = jnp.sqrt(
            second_left * (safe - 4) * (safe - 2) * longest
            / ((longest - 4) * safe * (longest - 2))
        )
        enough = length > threshold

        def stepped(p, m, v):
            direction = jnp.where(enough, rectified * m / (jnp.sqrt(v) + epsilon), m)
            return p * (1 - rate * weight_decay) - rate / first_left * direction

        fast = jax.tree.map(stepped, params, mean, square)
        slow = state.slow
        if lookahead:
            due = count % lookahead == 0
            slow = jax.tree.map(lambda s, p: jnp.where(due, s + alpha * (p - s), s), slow, fast)
            fast = jax.tree.map(lambda s, p: jnp.where(due, s, p), slow, fast)
        moved = jax.tree.map(lambda new, old: (new - old).astype(old.dtype), fast, params)
        return moved, RangerState(count, mean, square, slow)

    return optax.GradientTransformation(init, update)


def _centralised(gradient: jax.Array, output_axis: int) -> jax.Array:
    if gradient.ndim < 2:
        return gradient
    others = tuple(a for a in range(gradient.ndim) if a != output_axis % gradient.ndim)
    return gradient - gradient.mean(others, keepdims=True)


def _one_less_power(beta: float, count: jax.Array) -> jax.Array:
    """Returns 1 - beta^count, without the cancellation."""
    return -jnp.expm1(count * jnp.float32(math.log(beta)))


def _length(beta: float, count: jax.Array) -> jax.Array:
    """Returns 2 / (1 - beta) - 1 - 2 t beta^t / (1 - beta^t) for t = count.

    Both parts are about 2 / (1 - beta) at first: as it stands, float32 would leave three digits of
    their difference. With x = -t ln(beta), the last part is 2 t / (e^x - 1).
    """
    rate = -math.log(beta)
    offset = 2 / (1 - beta) - 1 - 2 / rate
    x = count * jnp.float32(rate)
    # 1 - x / (e^x - 1)
    series = x / 2 - x**2 / 12 + x**4 / 720 - x**6 / 30240
    rest = jnp.where(x < 0.5, series, 1 - x / jnp.expm1(jnp.maximum(x, 0.25)))
    return jnp.float32(offset) + jnp.float32(2 / rate) * rest
