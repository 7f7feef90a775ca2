"""`jaxedit report`: writes the page of a run again, or compares several runs."""

from __future__ import annotations

import argparse
import pathlib

from jaxedit.commands import command
from jaxedit.errors import UserError
from jaxedit.host import atomic


def add(commands) -> None:
    """Adds the parser of `jaxedit report`."""
    parser = command.add(
        commands, "report", main, "write the report of a run, or compare several",
        "For one run: its page report.html, and its evaluation here. For a sweep directory, or\n"
        "several runs: the comparison with mean and spread, as Markdown, CSV and a plot.\n"
        "With --beside, one page that shows two runs side by side.\n\n"
        "  jaxedit report runs/first\n"
        "  jaxedit report runs/first --beside runs/second\n"
        "  jaxedit report runs/ablation",
    )
    parser.add_argument("folders", nargs="+", type=pathlib.Path, metavar="RUN_OR_SWEEP",
                        help="a run, a sweep, or several runs")
    parser.add_argument("--output", type=pathlib.Path, metavar="FOLDER",
                        help="where a comparison is written (default: the sweep directory, or "
                        "beside the runs), or a page (default: the run); a page's own name, "
                        "ending in .html, will do too")
    parser.add_argument("--beside", type=pathlib.Path, metavar="RUN",
                        help="a second run to show beside the one: curves in the same charts, "
                        "tables and pictures next to each other")


def main(arguments: argparse.Namespace) -> int:
    """`jaxedit report`."""
    from jaxedit.report import comparison, page

    folders, beside = arguments.folders, arguments.beside
    for folder in (*folders, *([beside] if beside else [])):
        if not folder.is_dir():
            raise UserError(f"{folder} is no folder. Give a run or a sweep directory.")
    folders = _once(folders)
    if beside and len(folders) == 1 and beside.samefile(folders[0]):
        raise UserError(f"--beside {beside} is {folders[0]} itself. Name another run.")
    several = len(folders) > 1 or comparison.is_sweep(folders[0])
    if several and beside:
        raise UserError("--beside shows one run beside another. Give one run before it, or leave "
                        "--beside out for the comparison of several.")
    if several and page.is_page(arguments.output):
        raise UserError(
            f"--output {arguments.output}: a comparison is several files. Name a folder for them."
        )
    if arguments.output is not None:
        is_page = page.is_page(arguments.output)
        atomic.check_place(arguments.output.parent if is_page else arguments.output)
    if several:
        result = comparison.compare(folders if len(folders) > 1 else folders[0], arguments.output)
        print(result.markdown)
        for path in result.files:
            command.tell(f"written: {path}")
        return 0
    path = page.write(folders[0], beside, arguments.output)
    evaluation = page.read_json(folders[0] / "evaluation.json")
    if evaluation:
        print(page.text_table(evaluation))
    command.tell(f"written: {path}")
    return 0


def _once(folders: list[pathlib.Path]) -> list[pathlib.Path]:
    """Returns the folders, each once, by whatever paths it is named; says which were named again.
    """
    found: list[pathlib.Path] = []
    for folder in folders:
        other = next((one for one in found if one.samefile(folder)), None)
        if other is None:
            found.append(folder)
        else:
            named = "named twice" if folder == other else f"the same run as {other}"
            command.tell(f"{folder} is {named} and counts once.")
    return found
