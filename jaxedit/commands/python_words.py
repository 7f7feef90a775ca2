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
_SWITCHES = ("whole", "alpha_only", "premultiplied", "keep_colours")
_CHOICES = "ddim|noise|whole|telea|biharmonic|closed-form|knn|last|best"
_QUOTED = "`[^`]*`"  # a command for the shell
_OPTION = (
    r"(?<![\w-])--(?P<flag>[a-z][a-z-]*[a-z])(?![\w-]|\.\w)"
    rf"(?:[= ](?P<value>\"[^\"]*\"|'[^']*'|[A-Z]{{2,}}\b|(?:{_CHOICES})\b|\d[\d.]*\d|\d))?"
    r"(?P<subject>(?= (?:is|are) ))?"
)
_WORDS = re.compile(f"{_QUOTED}|{_OPTION}")


def in_python(text: str, arguments: Collection[str]) -> str:
    """Returns a message with `name=` for each `--name` that is one of `arguments`.

    What has no such argument is said to belong to the command line; commands in backquotes stay.
    """

    def word(found: re.Match) -> str:
        flag, value = found["flag"], found["value"]
        if flag is None or flag == "config":
            return found[0]
        name = _OTHERWISE.get(flag, flag.replace("-", "_"))
        if name not in arguments:
            return f"{found[0]} of the command line"
        if name in _SWITCHES:
            return f"{name}=True" + (f" {value}" if value else "")
        if value is None:
            return name if found["subject"] is not None else f"{name}="
        return f"{name}={value!r}" if re.fullmatch(_CHOICES, value) else f"{name}={value}"

    return _WORDS.sub(word, text)


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
