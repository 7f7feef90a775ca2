"""`jaxedit train`: trains a run, or resumes it; what `python -m jaxedit.main` does too.

Everything about a run stands in its configuration; the options here say only where and on which
processes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from jaxedit import config as config_lib
from jaxedit.commands import command
from jaxedit.errors import UserError
from jaxedit.host import atomic, console, parent, system_errors

if TYPE_CHECKING:
    from jaxedit.run.preemption import StopRequest


def add(commands) -> None:
    """Adds the parser of `jaxedit train`."""
    parser = command.add(
        commands, "train", main, "train a method, or resume a run",
        "Measures and reports at the end. Started again, it resumes. Any key of the configuration\n"
        "can be set behind it; `configs/PAPER.py` says what each means.\n\n"
        "  jaxedit train configs/PAPER.py\n"
        "  jaxedit train configs/PAPER.py:paper --config.data.source=folder:photos\n"
        "  jaxedit train configs/PAPER.py --config.optim.lr=2e-4 --workdir runs/faster",
    )
    parser.add_argument("config", metavar="FILE[:PRESET][,KEY=VALUE...]",
                        help="a file of configs/ and, if you like, one of its presets")
    add_options(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds where a run lies, and the processes of a run on several hosts."""
    parser.add_argument("--workdir", type=console.path,
                        help="run directory (default: runs/CONFIG-PRESET, where a run without a "
                        "preset is its demo)")
    parser.add_argument("--coordinator", default=None, metavar="HOST:PORT",
                        help="several processes: HOST:PORT of process 0, or 'auto' (TPU, SLURM)")
    parser.add_argument("--processes", type=int, default=None, metavar="N",
                        help="how many processes there are")
    parser.add_argument("--process-index", "--process_index", type=int, default=None, metavar="I",
                        help="which of them this is, from 0")
    parser.set_defaults(takes_overrides=True)


def main(arguments: argparse.Namespace) -> int:
    """`jaxedit train`."""
    parent.follow_announced()
    return guarded(lambda: run(arguments, overrides(arguments.overrides)), leave=True)


def overrides(words: Sequence[str]) -> list[tuple[str, str]]:
    """Returns (key, value) of each `--config.KEY=VALUE` or `--config.KEY VALUE`.

    Raises:
      UserError: a word that is neither.
    """
    result = []
    waiting = iter(words)
    for word in waiting:
        if not word.startswith("--config."):
            raise UserError(
                f"unknown argument {word!r}. Keys of the configuration are set by "
                "--config.KEY=VALUE."
            )
        key, equals, value = word.removeprefix("--config.").partition("=")
        result.append((key, value if equals else next(waiting, "")))
    return result


def guarded(work: Callable[[], int], *, leave: bool) -> int:
    """Returns the exit code of `work`: 0 done, 2 a mistake that is said, 130 interrupted.

    Args:
      work: trains or evaluates.
      leave: whether the program ends here when it is interrupted, with its threads, which may be
        saving.
    """
    try:
        return work()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        refused = system_errors.explain(error)
        if refused is None:
            raise
        print(
            f"error: {refused}, and start the same command again; it resumes from the last "
            "checkpoint.",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("Interrupted; start the same command again to resume.", file=sys.stderr, flush=True)
        if leave:
            sys.stdout.flush()
            os._exit(130)
        return 130


def run(arguments: argparse.Namespace, overrides: list[tuple[str, str]]) -> int:
    """Trains what `arguments.config` says, with the options of `add_options`."""
    from jaxedit.run import sharding

    config = config_lib.load(arguments.config, overrides)
    start(arguments)
    in_string = config_lib.split_argument(arguments.config)[2]
    for line in config_lib.unheeded(config, [*in_string, *overrides]):
        _say(sharding.is_first_process(), f"note: {line}")
    return train_run(config, arguments.workdir or default_run_dir(arguments.config))


def start(arguments: argparse.Namespace) -> None:
    """Starts the processes that the options name, and the cache of compiled programs."""
    from jaxedit.run import sharding

    sharding.start_processes(
        arguments.coordinator, arguments.processes, arguments.process_index
    )
    sharding.enable_compilation_cache()


def default_run_dir(argument: str) -> pathlib.Path:
    """Returns runs/<config>-<preset> for a --config argument."""
    path, preset, _ = config_lib.split_argument(argument)
    return pathlib.Path("runs") / f"{path.stem}-{preset or 'demo'}"


def train_run(config: config_lib.ConfigDict, run_dir: pathlib.Path) -> int:
    """Trains, evaluates and reports; a finished run says so and is left alone."""
    import jax

    from jaxedit.run import directory, run_lock, sharding, stages, train
    from jaxedit.run.preemption import Preempted, StopRequest

    first = sharding.is_first_process()
    with contextlib.ExitStack() as hearing:
        # From the first moment: an exception that a signal raises can be lost inside of JAX.
        stop = hearing.enter_context(StopRequest())
        directory.check(config, run_dir)
        if (run_dir / "DONE").exists():
            _say(first, f"{run_dir} is finished. Its report: {run_dir / 'report.html'}. "
                        "Choose another --workdir to train again.")
            return 0
        stages.check(config)  # ahead of the lock, which makes the directory
        try:
            stop.end("nothing has begun")
            with run_lock.hold(run_dir):
                train.train(config, run_dir, stop=stop)
                if jax.process_count() > 1:  # nobody asks `stop` from here on: Ctrl-C ends it
                    hearing.close()
                _conclude(run_dir, first, stop)
        except Preempted as reason:
            _say(first, f"{reason} Start the same command again to go on.")
            return reason.exit_code
    return 0


def _conclude(run_dir: pathlib.Path, first: bool, stop: StopRequest) -> None:
    """Measures and reports the run that has just been trained.

    Raises:
      Preempted: it was asked to stop before all was measured; nothing of what is trained is lost.
    """
    from jaxedit.report import page as report
    from jaxedit.run import measure, sharding
    from jaxedit.run.preemption import Abandoned

    said: set[str] = set()
    complete = False
    with contextlib.suppress(Abandoned), stop.at_once():
        for measured in measure.measure_run(run_dir):
            if first:
                print(measured.heading + report.text_table(measured.to_json(), said), flush=True)
        complete = True
    if not complete:
        stop.end(f"{run_dir} is trained, and its closing evaluation is still to come")
    if first:
        try:
            report.write(run_dir)
            line = f"Report: {run_dir / 'report.html'}" + pictures_of(run_dir)
        except UserError as error:  # the run is finished all the same
            line = f"There is no report: {error} When that is mended: `jaxedit report {run_dir}`."
        atomic.write_text(run_dir / "DONE", "")
        _say(True, line)
    sharding.barrier("done")


def pictures_of(run_dir: pathlib.Path) -> str:
    """Returns where a run's pictures are, to be added to the line about its report."""
    folder = run_dir / "pictures"
    return f"; the pictures in it, as files: {folder}" if folder.is_dir() else ""


def _say(first: bool, line: str) -> None:
    if first:
        command.tell(line)
