"""Several sources as one: `photos+3*folder:/x`.

A plus before the name of a source joins two; any other belongs to a path, and so does one before
a name where the longer path exists. `3*` has training see the records of a source three times as
often: they are repeated. Evaluation takes every record once.

Ids are unique: each is prefixed with its source as it was written, `folder:/x/cat`, and the second
showing of a record in training ends in `#2`.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from jaxedit.data.sources import Record, Source, combined
from jaxedit.errors import UserError

# Sources whose argument is a path, in which a plus may stand.
_PATHS = ("folder:", "array_record:")
# What stands before the path, of which other sources may take parts: `half:first:folder:`.
_PATH = re.compile(rf"(?:[^:]+:)*?(?:{'|'.join(_PATHS)})")


@dataclasses.dataclass(frozen=True)
class Part:
    """One of the sources that a string joins: what it is called, and how often training sees it."""

    name: str
    times: int = 1

    def __str__(self) -> str:
        return self.name if self.times == 1 else f"{self.times}*{self.name}"


def parts(text: str, names: Collection[str]) -> list[Part]:
    """Returns the sources that `text` joins, in order; a single one where it joins none.

    Args:
      text: sources as a configuration names them.
      names: those that begin a source, such as `photos`.

    Raises:
      UserError: a source is named twice or none times.
    """
    start = rf"\s*(?:\d+\*)?(?:{'|'.join(map(re.escape, names))})\s*(?=[:+]|$)"
    ends = [found.start() for found in re.finditer(rf"\+(?={start})", text)] + [len(text)]
    found, begin = [], 0
    while begin <= len(text):
        ahead = [end for end in ends if end >= begin]
        end = next((end for end in reversed(ahead) if _exists(text[begin:end])), ahead[0])
        found.append(_part(text[begin:end].strip(), text))
        begin = end + 1
    places = [place(part.name) for part in found]
    twice = [part.name for part in found if places.count(place(part.name)) > 1]
    if twice:
        raise UserError(f"{text} names {twice[0]} twice. Write 2*{twice[0]} to see it twice.")
    return found


def place(name: str) -> str:
    """Returns the name of a source, none that joins others, with its path absolute and no links.

    So sources are told apart that have one name in different working directories, and one that is
    spelled in two ways is known again.
    """
    found = _PATH.match(name)
    if found is None:
        return name
    path = os.path.realpath(os.path.expanduser(name[found.end() :]))
    return name[: found.end()] + path


def _part(text: str, whole: str) -> Part:
    times = re.match(r"(\d+)\*", text)
    if times is None:
        return Part(text)
    if int(times[1]) < 1:
        raise UserError(f"{whole}: {text} is seen {times[1]} times. Leave it out, or write 1*.")
    return Part(text[times.end() :], int(times[1]))


def _exists(text: str) -> bool:
    name = re.sub(r"^\s*(\d+\*)?", "", text)
    prefix = next((prefix for prefix in _PATHS if name.startswith(prefix)), None)
    return prefix is not None and os.path.exists(os.path.expanduser(name.removeprefix(prefix)))


class JoinedSource(Source):
    """The records of several sources, each spread evenly over the whole.

    So the first hundred, which an evaluation may stop at, are of all of them. Each source puts up
    with its own share of bad records and counts its own.

    Args:
      opened: what each source is called -> the source and how often its records are repeated.
    """

    def __init__(self, opened: Mapping[str, tuple[Source, int]]):
        super().__init__("+".join(
            name if times == 1 else f"{times}*{name}" for name, (_, times) in opened.items()
        ))
        self.parts = {name: source for name, (source, _) in opened.items()}
        lengths = [len(source) * times for source, times in opened.values()]
        self._ends = list(itertools.accumulate(lengths))
        places = [(np.arange(length) + 0.5) / length for length in lengths]
        self._order = np.argsort(np.concatenate(places), kind="stable")

    def __len__(self) -> int:
        return self._ends[-1]

    def _place(self, index: int) -> tuple[str, Source, int, int]:
        """Returns (what its source is called, the source, the number in it, which showing)."""
        index, begin = int(self._order[index]), 0
        for (name, source), end in zip(self.parts.items(), self._ends, strict=True):
            if index < end:
                showing, inside = divmod(index - begin, len(source))
                return name, source, inside, showing
            begin = end
        raise IndexError(index)

    def fingerprint(self) -> str:
        return combined(super().fingerprint(), *(one.fingerprint() for one in self.parts.values()))

    def name(self, index: int) -> str:
        _, source, inside, _ = self._place(index)
        return source.name(inside)

    def read(self, index: int) -> Record:
        return self._read(range(len(self))[index])

    def _read(self, index: int) -> Record:
        name, source, inside, showing = self._place(index)
        record = source.read(inside)
        again = f"#{showing + 1}" if showing else ""
        return {**record, "id": f"{name}/{record['id']}{again}"}

    @property
    def classes(self) -> Any:
        """Returns the description that all share, or None where none has one.

        Raises:
          UserError: they differ, so that the same number would mean different things.
        """
        found = [source.classes for source in self.parts.values()]
        if any(one != found[0] for one in found):
            raise UserError(
                f"{self.description}: the classes of labels differ between these sources. Number "
                "them alike, with the same classes.json, or use one source."
            )
        return found[0]

    @property
    def listed(self) -> int:
        return sum(source.listed for source in self.parts.values())

    @property
    def skipped(self) -> dict[str, str]:
        return {k: why for source in self.parts.values() for k, why in source.skipped.items()}



def check(source: Source, transform: Callable[[Record, np.random.Generator], Mapping]) -> None:
    """Tries the first record of each source that is joined in `source`, before hours are spent.

    Raises:
      UserError: `transform` needs what a source has not, or its samples do not fit together with
        those of the first source; the message names the source.
    """
    shapes: dict[str, Any] = {}
    for name, part in getattr(source, "parts", {}).items():
        record = part[0]
        try:
            sample = transform({**record, "index": 0}, np.random.default_rng(0))
        except UserError as error:
            raise UserError(f"{name}, record {record['id']!r}: {error}") from error
        found = set(sample)
        first, expected = next(iter(shapes.items()), (name, found))
        if found != expected:
            raise UserError(
                f"{first} and {name} do not fit together: only one of them has "
                f"{', '.join(sorted(found ^ expected))}."
            )
        shapes[name] = found
