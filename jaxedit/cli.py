"""The `jaxedit` command: apply networks to your pictures, convert weights, compare runs.

Training is `python -m jaxedit.main`. Exit codes: 0 done, 1 some of several parts failed, 2 a
mistake that the message explains, 130 interrupted. Nothing heavy is imported until a command
needs it.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import sys

import jaxedit
from jaxedit import cli_apply, command, large_pages
from jaxedit.errors import UserError

Path = pathlib.Path


def program() -> int:
    """The program `jaxedit`: `main` with what the command line says."""
    large_pages.restart()
    return main()


def main(argv: list[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    parser = build_parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest and arguments.command != "sweep":
        parser.error(f"unknown argument: {' '.join(rest)}")
    arguments.overrides = rest
    try:
        return arguments.function(arguments)
    except UserError as error:
        print(f"jaxedit {arguments.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="jaxedit", allow_abbrev=False, description=__doc__.splitlines()[0],
        epilog="`jaxedit COMMAND --help` explains a command. "
        "Training: python -m jaxedit.main --help.",
    )
    parser.add_argument("--version", action="version", version=f"jaxedit {jaxedit.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    cli_apply.add_commands(commands)
    _add_weights(commands)
    _add_sweep(commands)
    _add_report(commands)
    _add_doctor(commands)
    _add_data(commands)
    return parser


def _add_weights(commands) -> None:
    parser = commands.add_parser(
        "weights", help="list published weights and convert them", allow_abbrev=False,
        description="Published weights: what there is, and how to make it ours.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = command.add(
        actions, "list", weights_list, "list all published weights that jaxedit can use",
        "Shows where each file is, under which licence, and whether it is on this machine.",
    )
    listing.add_argument("--names", action="store_true", help="names and states only")
    converting = command.add(
        actions, "convert", weights_convert, "convert a file as its publisher provides it",
        "Reads safetensors and torch files (the latter without executing anything in them),\n"
        "checks every name and shape, and writes a safetensors file where jaxedit looks for it\n"
        "($JAXEDIT_WEIGHTS, or the user's cache folder).\n\n"
        "  jaxedit weights convert scat-places2 G0000000.pt",
    )
    converting.add_argument("name", metavar="NAME", help="see `jaxedit weights list`")
    converting.add_argument("file", type=Path, metavar="FILE", help="the downloaded file")
    converting.add_argument("--output", type=Path, metavar="PATH",
                            help="write here instead of where jaxedit looks for it")
    converting.add_argument("--no-verify", action="store_true",
                            help="accept another SHA-256 than the published one (a re-saved file)")


def _add_sweep(commands) -> None:
    parser = command.add(
        commands, "sweep", sweep, "run an ablation and compare its variants",
        "Runs each variant with each seed, one after the other; finished runs are skipped,\n"
        "interrupted ones resume. Then writes the comparison: Markdown, CSV and a plot.\n"
        "Any --config.KEY=VALUE is passed to every run.\n\n"
        "  jaxedit sweep experiments/scat_ablation.py\n"
        "  jaxedit sweep experiments/scat_ablation.py:all --only no_textural --seeds 1",
    )
    parser.add_argument("file", metavar="FILE.py[:SET]", help="the sweep file")
    parser.add_argument("--workdir", type=Path, metavar="DIRECTORY",
                        help="the sweep directory (default: runs/<file>[-<set>])")
    parser.add_argument("--only", action="append", default=[], metavar="NAME",
                        help="only this variant; may be given several times")
    parser.add_argument("--seeds", type=int, metavar="N", help="the number of seeds")
    parser.add_argument("--verbose", action="store_true",
                        help="show what the runs print instead of keeping it in log files")
    parser.add_argument("--list", action="store_true", help="show the variants and run nothing")


def _add_report(commands) -> None:
    parser = command.add(
        commands, "report", report, "write the report of a run, or compare several",
        "For one run: its page report.html, and its evaluation here. For a sweep directory, or\n"
        "several runs: the comparison with mean and spread, as Markdown, CSV and a plot.\n\n"
        "  jaxedit report runs/scat-demo\n"
        "  jaxedit report runs/scat_ablation",
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="RUN_OR_SWEEP",
                        help="a run, a sweep, or several runs")
    parser.add_argument("--output", type=Path, metavar="FOLDER",
                        help="where a comparison is written (default: the sweep directory, or "
                        "beside the runs)")


def _add_doctor(commands) -> None:
    command.add(
        commands, "doctor", doctor, "print what a bug report needs",
        "Versions, machine, devices, caches, weights, and whether a small program runs right.",
    )


def _add_data(commands) -> None:
    parser = commands.add_parser(
        "data", help="prepare training data", description="Prepares training data.",
        allow_abbrev=False,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    packing = command.add(
        actions, "pack", data_pack, "pack a folder of images into ArrayRecord shards",
        "The result is a source: --config.data.source=array_record:OUT.\n\n"
        "  jaxedit data pack pictures/ packed/ --shards 8",
    )
    packing.add_argument("folder", type=Path, metavar="FOLDER",
                         help="images/ with masks/, alphas/, ... beside it, or plain images")
    packing.add_argument("output", type=Path, metavar="OUT", help="a new folder for the shards")
    packing.add_argument("--shards", type=int, default=1, metavar="N",
                         help="number of files (default: 1)")
    composing = command.add(
        actions, "compose", data_compose, "make a matting test set of subjects and backgrounds",
        "Puts every subject in front of several backgrounds by the rule of Composition-1k. The\n"
        "result is a source: --config.evaluate.source=folder:OUT. Subjects are files of the same\n"
        "name in fg/ and alpha/ (or images/ and alphas/), or images with transparency.\n\n"
        "  jaxedit data compose subjects/ photos/ test_set/ --per-foreground 20",
    )
    composing.add_argument("foregrounds", type=Path, metavar="FOREGROUNDS",
                           help="the folder of subjects")
    composing.add_argument("backgrounds", type=Path, metavar="BACKGROUNDS",
                           help="a folder of images")
    composing.add_argument("output", type=Path, metavar="OUT", help="a new folder")
    composing.add_argument("--per-foreground", type=int, default=20, metavar="N",
                           help="backgrounds for each subject (default: 20)")
    composing.add_argument("--trimap-width", type=int, default=10, metavar="PIXELS",
                           help="of the unknown band, where trimaps are made (default: 10)")
    composing.add_argument("--make-trimaps", action="store_true",
                           help="make all trimaps, even where there is a folder trimaps/")
    composing.add_argument("--estimate-colours", action="store_true",
                           help="estimate the subjects' own colours, without the background that "
                           "they were photographed before (extra `matting`)")
    composing.add_argument("--seed", type=int, default=0, metavar="S",
                           help="of the choice of backgrounds (default: 0)")


def weights_list(arguments: argparse.Namespace) -> int:
    """`jaxedit weights list`."""
    from jaxedit.weights import convert

    for row in convert.list_rows():
        print(f"{row['name']:18} {row['state']:7} {row['what']}")
        if arguments.names:
            continue
        source = f"{row['address']} ({row['file']})" if row["file"] else row["address"]
        for label, value in (("from", source), ("size", row["size"]), ("digest", row["digest"]),
                             ("licence", row["licence"]), ("here", row["path"])):
            print(f"{'':18} {label:7} {value}")
    return 0


def weights_convert(arguments: argparse.Namespace) -> int:
    """`jaxedit weights convert`."""
    from jaxedit.weights import convert

    target = convert.convert(arguments.name, arguments.file, arguments.output,
                             verify=not arguments.no_verify)
    print(target)
    return 0


def sweep(arguments: argparse.Namespace) -> int:
    """`jaxedit sweep`."""
    from jaxedit import sweep as sweep_lib

    plan = sweep_lib.read(arguments.file)
    if arguments.list:
        print(plan.table, end="\n\n")
        for name, overrides in plan.variants.items():
            values = " ".join(f"{k}={sweep_lib.as_text(v)}" for k, v in overrides.items())
            print(f"{name:26} {values or '(as configured)'}")
        return 0
    workdir = arguments.workdir or Path("runs") / plan.name
    common = [_override(word) for word in arguments.overrides]
    jobs = sweep_lib.plan(plan, workdir, only=arguments.only, seeds=arguments.seeds,
                          common=common)
    failures = sweep_lib.run(plan, jobs, workdir, verbose=arguments.verbose, say=_print)
    for failure in failures:
        command.tell(f"failed: {failure}")
    if failures:
        command.tell(
            f"{len(failures)} of {len(jobs)} runs failed. The same command runs them again."
        )
    return 1 if failures else 0


def report(arguments: argparse.Namespace) -> int:
    """`jaxedit report`."""
    from jaxedit import comparison
    from jaxedit import report as report_lib

    folders = arguments.folders
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder} is no folder. Give a run or a sweep directory.")
    if len(folders) > 1 or comparison.is_sweep(folders[0]):
        result = comparison.compare(folders if len(folders) > 1 else folders[0], arguments.output)
        print(result.markdown)
        for path in result.files:
            command.tell(f"written: {path}")
        return 0
    path = report_lib.write(folders[0])
    evaluation = report_lib.read_json(folders[0] / "evaluation.json")
    if evaluation:
        print(report_lib.text_table(evaluation))
    command.tell(f"written: {path}")
    return 0


def doctor(arguments: argparse.Namespace) -> int:
    """`jaxedit doctor`."""
    from jaxedit import doctor as doctor_lib

    del arguments
    print(doctor_lib.report())
    return 0


def data_pack(arguments: argparse.Namespace) -> int:
    """`jaxedit data pack`."""
    from jaxedit.data import pack

    pack.pack(arguments.folder, arguments.output, arguments.shards)
    print(f"array_record:{arguments.output}")
    return 0


def data_compose(arguments: argparse.Namespace) -> int:
    """`jaxedit data compose`."""
    from jaxedit.data import compose

    compose.compose(
        arguments.foregrounds, arguments.backgrounds, arguments.output, arguments.per_foreground,
        arguments.trimap_width, arguments.seed, command.tell,
        copy_trimaps=not arguments.make_trimaps, estimate_colours=arguments.estimate_colours,
    )
    print(f"folder:{arguments.output}")
    return 0


def _override(word: str) -> tuple[str, str]:
    key, equals, value = word.removeprefix("--config.").partition("=")
    if not word.startswith("--config.") or not equals:
        raise UserError(f"Unknown argument {word!r}. Overrides are --config.KEY=VALUE.")
    return key, value


def _print(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(program())
