"""`jaxedit weights`: lists weights, fetches published ones and converts their files."""

from __future__ import annotations

import argparse
import pathlib

from jaxedit.commands import command
from jaxedit.host import atomic


def add(commands) -> None:
    """Adds the parsers of `jaxedit weights`."""
    parser = commands.add_parser(
        "weights", help="list weights, fetch published ones and convert them", allow_abbrev=False,
        description="Weights of networks: list what there is, fetch it, convert it.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = command.add(
        actions, "list", weights_list, "list all weights that jaxedit can use",
        "Shows where each file is, under which licence, and whether it is on this machine\n"
        "(ready), comes with jaxedit (shipped) or is neither (absent).",
    )
    listing.add_argument("--names", action="store_true", help="names and states only")
    getting = command.add(
        actions, "get", weights_get, "download published weights and convert them",
        "Downloads from the publisher, goes on where an earlier attempt broke off, compares size\n"
        "and SHA-256 with the published ones, and converts as `jaxedit weights convert` does.\n"
        "Says what to do where a file needs a person. Proxies: $HTTPS_PROXY.\n\n"
        "  jaxedit weights get vgg19",
    )
    getting.add_argument("name", metavar="NAME", help="see `jaxedit weights list`")
    converting = command.add(
        actions, "convert", weights_convert, "convert a file as its publisher provides it",
        "Reads safetensors and torch files (without executing anything in them) and the .index of\n"
        "TensorFlow checkpoints with the data beside it,\n"
        "checks every name and shape, and writes a safetensors file where jaxedit looks for it\n"
        "($JAXEDIT_WEIGHTS, or the user's cache folder).\n\n"
        "  jaxedit weights convert vgg19 vgg19-dcbb9e9d.pth",
    )
    converting.add_argument("name", metavar="NAME", help="see `jaxedit weights list`")
    converting.add_argument("file", type=pathlib.Path, metavar="FILE",
                            help="the downloaded file; the folder where several belong together")
    for parser in (getting, converting):
        parser.add_argument("--output", type=pathlib.Path, metavar="PATH",
                            help="write here instead of where jaxedit looks for it")
    converting.add_argument("--no-verify", action="store_true",
                            help="accept another SHA-256 than the published one (a re-saved file)")


def weights_list(arguments: argparse.Namespace) -> int:
    """`jaxedit weights list`."""
    from jaxedit.weights import catalogue

    rows = catalogue.list_rows()
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        print(f"{row['name']:{width}} {row['state']:7} {row['what']}")
        if arguments.names:
            continue
        source = f"{row['address']} ({row['file']})" if row["file"] else row["address"]
        for label, value in (("from", source), ("size", row["size"]), ("digest", row["digest"]),
                             ("licence", row["licence"]), ("get", row["get"]),
                             ("here", row["path"])):
            print(f"{'':{width}} {label:7} {value}")
    return 0


def weights_get(arguments: argparse.Namespace) -> int:
    """`jaxedit weights get`."""
    from jaxedit.weights import get

    if arguments.output is not None:
        atomic.check_place(arguments.output.parent)
    print(get.get(arguments.name, arguments.output, tell=command.tell))
    return 0


def weights_convert(arguments: argparse.Namespace) -> int:
    """`jaxedit weights convert`."""
    from jaxedit.weights import catalogue, convert

    place = arguments.output or catalogue.path_of(arguments.name)
    atomic.check_place(place.parent)
    target = convert.convert(arguments.name, arguments.file, arguments.output,
                             verify=not arguments.no_verify)
    print(target)
    return 0
