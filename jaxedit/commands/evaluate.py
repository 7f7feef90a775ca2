"""`jaxedit evaluate`: measures a checkpoint of a run; `--mode=evaluate` of `jaxedit.main` too."""

from __future__ import annotations

import argparse
import pathlib

from jaxedit import config as config_lib
from jaxedit.commands import command, network, train
from jaxedit.errors import UserError
from jaxedit.host import parent


def add(commands) -> None:
    """Adds the parser of `jaxedit evaluate`."""
    parser = command.add(
        commands, "evaluate", main, "measure a checkpoint of a run",
        "By the method's own figures, beside its baselines, on what the run was measured on or on\n"
        "another source. The figures are written into the run and its report.\n\n"
        "One figure of each method decides which checkpoint is best: PSNR of filled holes, MSE\n"
        "of mattes, and so on; the report's first paragraph names it. It is measured now and then\n"
        "while training (train.evaluate_every), on few samples (evaluate.limit_in_training), and\n"
        "the checkpoint of its best value is kept. A method that names none has no best one.\n\n"
        "  jaxedit evaluate runs/PAPER-demo\n"
        "  jaxedit evaluate runs/PAPER-demo --step best\n"
        "  jaxedit evaluate runs/PAPER-demo --config.evaluate.source=folder:photos",
    )
    parser.add_argument("workdir", type=pathlib.Path, metavar="RUN",
                        help="a run directory that training made")
    add_options(parser)
    network.add_trust(parser)
    parser.set_defaults(takes_overrides=True)


def add_options(parser: argparse.ArgumentParser, prefix: str = "") -> None:
    """Adds which checkpoint is measured; `prefix` begins the help."""
    parser.add_argument("--step", default=None,
                        help=f"{prefix}{network.BEST}")
    parser.add_argument("--stage", default=None,
                        help=f"{prefix}the stage to measure (default: the last)")


def main(arguments: argparse.Namespace) -> int:
    """`jaxedit evaluate`."""
    from jaxedit.run import sharding

    parent.follow_announced()

    def work() -> int:
        sharding.enable_compilation_cache()
        return evaluate_run(
            arguments.workdir, arguments.step, train.overrides(arguments.overrides),
            arguments.stage, trust_code=arguments.trust_run_code,
        )

    return train.guarded(work, leave=True)


def evaluate_run(
    run_dir: pathlib.Path, step: str | None, overrides: list[tuple[str, str]],
    stage: str | None = None, *, trust_code: bool = False,
) -> int:
    """Measures one checkpoint of a run, on its own or another source."""
    from jaxedit import bounds
    from jaxedit import method as method_lib
    from jaxedit.report import page as report
    from jaxedit.run import artifacts, measure, readers, sharding

    ended = (run_dir / "DONE").exists()
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
    start = f"-step{int(state.step)}" if step or overrides else ""
    if any(key == "evaluate.split" for key, _ in overrides):
        start += f"-{stage_config.evaluate.split}"
    last = measure.last_saved_stage(run_dir)
    stage, is_main = stage or last, stage in (None, last)
    suffix = measure.suffix_of(run_dir, stage, stage_config, start, is_main=is_main)
    first = sharding.is_first_process()
    said: set[str] = set()
    for measured in measure.measure_state(
        method, stage_config, state, run_dir, stage, suffix, is_main=is_main, beside=True
    ):
        if first:
            print(measured.heading + report.text_table(measured.to_json(), said), flush=True)
            command.tell(f"written: {measured.path}")
    if first:
        page = report.write(run_dir)
        if not ended and (run_dir / "DONE").exists():  # ours may have replaced the run's last page
            page = report.write(run_dir)
        command.tell(f"Report: {page}{train.pictures_of(run_dir)}")
    return 0
