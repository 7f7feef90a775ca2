"""`jaxedit data`: packs folders into shards and composes test sets."""

from __future__ import annotations

import argparse
import pathlib

from jaxedit.commands import command
from jaxedit.host import atomic


def add(commands) -> None:
    """Adds the parsers of `jaxedit data`."""
    parser = commands.add_parser(
        "data", help="prepare training data", description="Prepare training data and test sets.",
        allow_abbrev=False,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    packing = command.add(
        actions, "pack", data_pack, "pack a folder of images into ArrayRecord shards",
        "The result is a source: --config.data.source=array_record:OUT.\n\n"
        "  jaxedit data pack pictures/ packed/ --shards 8",
    )
    packing.add_argument("folder", type=pathlib.Path, metavar="FOLDER",
                         help="images/ with masks/, alphas/, ... beside it, or plain images")
    packing.add_argument("output", type=pathlib.Path, metavar="OUT",
                         help="a new folder for the shards")
    packing.add_argument("--shards", type=int, default=1, metavar="N",
                         help="number of files (default: 1)")
    composing = command.add(
        actions, "compose", data_compose, "make a matting test set of subjects and backgrounds",
        "Puts every subject in front of several backgrounds by the rule of Composition-1k. The\n"
        "result is a source: --config.evaluate.source=folder:OUT. Subjects are files of the same\n"
        "name in fg/ and alpha/ (or images/ and alphas/), or images with transparency.\n\n"
        "  jaxedit data compose subjects/ photos/ test_set/ --per-foreground 20",
    )
    composing.add_argument("foregrounds", type=pathlib.Path, metavar="FOREGROUNDS",
                           help="the folder of subjects")
    composing.add_argument("backgrounds", type=pathlib.Path, metavar="BACKGROUNDS",
                           help="a folder of images")
    composing.add_argument("output", type=pathlib.Path, metavar="OUT", help="a new folder")
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


def data_pack(arguments: argparse.Namespace) -> int:
    """`jaxedit data pack`."""
    from jaxedit.data import pack

    atomic.check_place(arguments.output.parent)
    pack.pack(arguments.folder, arguments.output, arguments.shards)
    print(f"array_record:{arguments.output}")
    return 0


def data_compose(arguments: argparse.Namespace) -> int:
    """`jaxedit data compose`."""
    from jaxedit.data import compose

    atomic.check_place(arguments.output.parent)
    compose.compose(
        arguments.foregrounds, arguments.backgrounds, arguments.output, arguments.per_foreground,
        arguments.trimap_width, arguments.seed, command.tell,
        copy_trimaps=not arguments.make_trimaps, estimate_colours=arguments.estimate_colours,
    )
    print(f"folder:{arguments.output}")
    return 0
