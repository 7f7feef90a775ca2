"""A run as a reader gets it, also while it goes on training and deletes old checkpoints."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable
from typing import TypeVar

from jaxedit import config as config_lib
from jaxedit import method as method_lib
from jaxedit.errors import UserError
from jaxedit.host import origin
from jaxedit.method import Method, State
from jaxedit.run import artifacts, checkpoint, damage, directory, frozen, sharding, stages, starting
from jaxedit.run.checkpoint import Checkpointer

# What inference needs; optimizer states are the larger half.
ITEMS = ("params", "stats", "ema", "extra")
_TRIES = 3
T = TypeVar("T")


def load_run(
    run_dir: pathlib.Path | str, step: int | str | None = None, stage: str | None = None,
    trust_code: bool = False,
) -> tuple[config_lib.ConfigDict, Method, State]:
    """Returns (stage configuration, method, state) of a run, for inference.

    Optimizer states are not read.

    Args:
      run_dir: the run directory.
      step: a step, "last", "best", or None for the last one.
      stage: the name of a stage; None is the last one that was started.
      trust_code: import whatever module the run names; otherwise only the methods of jaxedit, and
        any in a run that this user has trained.

    Raises:
      UserError: no run, no checkpoint, no such step or stage, or code that is not trusted.
    """
    run_dir = pathlib.Path(run_dir)
    directory.check_path(run_dir)
    every = stages.read(checkpoint.read_run_config(run_dir))
    if not trust_code:
        _check_code(run_dir, every)
    saved = [s for s in every if checkpoint.has_checkpoint(run_dir / "checkpoints" / s.name)]
    if not saved:
        raise UserError(f"{run_dir} holds no checkpoint yet: let it train to its first one.")
    names = [s.name for s in saved]
    if stage is not None and stage not in names:
        raise UserError(
            f"{run_dir} holds no checkpoint of a stage {stage!r}; it has {', '.join(names)}."
        )
    stage = saved[-1 if stage is None else names.index(stage)]
    made = artifacts.of_stages(run_dir, [s.name for s in every[: every.index(stage)] if s.build])
    method = method_lib.create(artifacts.with_sources(stage.config, made), artifacts=made)
    plan = sharding.Plan()
    checkpointer = checkpoint.of_stage(run_dir, stage, method, read_only=True)
    abstract = checkpoint.abstract_state(method, plan)
    try:
        state = choose(checkpointer, step, abstract)
    finally:
        checkpointer.close()
    names = starting.frozen_names(method, stage.start, abstract)
    networks = frozen.load_for_reading(run_dir, stage.name, plan.state_shardings, names)
    return method.config, method, plan.place_state(state.replace(opt={}, frozen=networks))


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


def _check_code(run_dir: pathlib.Path, every: list[stages.Stage]) -> None:
    """Raises UserError where the run names a module that somebody else may have put there."""
    names = dict.fromkeys(str(stage.config.method) for stage in every)
    others = [name for name in names if "." in name and not name.startswith("jaxedit.")]
    if others and not origin.is_own(run_dir / "config.json"):
        raise UserError(
            f"{run_dir} computes with {' and '.join(map(repr, others))}, which is no part of "
            "jaxedit, and nothing shows that you have trained this run: to load it would run "
            "that code, which whoever made the run may have chosen. If you trust it, add "
            "--trust-run-code. Starting the command that trains the run does too, for good."
        )


def _beside_a_run(checkpointer: Checkpointer, look: Callable[[], T]) -> T:
    """Returns what `look` returns, tried again where the run has replaced checkpoints meanwhile.

    It deletes one file by file: for a moment its figures are gone, and it is not.
    """
    seen = lambda: (checkpointer.steps(), sorted(checkpointer.doubtful))
    for _ in range(_TRIES - 1):
        before = seen()
        try:
            return look()
        except UserError:
            checkpointer.reload()
            for wait in damage.WAITS if checkpointer.doubtful else ():
                time.sleep(wait)
                checkpointer.reload()
                if seen() != before:
                    break
            if seen() == before:
                raise
    return look()


def _newest(checkpointer: Checkpointer, abstract: State) -> State:
    found, damaged = _beside_a_run(checkpointer, lambda: checkpointer.newest(abstract, ITEMS))
    if found is None:
        raise UserError(f"{checkpointer.run_dir} holds no complete checkpoint.")
    for bad, reason in damaged.items():
        if (checkpointer.folder / str(bad)).exists():
            checkpointer.tell(bad, reason, "It is left where it is")
    return found[0]


def _step(checkpointer: Checkpointer, step: int | str) -> int:
    if step == "best":
        wanted = _beside_a_run(checkpointer, checkpointer.best_step)
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
