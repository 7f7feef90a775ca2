"""Before the first step: mistakes are found, batches opened, and a stage says what it is about."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import jax

from jaxedit import config as config_lib
from jaxedit import method as method_lib
from jaxedit.data import pipeline, skipped
from jaxedit.errors import PretrainedWeightsMissing, UserError
from jaxedit.method import State
from jaxedit.report import lead
from jaxedit.run import (
    artifacts,
    checkpoint,
    evaluate,
    rehearsal,
    rows,
    sharding,
    stages,
    starting,
)
from jaxedit.weights import catalogue


def check_stages(every: list[stages.Stage], run_dir: pathlib.Path) -> None:
    """Finds mistakes of later stages before the first one runs, as far as they can be seen.

    Raises:
      PretrainedWeightsMissing: stages start from weights that are not here; the message names all
        of those, and says how to get them.
      UserError: a configuration is unsound, or a stage starts from what will not be there.
    """
    _check_lost(every, run_dir)
    absent: list[str] = []
    for position, stage in enumerate(every):
        pairs = stage.start
        # After a host stage, methods may need its artefact: they are checked in their turn.
        if not any(one.build for one in every[: position + 1]):
            method = method_lib.create(stage.config)
            evaluate.check_best(method, stage.config)
            pairs = (*method.starting_values(), *pairs)
        absent += starting.check(stage, pairs, every[:position], _begun(stage, run_dir))
    if absent:
        names = list(dict.fromkeys(absent))
        raise PretrainedWeightsMissing(catalogue.how_to_get_all(names))
    rehearsal.check(every, lambda stage: _begun(stage, run_dir))


def _begun(stage: stages.Stage, run_dir: pathlib.Path) -> bool:
    saved = (run_dir / "checkpoints" / stage.name).glob("[0-9]*")
    return any(True for _ in saved) or artifacts.is_finished(run_dir, stage.name)


def _check_lost(every: list[stages.Stage], run_dir: pathlib.Path) -> None:
    """Stops a run that has trained and whose checkpoints are all gone; says which are, otherwise.

    Orbax makes the folder of a stage before the first row of it, and a run that goes on past a
    second save has finished the first one.
    """
    written = rows.read(run_dir / "metrics.jsonl")[0]
    lost, some_left = [], False
    for stage in every:
        folder = run_dir / "checkpoints" / stage.name
        steps = [row.step for row in written if row.stage == stage.name]
        if checkpoint.has_checkpoint(folder):
            some_left = True
        elif steps and not (
            folder.is_dir() and max(steps) <= 2 * stage.config.train.checkpoint_every
        ):
            lost.append(
                f"{folder} holds no checkpoint, but metrics.jsonl has rows of stage "
                f"{stage.name!r} up to step {max(steps)}"
            )
    if lost and not some_left:
        raise UserError(
            f"This run has trained, and its checkpoints are gone: {'; '.join(lost)}. Nothing was "
            "changed. Put the folder back from a copy; or, to train anew from the beginning, move "
            "metrics.jsonl away, or choose another --workdir."
        )
    for line in lost if sharding.is_first_process() else ():
        print(f"{line}: it is trained from its beginning.", file=sys.stderr, flush=True)


def batches(
    source: Any, transform: Any, config: config_lib.ConfigDict, position: int,
    total: skipped.Skipped,
) -> Iterator[dict[str, Any]]:
    """Returns this process's share of a stage's training batches, from the first one on.

    Args:
      source, transform: of the stage.
      config: of the stage.
      position: of the stage in the run.
      total: takes what is skipped, see `pipeline.train_iterator`.
    """
    return iter(pipeline.train_iterator(
        source,
        transform,
        batch_size=config.train.batch_size,
        # Stages draw different orders from the same seed.
        seed=config.train.seed + 1_000_003 * position,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        threads=config.data.threads,
        workers=config.data.workers,
        prefetch=config.data.prefetch,
        total=total,
    ))


def headline(
    stage: stages.Stage, plan: sharding.Plan, state: State, source: Any, start: int, begins: str
) -> str:
    """Returns the lines that say what a stage is about to do, on what, and with which weights.

    Args:
      stage, plan, state: what is trained and where.
      source: the training records.
      start: steps that were done before.
      begins: of `starting.described`.
    """
    parameters = ", ".join(f"{name} {count(p):,}" for name, p in state.params.items())
    return (
        f"{stage.name}: {'resuming at step ' + str(start) if start else 'starting'} of "
        f"{stage.config.train.steps}; {len(source)} training records from "
        f"{stage.config.data.source}; {plan.mesh.devices.size} {jax.default_backend()} device(s); "
        f"parameters: {parameters}.\n"
        f"{stage.name}: {'began' if start else 'begins'} {lead.beginning(begins)}."
    )


def count(params: Any) -> int:
    """Returns the number of parameters in a tree."""
    return sum(x.size for x in jax.tree.leaves(params))
