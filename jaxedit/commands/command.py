"""What the modules of the `jaxedit` command share: how a command is declared, how it speaks."""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Callable

from jaxedit.errors import UserError


def add(
    commands, name: str, function: Callable[[argparse.Namespace], int], short: str, long: str
) -> argparse.ArgumentParser:
    """Returns the parser of a new command.

    Args:
      commands: what `add_subparsers` returned.
      name: what the user types.
      function: runs the command and returns the exit code.
      short: a line for the list of commands, beginning in lower case.
      long: what `--help` says below it; kept as it is laid out.
    """
    parser = commands.add_parser(
        name, help=short, description=f"{short[0].upper()}{short[1:]}.\n\n{long}",
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )
    parser.set_defaults(function=function)
    return parser


def add_output(parser: argparse.ArgumentParser, what: str, metavar: str = "OUT") -> None:
    """Adds where the result goes: --output, or the last word of the command (see `need_output`)."""
    parser.add_argument("--output", type=pathlib.Path, metavar=metavar,
                        help=f"{what}; may be the command's last word instead")
    parser.set_defaults(may_end_in_output=True, named_last=False)


def need_output(arguments: argparse.Namespace) -> None:
    """Raises UserError where the command does not say where its result goes.

    Or where --overwrite would replace a file that was named last: a mask whose option was
    forgotten, say.
    """
    if arguments.output is None:
        raise UserError("Where does the result go? Name it last, or add --output OUT.")
    replaces = getattr(arguments, "overwrite", False) and arguments.output.is_file()
    if arguments.named_last and replaces:
        raise UserError(
            f"{arguments.output} exists, and was named last, where the result goes. To replace it "
            f"write --output {arguments.output}."
        )


def tell(line: str) -> None:
    """Says something to the person at the terminal; results proper go to standard output."""
    print(line, file=sys.stderr, flush=True)
