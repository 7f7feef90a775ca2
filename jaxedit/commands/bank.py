"""`jaxedit bank`: a memory bank of segments, to synthesise photographs from label maps with."""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import time
from collections.abc import Mapping
from typing import Any

from jaxedit.commands import command, counting
from jaxedit.errors import UserError
from jaxedit.host import atomic, locks, number_text
from jaxedit.host.names import check_choice


def add(commands) -> None:
    """Adds the parsers of `jaxedit bank`."""
    parser = commands.add_parser(
        "bank", help="keep segments of photographs to paste",
        description="A memory bank: segments of labelled photographs, to be pasted.",
        allow_abbrev=False,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    building = command.add(
        actions, "build", build, "cut labelled photographs into segments",
        "FOLDER holds images/ and labels/ of the same names, instances/ where objects of a class\n"
        "touch, classes.json, and in manifest.jsonl each picture's \"licence\" and \"source\".\n"
        "Pixels of the bank reappear in results, so every donor keeps its licence. A build that\n"
        "was killed goes on when it is started again.\n\n"
        "  jaxedit bank build streets/ streets.bank/ --licence CC-BY-4.0 --size 512x256",
    )
    building.add_argument("folder", metavar="FOLDER",
                          help="the folder, or a data source such as scenes:several")
    building.add_argument("output", type=pathlib.Path, metavar="BANK", help="a new folder")
    building.add_argument("--split", choices=("train", "eval", "all"), default="all",
                          help="a part of the source alone, such as train where the other is to "
                          "be synthesised (default: all)")
    building.add_argument("--licence", required=True, metavar="NAME",
                          help="of the pictures whose own line names none")
    building.add_argument("--only", action="append", default=[], metavar="NAME",
                          help="leave out pictures under other licences; may be given again")
    building.add_argument("--size", default="512x256", metavar="WxH",
                          help="pixels of the frame in which segments are compared (default: "
                          "512x256)")
    building.add_argument("--scale", type=int, default=1, metavar="N",
                          help="keep colours N times as fine as the frame (default: 1)")
    building.add_argument("--thin", action="append", default=[], metavar="CLASS",
                          help="a class that cuts no other in two, such as pole; may be given "
                          "again")
    showing = command.add(
        actions, "inspect", inspect, "show what a bank holds",
        "Prints classes, donors' licences and size; with --output writes a page that shows\n"
        "segments of every class.\n\n"
        "  jaxedit bank inspect streets.bank/ --output streets.html",
    )
    showing.add_argument("bank", type=pathlib.Path, metavar="BANK", help="the bank's folder")
    showing.add_argument("--output", type=pathlib.Path, metavar="FILE.html",
                         help="also write a page with segments of every class")
    showing.add_argument("--per-class", type=int, default=12, metavar="N",
                         help="segments of a class on the page (default: 12)")
    counting.only(showing, "--per-class", lambda a: a.output is not None,
                  "is about the page: add --output FILE.html, or leave it out.")
    removing = command.add(
        actions, "remove", remove, "take pictures out of a bank",
        "Their pixels, labels and names leave the bank's files, for example where a licence was\n"
        "withdrawn.\n\n"
        "  jaxedit bank remove streets.bank/ 0001TP_006690",
    )
    removing.add_argument("bank", type=pathlib.Path, metavar="BANK", help="the bank's folder")
    removing.add_argument("images", nargs="+", metavar="IMAGE", help="ids, as `inspect` shows them")


def build(arguments: argparse.Namespace) -> int:
    """`jaxedit bank build`."""
    from ml_collections import ConfigDict

    from jaxedit.data import classes as classes_lib
    from jaxedit.data import sources
    from jaxedit.report import wording

    size = number_text.size(arguments.size)
    if size is None or 0 in size:
        raise UserError(f"--size {arguments.size} is not WIDTHxHEIGHT, such as 512x256.")
    if arguments.scale < 1:
        raise UserError(f"--scale is {arguments.scale}; give 1 or more.")
    if not arguments.licence.strip():
        raise UserError('--licence is empty; name one, for example "CC-BY-4.0" or "own work".')
    output = arguments.output.resolve()
    atomic.check_new(arguments.output)
    atomic.check_place(output.parent)
    is_folder = pathlib.Path(arguments.folder).is_dir() or ":" not in arguments.folder
    name = f"folder:{arguments.folder}" if is_folder else arguments.folder
    source = sources.create(name, arguments.split)
    classes = classes_lib.of_source(source)
    for thin in arguments.thin:
        check_choice("--thin", thin, classes.names)
    config = ConfigDict({
        "method": "sims", "part": "bank",
        "image_size": tuple(side * arguments.scale for side in size[::-1]),
        "network": {"classes": classes.count},
        "data": {"source": name, "thin": tuple(map(classes.names.index, arguments.thin))},
        "bank": {"scale": arguments.scale, "area_share": 0.0, "licence": arguments.licence,
                 "licences": tuple(arguments.only), "share": 1.0},
        "train": {"seed": 0},  # of a share that is drawn
    })
    output.parent.mkdir(parents=True, exist_ok=True)
    command.tell(f"cutting {len(source)} pictures of {source.description} into segments")
    started = time.monotonic()
    facts = _build(output, config, source)
    if line := source.report():
        command.tell(line)
    command.tell(f"written: {arguments.output} ({facts['segments']} segments of "
                 f"{facts['images']} pictures, in {wording.duration(time.monotonic() - started)})")
    return 0


def _build(output: pathlib.Path, config: Any, source: Any) -> Mapping[str, Any]:
    """Returns the facts of the bank; after a refusal no pieces of it stay that are of no use."""
    from jaxedit.methods.sims.bank_building import EmptyBank
    from jaxedit.methods.sims.bank_stage import BankStage
    from jaxedit.run import artifacts
    from jaxedit.state import State

    work = artifacts.work_folder(output)
    with artifacts.hold(output):  # around the clearing away: those may be another's pieces
        try:
            return artifacts.build_in(output, BankStage(config), source, State(0)).facts
        except UserError as error:
            if isinstance(error, EmptyBank) or not any(work.glob("part-*/*")):
                with contextlib.suppress(OSError):
                    locks.clear(work)
                raise
            raise UserError(
                f"{error} What is cut so far is kept in {work}, and the same command goes on from "
                "there; remove that folder to cut all anew, for example with other classes."
            ) from error


def inspect(arguments: argparse.Namespace) -> int:
    """`jaxedit bank inspect`."""
    from jaxedit.methods.sims import bank as bank_lib
    from jaxedit.methods.sims import bank_page

    if arguments.per_class < 1:
        raise UserError(f"--per-class is {arguments.per_class}; give 1 or more.")
    output = arguments.output
    if output is not None and output.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--output {output} is a web page: let its name end in .html.")
    if output is not None:
        atomic.check_place(output.parent)
    bank = bank_lib.opened(arguments.bank)
    for name, value in bank_page.facts(bank).items():
        print(f"{name}: {value}")
    print("\n| class | segments | pictures | median share of the frame |\n|---|---|---|---|")
    for name, segments, pictures, share in bank_page.classes(bank):
        print(f"| {name} | {segments} | {pictures} | {share:.2%} |")
    if output is not None:
        bank_page.write(bank, output, arguments.per_class)
        command.tell(f"written: {output}")
    return 0


def remove(arguments: argparse.Namespace) -> int:
    """`jaxedit bank remove`."""
    from jaxedit.methods.sims import bank as bank_lib
    from jaxedit.methods.sims import bank_building

    bank_lib.opened(arguments.bank, verify=False)  # ahead of the lock, which makes a folder
    # In the bank itself, as beside it nothing need be written: it may be a disk of its own.
    with locks.hold(arguments.bank, "another bank", fleeting=True):
        bank = bank_lib.opened(arguments.bank)
        for image in arguments.images:
            bank.picture_number(image)  # all are known before the first one goes
        for image in dict.fromkeys(arguments.images):
            lost = bank_building.remove(arguments.bank, image)
            command.tell(f"removed: {image} ({lost} segments)")
    return 0
