"""The `jaxedit` command: apply networks to your pictures, convert weights, compare runs.

`jaxedit train` is `python -m jaxedit.main`. Exit codes: 0 done, 1 some of several parts failed, 2 a
mistake that the message explains, 130 interrupted. Nothing heavy is imported until a command
needs it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pathlib
import sys
from collections.abc import Sequence

import jaxedit
from jaxedit.commands import VERBS, counting
from jaxedit.errors import UserError
from jaxedit.host import console, large_pages, system_errors


def program() -> int:
    """The program `jaxedit`: `main` with what the command line says."""
    large_pages.restart()
    return main()


def main(argv: list[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    console.tolerate()
    argv = sys.argv[1:] if argv is None else argv
    parser = build_parser(argv)
    arguments, rest = parser.parse_known_args(argv)
    ends = getattr(arguments, "may_end_in_output", False) and arguments.output is None
    if ends and len(rest) == 1 and not rest[0].startswith("-"):
        arguments.output, arguments.named_last = pathlib.Path(rest.pop()), True
    if rest and not getattr(arguments, "takes_overrides", False):
        parser.error(f"unknown argument: {' '.join(rest)}" + _numbers_hint(rest))
    arguments.overrides = rest
    for name, value in vars(arguments).items():
        if isinstance(value, pathlib.Path):
            setattr(arguments, name, console.path(value))
    try:
        counting.check(arguments)
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
    except OSError as error:
        refused = system_errors.explain(error)
        if refused is None:
            raise
        print(f"jaxedit {arguments.command}: {refused}.", file=sys.stderr)
        return 2


def _numbers_hint(rest: Sequence[str]) -> str:
    """Returns what to do where the words that nobody takes are numbers: those of one option."""
    bare = [word.strip(",;") for word in rest]
    if not all(bare) or not all(word.lstrip("+-").isdecimal() for word in bare):
        return ""
    return " (several numbers of one option are one word, such as --box 120,40,300,500)"


def build_parser(argv: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Returns the parser of all commands; the one that `argv` names with all its options."""
    parser = argparse.ArgumentParser(
        prog="jaxedit", allow_abbrev=False, description=__doc__.splitlines()[0],
        epilog="`jaxedit COMMAND --help` explains a command. To begin without any network: "
        "`jaxedit inpaint photo.jpg mask.png --classical telea --output filled.png`.",
    )
    parser.add_argument("--version", action="version", version=f"jaxedit {jaxedit.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    named = next((word for word in argv if not word.startswith("-")), None)
    for verb, (module, short) in VERBS.items():
        if verb == named:
            importlib.import_module(f"jaxedit.commands.{module}").add(commands)
        else:
            commands.add_parser(verb, help=short)
    return parser


if __name__ == "__main__":
    sys.exit(program())
