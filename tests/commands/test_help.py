"""What `--help` says of every option of every verb."""

import argparse

import pytest

from jaxedit import cli
from jaxedit.commands import VERBS


def parsers(parser, name="jaxedit"):
    """Yields (name, parser) of a parser and of those below it."""
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, below in action.choices.items():
                yield from parsers(below, f"{name} {word}")


def options(verb):
    """Yields (where it stands, action) of every option of a verb and of its actions."""
    for name, parser in parsers(cli.build_parser([verb]), ""):
        if name.startswith(f" {verb}"):
            for action in parser._actions:
                if not isinstance(action, argparse._SubParsersAction):
                    yield f"{name} {'/'.join(action.option_strings) or action.dest}", action


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_explained(verb):
    for where, action in options(verb):
        assert action.help, f"{where} says nothing"


@pytest.mark.parametrize("verb", VERBS)
def test_what_an_option_is_by_default_is_said(verb):
    for where, action in options(verb):
        if not action.option_strings or action.required or action.nargs == 0:
            continue
        if isinstance(action.default, int | float) or action.choices and action.default is not None:
            assert "default" in action.help, f"{where} is {action.default!r} where it is not given"
