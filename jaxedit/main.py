"""`python -m jaxedit.main --config=configs/PAPER.py`: trains, or evaluates, one run.

`jaxedit train` and `jaxedit evaluate` do the same.
"""

from __future__ import annotations

import argparse
import sys

from jaxedit import config as config_lib
from jaxedit.commands import counting, evaluate, network, train
from jaxedit.errors import UserError
from jaxedit.host import console, large_pages, parent


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code: 0 done, 2 a mistake that the message explains, 130 interrupted."""
    console.tolerate()
    parent.follow_announced()
    arguments, overrides = parse(sys.argv[1:] if argv is None else argv)
    return train.guarded(lambda: run(arguments, overrides), leave=argv is None)


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
    train.add_options(parser)
    parser.add_argument("--mode", choices=("train", "evaluate"), default="train",
                        help="evaluate measures a checkpoint of --workdir")
    evaluate.add_options(parser, "with --mode=evaluate: ")
    network.add_trust(parser, "with --mode=evaluate: ")
    counting.only(parser, "--step --stage --trust-run-code", lambda a: a.mode == "evaluate",
                  "is for --mode=evaluate; training resumes from its last checkpoint.")
    flags, rest = parser.parse_known_args(argv)
    try:
        counting.check(flags)
        overrides = train.overrides(rest)
    except UserError as error:
        parser.error(str(error))
    if flags.config is None and flags.mode == "train":
        parser.error("--config is needed: a file of configs/")
    if flags.config is None and flags.workdir is None:
        parser.error("--mode=evaluate needs --workdir or --config")
    if flags.mode == "evaluate" and flags.config and config_lib.split_argument(flags.config)[2]:
        parser.error(f"--config={flags.config}: with --mode=evaluate it only names the run; set "
                     "evaluate.* and data.* by --config.KEY=VALUE")
    return flags, overrides


def run(flags: argparse.Namespace, overrides: list[tuple[str, str]]) -> int:
    """Carries out what the flags say; returns the exit code."""
    if flags.mode == "train":
        return train.run(flags, overrides)
    train.start(flags)
    return evaluate.evaluate_run(
        flags.workdir or train.default_run_dir(flags.config), flags.step, overrides, flags.stage,
        trust_code=flags.trust_run_code,
    )


if __name__ == "__main__":
    large_pages.restart()
    sys.exit(main())
