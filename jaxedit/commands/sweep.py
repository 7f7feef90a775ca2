"""Sweeps: named override sets, each with several seeds, run one after the other and compared.

A sweep file is Python beside the configurations it varies:

    CONFIG = "configs/FILE.py"       what is varied; a preset may follow: "configs/FILE.py:paper"
    SEEDS = (0, 1, 2)
    TABLE = "Which table or list of the paper this mirrors."
    def variants(chosen="core"):     name -> {dotted key: value}; `chosen` follows the file name

Each run is a process of its own in `<workdir>/<variant>/seed-<n>`, so that nothing of one leaks
into the next. Finished runs are skipped, interrupted ones resume.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import json
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxedit import config as config_lib
from jaxedit.commands import command, counting
from jaxedit.errors import UserError
from jaxedit.host import atomic, modules, parent
from jaxedit.host.names import check_choice
from jaxedit.report import changes, comparison, tables


def add(commands) -> None:
    """Adds the parser of `jaxedit sweep`."""
    parser = command.add(
        commands, "sweep", main, "run an ablation and compare its variants",
        "Runs each variant with each seed, one after the other; finished runs are skipped,\n"
        "interrupted ones resume. Then writes the comparison: Markdown, CSV and a plot.\n"
        "Any --config.KEY=VALUE is passed to every run.\n\n"
        "  jaxedit sweep experiments/ABLATION.py\n"
        "  jaxedit sweep experiments/ABLATION.py:all --only no_textural --seeds 1",
    )
    parser.add_argument("file", metavar="FILE.py[:SET]", help="the sweep file")
    parser.add_argument("--workdir", type=pathlib.Path, metavar="DIRECTORY",
                        help="the sweep directory (default: runs/<file>[-<set>])")
    parser.add_argument("--only", action="append", default=[], metavar="NAME",
                        help="only this variant; may be given several times")
    parser.add_argument("--seeds", type=int, metavar="N",
                        help="seeds of each variant, from 1; more than the file names count on "
                        "from its last (default: the file's)")
    parser.add_argument("--verbose", action="store_true",
                        help="show what the runs print instead of keeping it in log files")
    parser.add_argument("--list", action="store_true",
                        help="show the variants, or those of --only, and run nothing")
    parser.set_defaults(takes_overrides=True)
    counting.only(parser, "--workdir --seeds --verbose", lambda a: not a.list,
                  "is about running, and --list runs nothing: leave one of them out.")


def main(arguments: argparse.Namespace) -> int:
    """`jaxedit sweep`."""
    sweep = read(arguments.file)
    if arguments.list:
        if arguments.overrides:
            raise UserError(f"{arguments.overrides[0]} is about running, and --list runs nothing: "
                            "leave one of them out.")
        config = config_lib.from_json(config_lib.to_json(config_lib.load(sweep.config)))
        print(sweep.table, end="\n\n")
        shown = {name: sweep.variants[name] for name in _named(sweep, arguments.only)}
        print("\n".join(changes.lines(shown, config_lib.flatten(config))))
        return 0
    workdir = arguments.workdir or pathlib.Path("runs") / sweep.name
    common = [_override(word) for word in arguments.overrides]
    jobs = runs_of(sweep, workdir, only=arguments.only, seeds=arguments.seeds,
                   common=common)
    failures = run(sweep, jobs, workdir, verbose=arguments.verbose, say=_print)
    for failure in failures:
        command.tell(f"failed: {failure}")
    if failures:
        command.tell(
            f"{len(failures)} of {len(jobs)} runs failed. The same command runs them again."
        )
    return 1 if failures else 0


def _override(word: str) -> tuple[str, str]:
    key, equals, value = word.removeprefix("--config.").partition("=")
    if not word.startswith("--config.") or not equals:
        raise UserError(f"Unknown argument {word!r}. Overrides are --config.KEY=VALUE.")
    return key, value


def _print(line: str) -> None:
    print(line, flush=True)


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What a sweep file says.

    Attributes:
      name: the file's stem, with the chosen set.
      config: argument of --config.
      seeds: values of train.seed.
      table: which table or list of the paper it mirrors.
      variants: name -> {dotted key: value}, in order; the first is the reference.
    """

    name: str
    config: str
    seeds: tuple[int, ...]
    table: str
    variants: Mapping[str, Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Planned:
    """One run of a sweep: its folder and its overrides, as (dotted key, text) pairs."""

    variant: str
    seed: int
    run_dir: pathlib.Path
    overrides: tuple[tuple[str, str], ...]

    @property
    def done(self) -> bool:
        """Whether the run has finished."""
        return (self.run_dir / "DONE").exists()

    @property
    def log(self) -> pathlib.Path:
        """What the run printed; outside its folder, which only the run itself may start."""
        return self.run_dir.with_name(self.run_dir.name + ".log")


def read(argument: str) -> Sweep:
    """Returns the sweep that `PATH.py[:CHOSEN]` names.

    Raises:
      UserError: no such file, or it does not say what a sweep needs.
    """
    text, found, chosen = argument.partition(".py")
    path = pathlib.Path(text + ".py")
    if not found or (chosen and not chosen.startswith(":")):
        raise UserError(f"{argument} names no sweep. Expected PATH.py or PATH.py:SET.")
    if not path.is_file():
        raise UserError(f"No sweep file {path}. The project's own are in experiments/.")
    module = modules.load(path, f"jaxedit_sweep_{path.stem}")
    for name in ("CONFIG", "SEEDS", "TABLE", "variants"):
        if not hasattr(module, name):
            raise UserError(f"{path} defines no {name}. A sweep needs CONFIG, SEEDS, TABLE and "
                            "variants(); see jaxedit/commands/sweep.py.")
    chosen = chosen.removeprefix(":")
    variants = _choose(module.variants, chosen, path)
    for name in variants:
        if not re.fullmatch(r"[\w.+-]+", name):
            raise UserError(f"{path}: the variant name {name!r} cannot be a folder's name. Use "
                            "letters, digits and any of _ . + -")
    return Sweep(
        name=path.stem + (f"-{chosen}" if chosen else ""),
        config=_locate_config(module.CONFIG, path),
        seeds=tuple(module.SEEDS),
        table=inspect.cleandoc(module.TABLE),
        variants=variants,
    )


def runs_of(
    sweep: Sweep,
    workdir: pathlib.Path,
    *,
    only: Sequence[str] = (),
    seeds: int | None = None,
    common: Sequence[tuple[str, str]] = (),
) -> list[Planned]:
    """Returns the runs of a sweep, seed by seed, after checking every configuration.

    Args:
      sweep: what to run.
      workdir: the sweep directory.
      only: names of variants; empty is all.
      seeds: how many seeds; more than the file names count on from its last. None: the file's.
      common: overrides of every run; a variant's own go over them.

    Raises:
      UserError: an unknown variant or key, or a folder that holds a run of another configuration.
    """
    chosen, jobs = _named(sweep, only), []
    for seed in _seeds(sweep.seeds, seeds):
        for name in chosen:
            own = [(key, as_text(value)) for key, value in sweep.variants[name].items()]
            overrides = (*common, *own, ("train.seed", str(seed)))
            jobs.append(Planned(name, seed, workdir / name / f"seed-{seed}", overrides))
    for job in jobs:
        _check_config(sweep, job)
    return jobs


def _named(sweep: Sweep, only: Sequence[str]) -> list[str]:
    """Returns the variants that `only` names, in the sweep's order; all where it names none."""
    for name in only:
        check_choice(f"{sweep.name}: variant", name, sweep.variants)
    return [name for name in sweep.variants if not only or name in only]


def run(
    sweep: Sweep,
    jobs: Sequence[Planned],
    workdir: pathlib.Path,
    *,
    verbose: bool = False,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Runs what is not finished, then writes the comparison; returns a line for each failure.

    Args:
      sweep: what the jobs are of.
      jobs: from `runs_of`.
      workdir: the sweep directory.
      verbose: the runs print to the terminal instead of their log files.
      say: is told about each run.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    about = {
        "name": sweep.name, "table": sweep.table, "config": sweep.config,
        "variants": list(sweep.variants),
        "overrides": {name: dict(o) for name, o in sweep.variants.items()},
    }
    atomic.write_text(workdir / "sweep.json", json.dumps(about, indent=2) + "\n")
    failures = []
    for number, job in enumerate(jobs, 1):
        title = f"[{number}/{len(jobs)}] {job.variant}, seed {job.seed}"
        if job.done:
            say(f"{title}: already finished{_figure(job)}")
            continue
        say(f"{title}: {'resuming' if job.run_dir.exists() else 'running'}; log in {job.log}")
        started = time.monotonic()
        reason = _run_one(sweep, job, verbose)
        minutes = (time.monotonic() - started) / 60
        if reason is None:
            say(f"{title}: done in {minutes:.1f} min{_figure(job)}")
        else:
            say(f"{title}: FAILED after {minutes:.1f} min")
            failures.append(f"{job.variant}, seed {job.seed}: {reason}")
    if any((job.run_dir / "evaluation.json").exists() for job in jobs):
        result = comparison.compare(workdir)
        say("")
        say(result.markdown)
        say("written: " + ", ".join(str(path) for path in result.files))
    return failures


def as_text(value: Any) -> str:
    """Returns how a value is spelled behind `--config.KEY=`."""
    return value if isinstance(value, str) else repr(value)


def command_of(sweep: Sweep, job: Planned) -> list[str]:
    """Returns the command line of one run."""
    return [
        sys.executable, "-m", "jaxedit.main", f"--config={sweep.config}",
        *(f"--config.{key}={text}" for key, text in job.overrides), f"--workdir={job.run_dir}",
    ]


def _run_one(sweep: Sweep, job: Planned, verbose: bool) -> str | None:
    """Runs one job to its end; returns None, or why it failed.

    SIGTERM is passed on, so that the run can save before both end. If this process is killed, the
    run ends too.
    """
    command = command_of(sweep, job)
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with open(job.log, "ab") as log:
        log.write(f"$ {' '.join(command)}\n".encode())
        log.flush()
        output = None if verbose else log
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=parent.environment()
        )
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True
        process.terminate()

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.wait()  # the terminal has sent it the same signal
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)
    if stopped:
        raise KeyboardInterrupt
    if code == 0 and job.done:
        return None
    if verbose:
        return f"exit code {code}"
    lines = job.log.read_text(errors="replace").replace("\r", "\n").splitlines()
    # What a traceback ends in; progress bars and JAX's remarks on it may follow.
    named = [line for line in lines if re.match(r"(error|[\w.]+(Error|Exception)): ", line)]
    last = named[-1:] or [line for line in lines if line.strip()][-3:]
    return f"exit code {code}; from {job.log}:\n    " + "\n    ".join(last)


