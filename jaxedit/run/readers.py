"""Which checkpoint a reader gets, also of a run that goes on training and deletes old ones."""

from __future__ import annotations

from jaxedit.errors import UserError
from jaxedit.method import State
from jaxedit.run.checkpoint import Checkpointer

# What inference needs; optimizer states are the larger half.
ITEMS = ("params", "stats", "ema", "extra")
_TRIES = 3


def choose(checkpointer: Checkpointer, step: int | str | None, abstract: State) -> State:
    """Returns the state of the wanted checkpoint, without optimizer states; moves nothing.

    Args:
      checkpointer: a read-only one.
      step: a step, "best", or "last" or None: the newest one that is not damaged, those that were
        passed over being named on stderr.
      abstract: shapes, dtypes and shardings.

    Raises:
      UserError: there is no such checkpoint, or it cannot be read.
    """
    if step in (None, "last"):
        return _newest(checkpointer, abstract)
    return checkpointer.restore_step(_step(checkpointer, step), abstract, ITEMS)[0]


def _newest(checkpointer: Checkpointer, abstract: State) -> State:
    for left in reversed(range(_TRIES)):
        steps = checkpointer.steps()
        try:
            found, damaged = checkpointer.newest(abstract, ITEMS)
            break
        except UserError:
            checkpointer.reload()
            if not left or checkpointer.steps() == steps:
                raise  # it is not that the run has replaced them meanwhile
    if found is None:
        raise UserError(f"{checkpointer.run_dir} holds no complete checkpoint.")
    for bad, reason in damaged.items():
        if (checkpointer.folder / str(bad)).exists():
            checkpointer.tell(bad, reason, "It is left where it is")
    return found[0]


def _step(checkpointer: Checkpointer, step: int | str) -> int:
    if step == "best":
        wanted = checkpointer.best_step()
        if wanted is None:
            raise UserError(
                f"{checkpointer.run_dir} holds no measured checkpoint: use --step=last or a number."
            )
        return wanted
    try:
        wanted = int(step)
    except ValueError:
        raise UserError(f"--step={step}: expected a number, 'last' or 'best'.") from None
    if wanted not in checkpointer.steps():
        raise UserError(
            f"{checkpointer.run_dir} holds no checkpoint of step {wanted}. There are: "
            f"{', '.join(map(str, checkpointer.steps()))}."
        )
    return wanted
