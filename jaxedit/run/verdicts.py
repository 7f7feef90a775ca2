"""What all processes of a run think of a checkpoint together, before any of them acts on it."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxedit.host import manifests
from jaxedit.run import damage, sharding

# From best to worst. UNFIT: its files are those that were written, and still it cannot be used.
GOOD, DAMAGED, UNFIT, PASSING = range(4)


def attempt(folder: pathlib.Path, read: Callable[[], Any]) -> tuple[int, Any, str]:
    """Compares a checkpoint with its manifest, then reads it.

    Args:
      folder: the checkpoint.
      read: reads it; all processes together.

    Returns:
      (the verdict that all processes share, what `read` returned if it is GOOD, else the reason).
    """
    # The files are gone through once, not by every process.
    verdict, _, reason = _judge(folder, lambda: _verify(folder))
    if verdict != GOOD:
        return verdict, None, reason
    return _judge(folder, read)


def worst(verdict: int) -> int:
    """Returns the worst verdict of all processes."""
    if jax.process_count() == 1:
        return verdict
    return int(np.max(multihost_utils.process_allgather(np.int32(verdict))))


def _judge(folder: pathlib.Path, read: Callable[[], Any]) -> tuple[int, Any, str]:
    verdict, found, reason = GOOD, None, ""
    try:
        found = damage.retry(read)
    except Exception as error:  # Orbax and TensorStore raise many kinds.
        reason = damage.first_line(error)
        whole = manifests.is_sealed(folder) and not isinstance(error, damage.Damaged)
        verdict = PASSING if damage.is_passing(error) else UNFIT if whole else DAMAGED
    return worst(verdict), found, reason or "another process could not read it"


def _verify(folder: pathlib.Path) -> None:
    if not sharding.is_first_process():
        return
    found = manifests.damages(folder)
    if found:
        raise damage.Damaged(found[0])
