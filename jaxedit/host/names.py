"""Names: is one that a person typed known, and which was meant? Which number is still free?"""

from __future__ import annotations

import difflib
import itertools
import pathlib
from collections.abc import Callable, Iterable

from jaxedit.errors import UserError


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns ` Did you mean '...'?` with the nearest of `known`, or '' where none is near."""
    known = [str(k) for k in known]
    # A right last word under the wrong group is the commonest slip after a typing error.
    near = [k for k in known if "." in name and k.split(".")[-1] == name.split(".")[-1]]
    near = near or difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""


def not_one_of(what: str, value: object, known: Iterable) -> str:
    """Returns the line that says of `value` that it is none of `known`, and lists them all."""
    known = list(known)
    between = " " if " " in what.rpartition(": ")[2] else "="  # a phrase, or a setting
    return (
        f"{what}{between}{value!r} is unknown: use one of {', '.join(map(repr, known))}."
        + did_you_mean(str(value), known)
    )


def check_choice(what: str, value: object, known: Iterable) -> None:
    """Raises UserError unless `value` is one of `known`; the message lists them all.

    Args:
      what: names the setting, for example a configuration key, where it is behind `: `; or a phrase
        that ends in what the value is, such as "The direction".
      value: what was given.
      known: everything that would do.
    """
    known = list(known)
    if value not in known:
        raise UserError(not_one_of(what, value, known))


def first_free(path_of: Callable[[int], pathlib.Path]) -> pathlib.Path:
    """Returns the first of `path_of(1)`, `path_of(2)`, ... at which nothing stands."""
    return next(path for n in itertools.count(1) if not (path := path_of(n)).exists())