def _figure(job: Planned) -> str:
    """Returns `, psnr 24.13` with the first figure of a finished run."""
    run = comparison.read_run(job.run_dir)
    if run is None:
        return ""
    figures = comparison.frame([run])
    for row in figures[figures["group"] == comparison.OVERALL].itertuples():
        return f", {row.metric} {tables.figure(row.value)}"
    return ""


def _choose(variants: Callable, chosen: str, path: pathlib.Path) -> dict[str, dict[str, Any]]:
    if not chosen:
        result = variants()
    elif inspect.signature(variants).parameters:
        result = variants(chosen)
    else:
        raise UserError(f"{path} has one set of variants only: leave ':{chosen}' out.")
    if not result:
        raise UserError(f"{path}: variants() names none.")
    return {name: dict(overrides) for name, overrides in result.items()}


def _locate_config(config: str, sweep_file: pathlib.Path) -> str:
    """Returns the --config argument with a path that exists from here."""
    path, _, rest = config.partition(".py")
    beside = sweep_file.resolve().parent.parent / f"{path}.py"
    if not pathlib.Path(f"{path}.py").is_file() and beside.is_file():
        return f"{beside}{rest}"
    return config


def _seeds(named: tuple[int, ...], count: int | None) -> list[int]:
    if count is None:
        return list(dict.fromkeys(named))
    if count < 1:
        raise UserError(f"--seeds={count}: expected at least 1.")
    start = max(named, default=-1) + 1
    return [*dict.fromkeys(named), *range(start, start + count)][:count]


def _check_config(sweep: Sweep, job: Planned) -> None:
    """Raises UserError unless the run can start, before hours are spent on the ones before it."""
    from jaxedit.run import directory, stages

    try:
        config = config_lib.load(sweep.config, job.overrides)
        stages.check(config)
    except UserError as error:
        raise UserError(f"Variant {job.variant!r}: {error}") from error
    if not (job.run_dir / "config.json").is_file():
        return
    lines = directory.differences(config, job.run_dir)
    if lines:
        raise UserError(
            f"{job.run_dir} holds a run of another configuration:\n  " + "\n  ".join(lines[:12])
            + "\nChoose another --workdir, or remove that folder to run the variant again."
        )
