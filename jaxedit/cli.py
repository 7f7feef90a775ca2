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
from jaxedit.errors import UserError

Path = pathlib.Path


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
    _add_inpaint(commands)
    _add_weights(commands)
    _add_sweep(commands)
    _add_report(commands)
    _add_doctor(commands)
    _add_data(commands)
    return parser


def _command(commands, name: str, function, short: str, long: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name, help=short, description=f"{short[0].upper()}{short[1:]}.\n\n{long}",
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )
    parser.set_defaults(function=function)
    return parser


def _add_inpaint(commands) -> None:
    parser = _command(
        commands, "inpaint", inpaint, "fill holes in photographs",
        "The mask is an image of the photo's size, white where the hole is. Photos of any size\n"
        "and shape; nothing is resized. In a PNG every pixel outside the hole comes back as it\n"
        "was; EXIF, colour profile and transparency are kept.\n\n"
        "  jaxedit inpaint photo.jpg mask.png --run runs/scat-demo --output result.png\n"
        "  jaxedit inpaint photos/ masks/ --weights scat-places2 --output results/",
    )
    parser.add_argument("photo", type=Path, metavar="PHOTO",
                        help="an image, or a folder of images")
    parser.add_argument("mask", type=Path, metavar="MASK",
                        help="its mask, or a folder of masks with the photos' names")
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("--run", type=Path, metavar="DIRECTORY",
                         help="a run directory that `python -m jaxedit.main` made")
    network.add_argument("--weights", metavar="NAME",
                         help="published weights, see `jaxedit weights list`")
    parser.add_argument("--output", type=Path, required=True, metavar="OUT",
                        help="the result, .png (exact) or .jpg; a folder where PHOTO is one")
    parser.add_argument("--step", metavar="STEP",
                        help="with --run: a checkpoint's step, 'last' or 'best' (default: last)")
    parser.add_argument("--invert-mask", action="store_true",
                        help="black marks the hole")
    parser.add_argument("--overwrite", action="store_true",
                        help="replace results that exist")
    parser.add_argument("--bucket", type=int, metavar="PIXELS",
                        help="sides are padded to multiples of this (default: 64): larger means "
                        "fewer compilations for a folder of many sizes")


def _add_weights(commands) -> None:
    parser = commands.add_parser(
        "weights", help="list published weights and convert them", allow_abbrev=False,
        description="Published weights: what there is, and how to make it ours.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = _command(
        actions, "list", weights_list, "list all published weights that jaxedit can use",
        "Shows where each file is, under which licence, and whether it is on this machine.",
    )
    listing.add_argument("--names", action="store_true", help="names and states only")
    converting = _command(
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
    parser = _command(
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
    parser = _command(
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
    _command(
        commands, "doctor", doctor, "print what a bug report needs",
        "Versions, machine, devices, caches, weights, and whether a small program runs right.",
    )


def _add_data(commands) -> None:
    parser = commands.add_parser(
        "data", help="prepare training data", description="Prepares training data.",
        allow_abbrev=False,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    packing = _command(
        actions, "pack", data_pack, "pack a folder of images into ArrayRecord shards",
        "The result is a source: --config.data.source=array_record:OUT.\n\n"
        "  jaxedit data pack pictures/ packed/ --shards 8",
    )
    packing.add_argument("folder", type=Path, metavar="FOLDER",
                         help="images/ with masks/, alphas/, ... beside it, or plain images")
    packing.add_argument("output", type=Path, metavar="OUT", help="a new folder for the shards")
    packing.add_argument("--shards", type=int, default=1, metavar="N",
                         help="number of files (default: 1)")


def inpaint(arguments: argparse.Namespace) -> int:
    """`jaxedit inpaint`."""
    from jaxedit import inpaint as front_end

    if arguments.step is not None and arguments.run is None:
        raise UserError("--step chooses a checkpoint of --run; published weights have none.")
    jobs = front_end.plan(arguments.photo, arguments.mask, arguments.output,
                          overwrite=arguments.overwrite, say=_tell)
    failures = front_end.run(jobs, lambda: _load_applier(arguments), invert=arguments.invert_mask,
                             say=_tell)
    if failures:
        _tell(f"{len(failures)} of {len(jobs)} photos failed; the others are done.")
    return 1 if failures else 0


def _load_applier(arguments: argparse.Namespace):
    from jaxedit import apply, sharding

    sharding.enable_compilation_cache()
    bucket = apply.BUCKET if arguments.bucket is None else arguments.bucket
    options = {"bucket": bucket, "say": _tell}
    if arguments.run is not None:
        return apply.from_run(arguments.run, "inpaint", step=arguments.step, **options)
    return apply.from_weights(arguments.weights, "inpaint", **options)


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
        _tell(f"failed: {failure}")
    if failures:
        _tell(f"{len(failures)} of {len(jobs)} runs failed. The same command runs them again.")
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
            _tell(f"written: {path}")
        return 0
    path = report_lib.write(folders[0])
    evaluation = report_lib.read_json(folders[0] / "evaluation.json")
    if evaluation:
        print(report_lib.text_table(evaluation))
    _tell(f"written: {path}")
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


def _override(word: str) -> tuple[str, str]:
    key, equals, value = word.removeprefix("--config.").partition("=")
    if not word.startswith("--config.") or not equals:
        raise UserError(f"Unknown argument {word!r}. Overrides are --config.KEY=VALUE.")
    return key, value


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
