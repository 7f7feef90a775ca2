"""Sources that divide another one.

`half:first:SOURCE`, `half:second:SOURCE`, `held_out:PREFIX:SOURCE`.

Halves are for a network that judges another one's results and must not have seen its training
records: what one trains on, the other never does, and both are evaluated on the same held-out
records. The training records of SOURCE, in the order of their names, are cut into eight contiguous
blocks, which belong to the first and the second half in turn: neighbouring frames of a film, which
look alike, stay together.

`held_out:PREFIX` keeps the records whose names begin with PREFIX for evaluation, and all others
for training, in the place of SOURCE's own split; `A+B` are two prefixes. CamVid is
divided by drives so, with the drive 0006R0 for testing, and its other drives in two halves:

    half:first:held_out:0006R0:folder:PATH       what the memory bank and the synthesis are made of
    half:second:held_out:0006R0:folder:PATH      what the segmenter that judges them learns from

(0001TP was filmed at dusk; 0016E5 alone is `held_out:0006R0+0001TP`, which tests on both.)
"""

from __future__ import annotations

import os
from typing import Any

from jaxedit.data.sources import EmptySplit, Record, Source, combined, create
from jaxedit.errors import UserError
from jaxedit.host.names import check_choice

HALVES = ("first", "second")
BLOCKS = 8


class PartSource(Source):
    """Some of the records of another source, in its order.

    Args:
      source: the other one.
      positions: of the records.
      description: what messages call the part.
    """

    def __init__(self, source: Source, positions: list[int], description: str):
        super().__init__(description, source.max_bad_share)
        self.source = source
        self._positions = positions

    def __len__(self) -> int:
        return len(self._positions)

    @property
    def classes(self) -> Any:
        return self.source.classes

    @property
    def skipped(self) -> dict[str, str]:
        return self.source.skipped

    @property
    def listed(self) -> int:
        return self.source.listed

    def count_bad(self, name: str, reason: str) -> None:
        """Notes nothing: the other source has counted the record."""

    def fingerprint(self) -> str:
        return combined(
            super().fingerprint(), self.source.fingerprint(), *map(str, self._positions)
        )

    def name(self, index: int) -> str:
        return self.source.name(self._positions[index])

    def _read(self, index: int) -> Record:
        return self.source.read(self._positions[index])


def half(argument: str, split: str, **options: Any) -> Source:
    """Returns the source of `half:ARGUMENT`; its evaluation records are those of the other one.

    Raises:
      UserError: it is not `first:SOURCE` or `second:SOURCE`, or there is less than one record for
        each half.
    """
    which, _, inner = argument.partition(":")
    check_choice(f"The part of data source half:{argument}", which, HALVES)
    source = create(_inner(inner, f"half:{which}"), split, **options)
    if split == "eval":
        return source
    if split == "all":
        raise UserError(
            f"half:{argument} has no split 'all': its halves divide training records. Choose train "
            "or eval."
        )
    order = sorted(range(len(source)), key=lambda index: (_stem(source, index), index))
    if len(order) < len(HALVES):
        raise EmptySplit(f"{source.description} holds {len(order)} records: no two halves.")
    blocks = min(BLOCKS, len(order))
    turn = HALVES.index(which)
    kept = {
        order[place] for place in range(len(order)) if place * blocks // len(order) % 2 == turn
    }
    positions = [index for index in range(len(source)) if index in kept]
    return PartSource(source, positions, f"half:{argument}")


def held_out(argument: str, split: str, **options: Any) -> Source:
    """Returns the source of `held_out:ARGUMENT`.

    Raises:
      UserError: it is not `PREFIX:SOURCE`, or a prefix is that of no record or of all.
    """
    named, _, inner = argument.partition(":")
    prefixes = tuple(named.split("+"))
    if not all(prefixes):
        raise UserError(f"held_out:{argument} names no prefix. Write held_out:PREFIX:SOURCE.")
    source = create(_inner(inner, f"held_out:{named}"), "all", **options)
    if split == "all":
        return source
    stems = [_stem(source, index) for index in range(len(source))]
    for prefix in prefixes:
        if not any(stem.startswith(prefix) for stem in stems):
            raise UserError(
                f"held_out:{argument}: no record's name begins with {prefix!r}; the first is "
                f"called {min(stems)!r}."
            )
    held = [stem.startswith(prefixes) for stem in stems]
    positions = [index for index, is_held in enumerate(held) if is_held == (split == "eval")]
    if not positions:
        raise EmptySplit(f"held_out:{argument} leaves no record for split {split!r}.")
    return PartSource(source, positions, f"held_out:{argument}")


def _inner(name: str, before: str) -> str:
    if not name:
        raise UserError(f"Data source {before!r} is incomplete; write {before}:SOURCE.")
    return name


def _stem(source: Source, index: int) -> str:
    """Returns a record's name without folders and suffix."""
    return os.path.splitext(os.path.basename(source.name(index)))[0]
