"""Which segments of a bank fit a segment of a layout: IoU of masks plus IoU of contexts.

Qi et al., CVPR 2018, section 3.1: sigma(j) = argmax over segments i of the same class of
IoU(mask_i, mask_j) + IoU(context_i, context_j), all at their place in the frame. The IoU of
contexts counts pairs of pixel and class. The released search uses masks alone (`context=False`).

All searches but `brute` give the same answers: scores are quotients of whole numbers in float64,
and of equal ones the lower number wins.

- `brute` looks at every segment of the class. The reference, slow.
- `pruned`, for CPUs: bounds from areas and boxes, then from counts in tiles, which are never below
  the score; only what may still be among the best is compared pixel by pixel.
- `matrix`, for accelerators: products of 0/1 matrices (`matrix_retrieval.py`), whose best are then
  scored exactly.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from jaxedit.errors import UserError
from jaxedit.host.names import check_choice
from jaxedit.methods.sims import segments, shards
from jaxedit.methods.sims.bank import Bank
from jaxedit.methods.sims.segments import Segment

SEARCHES = ("pruned", "brute", "matrix")
_FIRST = 8  # pixel by pixel before any is left out, for a first idea of what is good
_NOWHERE = 254  # a label that no layout has


@dataclasses.dataclass(frozen=True, eq=False)
class Query:
    """A segment that is looked for, as searches want it.

    Attributes:
      segment: of the layout.
      area: its pixels.
      bits: uint8 (H, bytes), its mask in the frame, packed.
      context_box: its box enlarged.
      context: uint8 (H, W), the layout in that box; `_NOWHERE` outside and where unlabelled.
      context_area: its labelled pixels.
      mask_tiles, context_tiles: as in `shards`.
    """

    segment: Segment
    area: int
    bits: np.ndarray
    context_box: segments.Box
    context: np.ndarray
    context_area: int
    mask_tiles: np.ndarray
    context_tiles: np.ndarray


@dataclasses.dataclass(frozen=True)
class Found:
    """A segment of the bank and its score."""

    number: int
    score: float


def query(segment: Segment, layout: np.ndarray, classes: int) -> Query:
    """Returns what searches look for.

    Args:
      segment: of the layout.
      layout: int (H, W) of the bank's frame; what is no class is unlabelled.
      classes: how many there are.
    """
    size = layout.shape
    mask = segment.placed(size)
    known = (layout >= 0) & (layout < classes)
    plain = np.where(known, layout, shards.UNLABELLED).astype(np.uint8)
    box = segments.context_box(segment.box, size)
    place = segments.inside(box)
    context = np.full(size, _NOWHERE, np.uint8)
    context[place] = np.where(known[place], plain[place], _NOWHERE)
    return Query(
        segment, segment.area, np.packbits(mask, axis=1), box, context,
        int(np.count_nonzero(known[place])), shards.tiles_of_mask(mask).astype(np.int64),
        shards.tiles_of_context(plain[place], box, size, classes),
    )


class Searcher:
    """Searches in one bank.

    Args:
      bank: to search in.
      context: whether contexts count, as in the paper, or masks alone, as released.
      how: one of SEARCHES.
    """

    def __init__(self, bank: Bank, *, context: bool = True, how: str = "pruned"):
        check_choice("retrieval.search", how, SEARCHES)
        self.bank, self.context, self.how = bank, context, how

    def top(
        self, wanted: Sequence[Query], k: int, allowed: np.ndarray | None = None
    ) -> list[list[Found]]:
        """Returns the `k` best of each query, best first; fewer where there are no more.

        A segment that shares nothing with a query, mask or context, is never found.

        Args:
          wanted: the queries.
          k: how many, at least 1.
          allowed: bool (pictures,), which may lend segments (`Bank.allowed`); None lets all.

        Raises:
          UserError: a query is of another frame than the bank.
        """
        if k < 1:
            raise UserError(f"The number of candidates is {k}; it must be at least 1.")
        for one in wanted:
            if one.context.shape != self.bank.size:
                raise UserError(
                    f"The layout has {one.context.shape[1]} x {one.context.shape[0]} pixels, the "
                    f"bank {self.bank.size[1]} x {self.bank.size[0]}. Scale it, by the nearest "
                    "pixel."
                )
        if self.how == "matrix":
            from jaxedit.methods.sims import matrix_retrieval

            return matrix_retrieval.top(self, wanted, k, allowed)
        search = self._pruned if self.how == "pruned" else self._brute
        return [search(one, k, self.candidates(one, allowed)) for one in wanted]

    def candidates(self, one: Query, allowed: np.ndarray | None) -> np.ndarray:
        """Returns the numbers of the segments that a query may get, rising."""
        numbers = self.bank.of_class(one.segment.label)
        return numbers if allowed is None else numbers[allowed[self.bank.image[numbers]]]

    def overlap(self, one: Query, number: int) -> tuple[int, int]:
        """Returns how many pixels (of masks, of contexts) a query and a segment share."""
        box = self.bank.box[number]
        rows, columns = _shared(one.segment.box, box)
        mask = 0
        if rows and columns:
            first, last = columns.start // 8, (columns.stop - 1) // 8 + 1
            top, left = int(box[0]), int(box[2]) // 8
            theirs = self.bank.bits(number)[
                rows.start - top : rows.stop - top, first - left : last - left
            ]
            own = one.bits[rows.start : rows.stop, first:last]
            mask = int(np.bitwise_count(theirs & own).sum())
        context = 0
        if self.context:
            rows, columns = _shared(one.context_box, self.bank.context_box[number])
            if rows and columns:
                layout = self.bank.layout(int(self.bank.image[number]))
                place = slice(rows.start, rows.stop), slice(columns.start, columns.stop)
                context = int(np.count_nonzero(layout[place] == one.context[place]))
        return mask, context

    def score(self, one: Query, number: int) -> float:
        """Returns the exact score of a segment."""
        mask, context = self.overlap(one, number)
        value = ratio(mask, one.area, self.bank.area[number])
        if self.context:
            value = value + ratio(context, one.context_area, self.bank.context_area[number])
        return float(value)

    def _brute(self, one: Query, k: int, numbers: np.ndarray) -> list[Found]:
        return best([Found(int(n), self.score(one, int(n))) for n in numbers], k)

    def _pruned(self, one: Query, k: int, numbers: np.ndarray) -> list[Found]:
        bounds = self._box_bounds(one, numbers)
        numbers, bounds = numbers[bounds > 0], bounds[bounds > 0]
        first = np.argsort(-bounds, kind="stable")[: max(k, _FIRST)]
        found = best([Found(int(n), self.score(one, int(n))) for n in numbers[first]], k)
        others = np.ones(len(numbers), bool)
        others[first] = False
        others &= bounds >= _least(found, k)
        numbers, bounds = numbers[others], bounds[others]
        bounds = np.minimum(bounds, self._tile_bounds(one, numbers))
        for place in np.argsort(-bounds, kind="stable"):
            if bounds[place] < _least(found, k):
                break
            number = int(numbers[place])
            found = best([*found, Found(number, self.score(one, number))], k)
        return found

    def _box_bounds(self, one: Query, numbers: np.ndarray) -> np.ndarray:
        """Returns what the scores cannot exceed, by areas and by what the boxes share."""
        bank = self.bank
        shared = _shared_area(one.segment.box, bank.box[numbers])
        areas = bank.area[numbers]
        bounds = ratio(np.minimum(np.minimum(one.area, areas), shared), one.area, areas)
        if self.context:
            shared = _shared_area(one.context_box, bank.context_box[numbers])
            areas = bank.context_area[numbers]
            least = np.minimum(np.minimum(one.context_area, areas), shared)
            bounds = bounds + ratio(least, one.context_area, areas)
        return bounds

    def _tile_bounds(self, one: Query, numbers: np.ndarray) -> np.ndarray:
        """Returns what the scores cannot exceed, by pixels and classes per tile."""
        bank = self.bank
        tiles = bank.tiles(numbers, "mask_tiles")
        used = np.flatnonzero(one.mask_tiles)
        shared = np.minimum(tiles[:, used], one.mask_tiles[used]).sum(1, dtype=np.int64)
        bounds = ratio(shared, one.area, bank.area[numbers])
        if self.context:
            used = np.flatnonzero(one.context_tiles)
            tiles = bank.tiles(numbers, "context_tiles")[:, used]
            shared = np.minimum(tiles, one.context_tiles[used]).sum(1, dtype=np.int64)
            bounds = bounds + ratio(shared, one.context_area, bank.context_area[numbers])
        return bounds


def choose(found: Sequence[Found], rng: np.random.Generator | None = None) -> Found | None:
    """Returns the best, or with `rng` one of all that were found, each as likely; None of none."""
    if not found:
        return None
    return found[0] if rng is None else found[int(rng.integers(len(found)))]


def best(found: Sequence[Found], k: int) -> list[Found]:
    """Returns the `k` best with a score above 0, best first; of equals the lower number first."""
    above = [one for one in found if one.score > 0]
    return sorted(above, key=lambda one: (-one.score, one.number))[:k]


def _least(found: Sequence[Found], k: int) -> float:
    """Returns what a score must reach to be among the `k` best."""
    return found[-1].score if len(found) == k else 0.0


def ratio(shared, first, second):
    """Returns shared / (first + second - shared), float64; 0 of nothing. Rises with `shared`."""
    union = np.asarray(first + second - shared, np.float64)
    return shared / np.maximum(union, 1.0)


def _shared(first: Sequence[int], second: Sequence[int]) -> tuple[range, range]:
    top, bottom = max(first[0], second[0]), min(first[1], second[1])
    left, right = max(first[2], second[2]), min(first[3], second[3])
    return range(int(top), int(bottom) + 1), range(int(left), int(right) + 1)


def _shared_area(box: Sequence[int], boxes: np.ndarray) -> np.ndarray:
    rows = np.minimum(box[1], boxes[:, 1]) - np.maximum(box[0], boxes[:, 0]) + 1
    columns = np.minimum(box[3], boxes[:, 3]) - np.maximum(box[2], boxes[:, 2]) + 1
    return np.maximum(rows, 0).astype(np.int64) * np.maximum(columns, 0)
