"""The training loop: stages, steps, phases, in the order in which things happen.

The loop knows no paper by name (see `method.py`). What it promises: the same command started
again resumes, and ends with the same parameters and the same metrics.jsonl, byte for byte, as a
run that was never interrupted (same kind and number of devices); a non-finite loss stops the run
before it can reach a checkpoint; SIGTERM and Ctrl-C save and exit.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import sys
from typing import Any

import jax

from jaxedit import config as config_lib
from jaxedit import method as method_lib
from jaxedit.data import joined, pipeline, skipped, sources
from jaxedit.errors import UserError
from jaxedit.method import Method, State
from jaxedit.report import wording
from jaxedit.run import (
    artifacts,
    checkpoint,
    directory,
    evaluate,
    frozen,
    opening,
    programs,
    rows,
    run_lock,
    sharding,
    stages,
    starting,
    summary,
    writer,
)
from jaxedit.run import progress as progress_lib
from jaxedit.run.preemption import Abandoned, Preempted, StopRequest
from jaxedit.run.sums import RunningSums
from jaxedit.state import Artifact

# One root key, folded by purpose and then by step: nothing random has a state of its own.
INIT, TRAIN = 0, 1


def train(
    config: config_lib.ConfigDict, run_dir: pathlib.Path, devices: list | None = None,
    stop: StopRequest | None = None,
) -> State | None:
    """Runs every stage of `config` in `run_dir`, resuming what is there; returns the last state.

    A run whose stages all build artefacts has no state: it returns None.

    Args:
      config: the run configuration.
      run_dir: the run directory; created if need be.
      devices: the devices to train on; all of them by default.
      stop: requests to stop, where the caller hears them already.

    Raises:
      UserError: the directory belongs to another configuration, or is in use by another process,
        or the configuration is unsound.
      NonFiniteLoss: a loss or gradient norm became NaN or infinite.
      Preempted: SIGTERM or Ctrl-C arrived; everything is saved.
    """
    stages.check(config)
    directory.check(config, run_dir)
    with run_lock.hold(run_dir) as fresh:
        try:
            directory.prepare(config, run_dir)
            return _train_stages(config, run_dir, devices, stop)
        except UserError:
            if fresh and sharding.is_first_process():
                directory.remove_if_empty(run_dir)
            raise


def _train_stages(
    config: config_lib.ConfigDict, run_dir: pathlib.Path, devices: list | None,
    heard: StopRequest | None,
) -> State | None:
    every = stages.read(config)
    output = writer.Writer(run_dir, stages=[stage.name for stage in every])
    finished: dict[str, State] = {}
    records: dict[str, Any] = {}
    anything_new = False
    state = None
    hearing = StopRequest() if heard is None else contextlib.nullcontext(heard)
    with hearing as stop, contextlib.closing(output):
        context = _Context(run_dir, output, stop, finished)
        made: dict[str, Artifact] = {}
        opening.check_stages(every, run_dir)
        names_optimizers = any(":opt" in source for stage in every for source, _ in stage.start)
        for position, stage in enumerate(every):
            stage = dataclasses.replace(stage, config=artifacts.with_sources(stage.config, made))
            plan = sharding.create_plan(stage.config, devices)
            method = method_lib.create(stage.config, plan.axis_name, made)
            if stage.build:
                made[stage.name] = _build_stage(stage, method, context)
                stop.end(f"{stage.name} is built, in {made[stage.name].folder}")
                continue
            evaluate.check_best(method, stage.config)
            plan.check_batch(stage.config.train.batch_size, stage.config.train.accumulate)
            with checkpoint.of_stage(run_dir, stage, method) as saver:
                state, record = _train_stage(stage, position, plan, method, saver, context)
            # Nothing starts from optimizer states, which are the larger part, unless it says so.
            finished[stage.name] = state if names_optimizers else state.replace(opt={})
            records[stage.name] = record.to_json()
            anything_new = anything_new or record.ran
            # A run of an older version keeps the figures of the process that trained it.
            if anything_new or not summary.tells_of(run_dir, records):
                summary.write(output, records)
            total = stage.config.train.steps
            stop.end(f"saved step {total} of {total} in {saver.folder}")
    return state


def _build_stage(stage: stages.Stage, method: Method, context: _Context) -> Artifact:
    """Makes the artefact of a host stage, or goes on with it, or finds it finished."""
    if found := artifacts.finished(context.run_dir, stage.name):
        return found
    source = sources.create(stage.config.data.source, "train")
    read = [source, *sources.open_all(method)]
    start = starting.host_state(method, stage.start, context.finished)
    made = artifacts.build(context.run_dir, stage.name, method, source, start, context.stop)
    _report(read)
    return made


def _report(read: list[Any], found: skipped.Skipped | None = None) -> None:
    for line in skipped.reports(read, found):
        print(line, file=sys.stderr)


@dataclasses.dataclass(frozen=True)
class _Context:
    """What the stages of a run share: its folder, its writer, requests to stop, earlier results."""

    run_dir: pathlib.Path
    output: writer.Writer
    stop: StopRequest
    finished: dict[str, State]


def _train_stage(
    stage: stages.Stage,
    position: int,
    plan: sharding.Plan,
    method: Method,
    saver: checkpoint.Checkpointer,
    context: _Context,
) -> tuple[State, summary.StageRecord]:
    """Restores or initialises, then steps, logs, evaluates and saves until the stage is over.

    Returns:
      (the state at its end, what summary.json tells of the stage).
    """
    run_dir, output = context.run_dir, context.output
    config = stage.config
    total = config.train.steps
    root = jax.random.fold_in(jax.random.key(config.train.seed), position)
    source = sources.create(config.data.source, "train")
    transform = method.transform(train=True)
    read = [source, *sources.open_all(transform)]
    joined.check(source, transform)

    abstract = checkpoint.abstract_state(method, plan)
    restored = saver.restore(abstract)
    sums, meta = RunningSums(), {}
    if restored:
        state, meta = restored
    networks = {name: opening.count(params) for name, params in abstract.params.items()}
    pairs = (*method.starting_values(), *stage.start)
    begins = starting.described(pairs, abstract.params, context.finished)
    record = summary.StageRecord(total, networks, len(source), begins, meta.get("summary"))
    if not sharding.is_first_process():
        record.skipped.clear()  # kept was the first one's share
    skipped.add(record.skipped, skipped.of(read))
    batches = opening.batches(source, transform, config, position, record.skipped)
    if restored:
        names = starting.frozen_names(method, stage.start, abstract)
        networks = frozen.load(run_dir, stage.name, plan.state_shardings, names)
        state = state.replace(frozen=networks)
        pipeline.resume(batches, meta["data"], config.data.workers)
        sums.restore(meta["sums"])
        output.rewind(stage.name, int(state.step), meta["rows"])
        output.purge_events_after(int(state.step))
    else:
        rng = jax.random.fold_in(root, INIT)
        say = lambda line: programs.tell(f"{stage.name}: {line}")
        with programs.watched("the program that draws the parameters", say):
            state = starting.initial_state(method, plan, rng, stage.start, context.finished)
        frozen.save(run_dir, stage.name, state.frozen)
        output.rewind(stage.name, 0, {})
    start = int(state.step)
    if sharding.is_first_process() and start < total:
        line = opening.headline(stage, plan, state, source, start, begins)
        print(line, file=sys.stderr, flush=True)
    if start == 0:
        output.file("versions.json", writer.versions())

    progress = progress_lib.Progress(total, start, config.train.batch_size, stage.name)
    evaluator = None
    if method.evaluations():
        evaluator = evaluate.Evaluator(method, config, plan.mesh, say=progress.say)
    size = programs.size_of(method.spec(config.train.batch_size))
    run_phase = sharding.Phases(plan, method, progress.say, size)
    state = plan.place_state(state)
    key = jax.random.fold_in(root, TRAIN)
    if start < total:
        record.start(run_phase.facts)

    def measure(state: State, done: int) -> dict[str, float] | None:
        """Returns the figures; None where a request to stop puts it off until the run goes on."""
        with progress.pause(), record.measure(summary.EVALUATE):
            result = None
            with contextlib.suppress(Abandoned), context.stop.at_once():
                result = evaluator.run(
                    plan.global_state(state), limit=config.evaluate.limit_in_training
                )
            if result is None:
                return None
            about = {"measured_on": result.split, "samples": result.counts}
            output.row(stage.name, done, "eval", result.scalars(), about)
            for name, image in result.grids.items():
                output.picture(wording.measured(stage.name, result.split, name), done, image)
            return result.scalars()

    def save(
        state: State, metrics: dict[str, float] | None = None, due: bool = False,
        again: bool = False,
    ) -> None:
        meta = {
            "evaluation_due": due,
            "data": batches.get_state(),
            "sums": sums.to_json(),
            "rows": rows.describe(run_dir, stage.name),
            "summary": record.to_json(),
        }
        saver.save(plan.global_state(state), meta, metrics, replace=again)

    if total == 0 and not restored:
        save(state)  # a stage without steps leaves what it starts from
    if meta.get("evaluation_due") and not context.stop.asked:
        metrics = measure(state, start)
        # Elsewhere an uninterrupted run has no checkpoint that could be the best.
        if metrics and (start % config.train.checkpoint_every == 0 or start == total):
            with record.measure(summary.SAVE):
                save(state, metrics, again=True)
    if context.stop.asked and start < total:
        raise Preempted(f"Asked to stop at step {start} of {total}.", context.stop.exit_code)
    for step in range(start, total):
        batch = plan.place_batch(pipeline.following(batches, config.data.workers))
        phases = method.phases(step)
        for phase in phases:
            pause = contextlib.nullcontext() if run_phase.compiled(phase) else progress.pause()
            with pause:
                state, step_sums = run_phase(phase, phase == phases[-1], state, batch, key)
            sums.add(step + 1, phase, step_sums)
        progress.advance()

        done = step + 1
        ask = context.stop.requested(done)
        if done % config.train.log_every == 0 or done == total:
            values = sums.drain()
            output.row(stage.name, done, "train", values)
            output.timing(stage.name, done, progress.timing())
            progress.note({k: v for k, v in values.items() if k.startswith("loss/")})
        metrics, due = None, False
        every = config.train.evaluate_every
        if evaluator and every and (done % every == 0 or done == total):
            metrics = measure(state, done)
            due = metrics is None
            ask = ask or context.stop.asked
        if done % config.train.checkpoint_every == 0 or done == total or ask:
            sums.check_all()
            with progress.pause(), record.measure(summary.SAVE):
                save(state, metrics, due)
            ask = ask or context.stop.asked
        if ask and done < total:
            progress.close()
            context.stop.end(f"saved step {done} of {total} in {saver.folder}")

    progress.close()
    with record.measure(summary.SAVE):
        saver.wait()
    state = plan.global_state(state)
    _report(read, record.skipped)
    return state, record
