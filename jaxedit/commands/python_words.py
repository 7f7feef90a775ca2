"""What the verbs say, for callers in Python: arguments where a message names options."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection
from typing import Any

from jaxedit.errors import UserError

# Options whose arguments are called otherwise.
_OTHERWISE = {"negative-prompt": "negative", "edit": "edits", "keep-colors": "keep_colours"}
# Those that are set by being there.
_SWITCHES = ("whole", "alpha_only", "premultiplied", "keep_colours", "round_trimap",
             "seamless")
_CHOICES = "ddim|noise|whole|telea|membrane|biharmonic|closed-form|knn|last|best"
_QUOTED = "`[^`]*`"  # a command for the shell
_OPTION = (
    r"(?<![\w-])--(?P<flag>[a-z][a-z-]*[a-z])(?![\w-]|\.\w)"
    rf"(?:[= ](?P<value>\"[^\"]*\"|'[^']*'|[A-Z]{{2,}}\b|(?:{_CHOICES})\b|\d[\d.]*\d|\d))?"
)
_WORDS = re.compile(f"{_QUOTED}|{_OPTION}")
_PAIR = re.compile(r"--(?P<one>[a-z][a-z-]*[a-z])(?: or| and) (?:an? )?--(?P<two>[a-z][a-z-]*[a-z])"
                   r"(?![\w.=-]| [A-Z]{2})")


def in_python(text: str, arguments: Collection[str]) -> str:
    """Returns a message with the argument in backquotes for each `--name`, or name=value.

    What has no such argument is said to belong to the command line, or not mentioned where it
    stands beside one that has; commands in backquotes stay.
    """

    def known(pair: re.Match) -> str:
        one, two = (_name(pair[key]) in arguments for key in ("one", "two"))
        return pair[0] if one == two else f"--{pair['one' if one else 'two']}"

    def word(found: re.Match) -> str:
        flag, value = found["flag"], found["value"]
        if flag is None or flag == "config":
            return found[0]
        name = _name(flag)
        if name not in arguments:
            return f"{found[0]} of the command line"
        if name in _SWITCHES:
            return f"{name}=True" + (f" {value}" if value else "")
        if value is None:
            return f"`{name}`"
        return f"{name}={value!r}" if re.fullmatch(_CHOICES, value) else f"{name}={value}"

    return _WORDS.sub(word, _PAIR.sub(known, text))


def _name(flag: str) -> str:
    """Returns what an option is called as an argument."""
    return _OTHERWISE.get(flag, flag.replace("-", "_"))


def translated(function: Callable, arguments: Collection[str]) -> Callable:
    """Returns a function whose `UserError`s name `arguments` instead of options."""

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except UserError as error:
            error.args = (in_python(str(error), arguments), *error.args[1:])
            raise

    return call
