"""The lock of a run directory, or of an artefact, taken once for all processes of a run."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxedit.errors import UserError
from jaxedit.host import locks
from jaxedit.run import sharding


@contextlib.contextmanager
def hold(
    run_dir: pathlib.Path, instead: str = "another --workdir", fleeting: bool = False
) -> Iterator[bool]:
    """Holds the run directory; yields whether it was created for it. All processes enter together.

    Args:
      run_dir, instead, fleeting: as of `locks.hold`.

    Raises:
      UserError: a process of another run holds it.
    """
    if jax.process_count() == 1:
        with locks.hold(run_dir, instead, fleeting) as held:
            yield held.created
        return
    with contextlib.ExitStack() as stack:
        refused, created = None, False
        if sharding.is_first_process():
            try:
                held = stack.enter_context(locks.hold(run_dir, instead, fleeting))
                created = held.created
            except UserError as error:
                refused = error
        # Nobody may go on, and wait for the first process, where that one cannot.
        answer = np.array([refused is not None, created])
        stopped, created = multihost_utils.broadcast_one_to_all(answer)
        if refused is not None:
            raise refused
        if stopped:
            raise UserError(f"{run_dir} is in use by {locks.owner(run_dir)}.")
        yield bool(created)
        sharding.barrier("run_lock")
