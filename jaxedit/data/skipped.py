"""Which records were skipped because they cannot be read, over threads, processes and restarts.

A source counts what it meets in its own process. What was met in making a batch travels with the
batch (`pipeline.py`), so that a run can add up what its steps were made of, wherever it was read.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterable, Iterator
from typing import Any

# What a source is called -> the name of a record that cannot be read -> why.
Skipped = dict[str, dict[str, str]]

_met: contextvars.ContextVar[Skipped | None] = contextvars.ContextVar("met", default=None)


@contextlib.contextmanager
def noting() -> Iterator[Skipped]:
    """Yields a dict that fills with the records that this thread finds bad within."""
    found: Skipped = {}
    token = _met.set(found)
    try:
        yield found
    finally:
        _met.reset(token)


def note(description: str, name: str, reason: str) -> None:
    """Tells `noting` of a bad record of the source that is called `description`."""
    if (met := _met.get()) is not None:
        met.setdefault(description, {})[name] = reason


def add(total: Skipped, found: Skipped) -> None:
    """Adds `found` to `total`, in place."""
    for description, bad in found.items():
        total.setdefault(description, {}).update(bad)


def of(opened: Iterable[Any]) -> Skipped:
    """Returns what the sources have found bad so far in this process."""
    total: Skipped = {}
    for source in _single(opened):
        if source.skipped:
            add(total, {source.description: source.skipped})
    return total


def count(opened: Iterable[Any], found: Skipped) -> None:
    """Has the sources count what another process found; raises UserError where it is too much."""
    for source in _single(opened):
        for name, reason in found.get(source.description, {}).items():
            source.count_bad(name, reason, quiet=True)


def reports(opened: Iterable[Any], found: Skipped | None = None) -> list[str]:
    """Returns a line for each source of which records were skipped.

    Args:
      opened: the sources; those of the same description share a line.
      found: what was skipped; by default what was found in this process.
    """
    opened = _single(opened)
    found = of(opened) if found is None else found
    named = {source.description: source for source in reversed(opened)}
    lines = (source.report(found.get(name, {})) for name, source in reversed(named.items()))
    return [line for line in lines if line]


def _single(opened: Iterable[Any]) -> list[Any]:
    """Returns the sources, with the parts of joined ones in place of these."""
    found = []
    for source in opened:
        found += getattr(source, "parts", {"": source}).values()
    return [source for source in found if hasattr(source, "count_bad")]
