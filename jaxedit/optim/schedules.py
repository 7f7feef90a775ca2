"""How a learning rate goes with the steps, for papers that say no more than these words."""

from __future__ import annotations

import optax

KINDS = ("constant", "cosine")


def warmed_up(kind: str, lr: float, warmup: int, total_steps: int) -> optax.Schedule:
    """Returns step (from 0) -> rate.

    Args:
      kind: one of `KINDS`: `lr` to the end, or a cosine from it to 0 at the last step.
      lr: the largest rate.
      warmup: steps before, in which it rises linearly from lr / (warmup + 1).
      total_steps: of the whole training, the warm-up included.
    """
    rest = optax.constant_schedule(lr)
    if kind == "cosine":
        rest = optax.cosine_decay_schedule(lr, max(1, total_steps - warmup))
    ramp = optax.linear_schedule(lr / (warmup + 1), lr, warmup)
    return optax.join_schedules([ramp, rest], [warmup]) if warmup else rest
