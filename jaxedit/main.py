"""`python -m jaxedit.main --config=configs/PAPER.py`: trains, or evaluates, one run.

Everything about a run stands in its configuration; the flags here say only where and which part.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys

from jaxedit import config as config_lib
from jaxedit.errors import UserError
from jaxedit.host import atomic, console, large_pages, parent, system_errors


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code: 0 done, 2 a mistake that the message explains, 130 interrupted."""
    console.tolerate()
    parent.follow_announced()
    arguments, overrides = parse(sys.argv[1:] if argv is None else argv)
    try:
        return run(arguments, overrides)
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
        if argv is None:  # a program of its own: its threads, which may be saving, end with it
            sys.stdout.flush()
            os._exit(130)
        return 130


def parse(argv: list[str]) -> tuple[argparse.Namespace, list[tuple[str, str]]]:
    """Returns (flags, configuration overrides); exits with a message on anything else."""
    parser = argparse.ArgumentParser(
        prog="python -m jaxedit.main",
        description="Trains a paper's method, or evaluates a run. Started again, it resumes.",
        epilog="Any configuration key can be set with --config.KEY=VALUE, "
        "for example --config.optim.lr=2e-4.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE[:PRESET][,KEY=VALUE...]",
                        help="a file of configs/ and, if you like, one of its presets")
    parser.add_argument("--workdir", type=console.path,
                        help="run directory (default: runs/<config>-<preset>)")
    parser.add_argument("--mode", choices=("train", "evaluate"), default="train",
                        help="evaluate measures a checkpoint of --workdir")
    parser.add_argument("--step", default=None,
                        help="with --mode=evaluate: a step, 'last' or 'best' (default: last)")
    parser.add_argument("--stage", default=None,
                        help="with --mode=evaluate: the stage to measure (default: the last)")
    parser.add_argument("--trust-run-code", action="store_true",
                        help="with --mode=evaluate: compute with a method that is no part of "
                        "jaxedit also where the run was trained by somebody else")
    parser.add_argument("--coordinator", default=None,
                        help="several processes: HOST:PORT of process 0, or 'auto' (TPU, SLURM)")
    parser.add_argument("--processes", type=int, default=None)
    parser.add_argument("--process_index", type=int, default=None)
    flags, rest = parser.parse_known_args(argv)
    overrides = []
    waiting = iter(rest)
    for word in waiting:
        if not word.startswith("--config."):
            parser.error(f"unknown argument {word!r}")
        key, equals, value = word.removeprefix("--config.").partition("=")
        overrides.append((key, value if equals else next(waiting, "")))
    if flags.config is None and flags.mode == "train":
        parser.error("--config is needed: a file of configs/")
    if flags.config is None and flags.workdir is None:
        parser.error("--mode=evaluate needs --workdir or --config")
    return flags, overrides


def run(flags: argparse.Namespace, overrides: list[tuple[str, str]]) -> int:
    """Carries out what the flags say; returns the exit code."""
    from jaxedit.run import sharding

    if flags.mode == "train":
        config = config_lib.load(flags.config, overrides)
    sharding.start_processes(flags.coordinator, flags.processes, flags.process_index)
    sharding.enable_compilation_cache()
    run_dir = flags.workdir or default_run_dir(flags.config)
    if flags.mode == "train":
        in_string = config_lib.split_argument(flags.config)[2]
        for line in config_lib.unheeded(config, [*in_string, *overrides]):
            _say(sharding.is_first_process(), f"note: {line}")
    if flags.mode == "evaluate":
        return evaluate_run(
            run_dir, flags.step, overrides, flags.stage, trust_code=flags.trust_run_code
        )
    return train_run(config, run_dir)


def default_run_dir(argument: str) -> pathlib.Path:
    """Returns runs/<config>-<preset> for a --config argument."""
    path, preset, _ = config_lib.split_argument(argument)
    return pathlib.Path("runs") / f"{path.stem}-{preset or 'demo'}"


def train_run(config: config_lib.ConfigDict, run_dir: pathlib.Path) -> int:
    """Trains, evaluates and reports; a finished run says so and is left alone."""
    from jaxedit.run import directory, run_lock, sharding, stages, train

    first = sharding.is_first_process()
    directory.check(config, run_dir)
    if (run_dir / "DONE").exists():
        _say(first, f"{run_dir} is finished. Its report: {run_dir / 'report.html'}. "
                    "Choose another --workdir to train again.")
        return 0
    stages.check(config)  # ahead of the lock, which makes the directory
    with run_lock.hold(run_dir):
        try:
            train.train(config, run_dir)
        except train.Preempted as reason:
            _say(first, f"{reason} Start the same command again to go on.")
            return reason.exit_code
        _conclude(run_dir, first)
    return 0


def _conclude(run_dir: pathlib.Path, first: bool) -> None:
    """Measures and reports the run that has just been trained."""
    from jaxedit.report import page as report
    from jaxedit.run import measure, sharding

    for measured in measure.measure_run(run_dir):
        if first:
            print(measured.heading + report.text_table(measured.to_json()), flush=True)
    if first:
        try:
            report.write(run_dir)
            line = f"Report: {run_dir / 'report.html'}"
        except UserError as error:  # the run is finished all the same
            line = f"There is no report: {error} When that is mended: `jaxedit report {run_dir}`."
        atomic.write_text(run_dir / "DONE", "")
        _say(True, line)
    sharding.barrier("done")


def evaluate_run(
    run_dir: pathlib.Path, step: str | None, overrides: list[tuple[str, str]],
    stage: str | None = None, *, trust_code: bool = False,
) -> int:
    """Measures one checkpoint of a run, on its own or another source."""
    from jaxedit import bounds
    from jaxedit import method as method_lib
    from jaxedit.data import sources
    from jaxedit.report import page as report
    from jaxedit.run import artifacts, evaluate, measure, readers, sharding

    stage_config, method, state = readers.load_run(run_dir, step, stage, trust_code)
    for key, value in overrides:
        if not key.startswith(("evaluate.", "data.")):
            raise UserError(
                f"--config.{key}: in --mode=evaluate only evaluate.* and data.* can be set; "
                "the rest belongs to the run."
            )
        config_lib.override(stage_config, key, value)
    bounds.check(
        stage_config, method_lib.bounds(stage_config), only=[key for key, _ in overrides]
    )
    stage_config = artifacts.with_sources(stage_config, method.artifacts)
    suffix = f"-step{int(state.step)}" if step or overrides else ""
    source, _ = evaluate.evaluation_source(stage_config)
    if stage_config.evaluate.source:
        for part in sources.parts(source):
            kind, _, place = part.name.partition(":")
            suffix += f"-{kind}-{pathlib.PurePath(place).name}".rstrip("-")
    last = measure.last_saved_stage(run_dir)
    first = sharding.is_first_process()
    for measured in measure.measure_state(
        method, stage_config, state, run_dir, stage or last, suffix, is_main=stage in (None, last)
    ):
        if first:
            print(measured.heading + report.text_table(measured.to_json()), flush=True)
        _say(first, f"Written to {measured.path}")
    if first:
        report.write(run_dir)
    return 0


def _say(first: bool, line: str) -> None:
    if first:
        print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    large_pages.restart()
    sys.exit(main())
