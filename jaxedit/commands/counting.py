"""Options that count only beside others: said where a verb declares them, checked in one place.

Whoever gives an option waits for what it asks for. One that would change nothing is refused before
anything is read, with the reason. A value that is the default anyhow does not count as given.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any

from jaxedit.errors import UserError

Holds = Callable[[argparse.Namespace], Any]
_RULES = "counting_rules"  # the key among a parser's defaults


@dataclasses.dataclass(frozen=True)
class Condition:
    """When an option counts.

    Attributes:
      flag: as it is typed.
      name: of its value among the arguments.
      default: that value where it is not given.
      holds: from all arguments to whether it counts.
      why: ends the message that begins with the flag.
    """

    flag: str
    name: str
    default: Any
    holds: Holds
    why: str

    def broken(self, arguments: argparse.Namespace) -> bool:
        """Whether the option is given where it does not count."""
        value = getattr(arguments, self.name)
        # Values of the Python API may be arrays, which `!=` would compare one by one.
        given = value is not None if self.default is None else value != self.default
        return given and not self.holds(arguments)


def only(parser: argparse.ArgumentParser, flags: str, holds: Holds, why: str) -> None:
    """Says when options of a parser, which it has already, count.

    Args:
      parser: of a verb.
      flags: the options, as they are typed, with spaces between.
      holds: from all arguments to whether they count.
      why: what they are for and what to do, behind the option's name in the message.
    """
    actions = {flag: action for action in parser._actions for flag in action.option_strings}
    rules = [
        Condition(flag, actions[flag].dest, actions[flag].default, holds, why)
        for flag in flags.split()
    ]
    parser.set_defaults(**{_RULES: (*(parser.get_default(_RULES) or ()), *rules)})


def check(arguments: argparse.Namespace) -> None:
    """Raises UserError where an option is given that would change nothing."""
    for rule in getattr(arguments, _RULES, ()):
        if rule.broken(arguments):
            raise UserError(f"{rule.flag} {rule.why}")
