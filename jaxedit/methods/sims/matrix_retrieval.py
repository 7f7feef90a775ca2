"""The search for segments as products of 0/1 matrices, for accelerators.

With masks as rows of 0 and 1, shared pixels are Q B^T, and shared contexts the sum of one such
product per class. The numbers are whole and below 2^24, so that float32 sums of bfloat16 products
are exact. A block of the bank is unpacked on the device; `layers/top_k_search.py` does the rest.
Quotients are float32 there, so a few more than asked for are taken and scored exactly.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxedit.layers import top_k_search
from jaxedit.methods.sims import retrieval, segments, shards
from jaxedit.methods.sims.retrieval import Found, Query

if TYPE_CHECKING:
    from jaxedit.methods.sims.bank import Bank

_SPARE = 16
_ROUNDING = 1e-5  # of a sum of two float32 quotients
_ROWS = 256  # segments unpacked at a time
_QUERIES = 32  # in a product, filled up so that other numbers compile nothing


def top(
    searcher: retrieval.Searcher, wanted: Sequence[Query], k: int, allowed: np.ndarray | None,
    mesh: jax.sharding.Mesh | None = None,
) -> list[list[Found]]:
    """Returns what `retrieval.Searcher.top` does; `mesh` holds devices that share the bank."""
    answers: list[list[Found]] = [[] for _ in wanted]
    for label in sorted({one.segment.label for one in wanted}):
        places = [place for place, one in enumerate(wanted) if one.segment.label == label]
        numbers = searcher.candidates(wanted[places[0]], allowed)
        for start in range(0, len(places), _QUERIES):
            group = places[start : start + _QUERIES]
            found = _of_class(searcher, [wanted[p] for p in group], numbers, k, mesh)
            for place, one in zip(group, found, strict=True):
                answers[place] = one
    return answers


def _of_class(
    searcher: retrieval.Searcher, wanted: Sequence[Query], numbers: np.ndarray, k: int,
    mesh: jax.sharding.Mesh | None,
) -> list[list[Found]]:
    if not len(numbers):
        return [[] for _ in wanted]
    queries = _queries(wanted, searcher.context)
    score = _score(searcher.bank.classes.count if searcher.context else 0)
    taken = k + _SPARE
    while True:
        values, rows = top_k_search.search(
            queries, _Rows.collection(searcher.bank, numbers, searcher.context), taken,
            score=score, rows=_ROWS, mesh=mesh,
        )
        found = []
        for one, values_of, rows_of in zip(wanted, values, rows, strict=False):
            exact = [Found(int(numbers[row]), searcher.score(one, int(numbers[row])))
                     for row in rows_of if row >= 0]
            kept = retrieval.best(exact, k)
            # Whatever was not taken scores no more than the last that was, rounding apart.
            sure = taken >= len(numbers) or values_of[-1] + _ROUNDING < (
                kept[-1].score if len(kept) == k else 0
            ) or values_of[-1] <= 0
            found.append(kept if sure else None)
        if all(one is not None for one in found):
            return found
        taken = min(4 * taken, len(numbers))


class _Rows:
    """An array of a bank that is read a block at a time: what `search` needs of a collection."""

    def __init__(self, count: int, read, shape: tuple[int, ...], dtype):
        self._count, self._read = count, read
        self.shape, self.dtype, self.ndim = (count, *shape), np.dtype(dtype), 1 + len(shape)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, rows: slice) -> np.ndarray:
        return np.stack([self._read(row) for row in range(*rows.indices(self._count))])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self[:]

    @classmethod
    def collection(cls, bank: Bank, numbers: np.ndarray, context: bool) -> dict:
        """Returns the masks, packed, and the contexts of some segments, with their areas."""
        height, width = bank.size

        def mask(row: int) -> np.ndarray:
            number = numbers[row]
            top, bottom, left, _ = bank.box[number].tolist()
            frame = np.zeros((height, -(-width // 8)), np.uint8)
            bits = bank.bits(number)
            frame[top : bottom + 1, left // 8 : left // 8 + bits.shape[1]] = bits
            return frame

        def labels(row: int) -> np.ndarray:
            number = numbers[row]
            frame = np.full(bank.size, shards.UNLABELLED, np.uint8)
            place = segments.inside(bank.context_box[number])
            frame[place] = bank.layout(int(bank.image[number]))[place]
            return frame

        made = {
            "bits": cls(len(numbers), mask, (height, -(-width // 8)), np.uint8),
            "area": bank.area[numbers].astype(np.float32),
        }
        if context:
            made["context"] = cls(len(numbers), labels, bank.size, np.uint8)
            made["context_area"] = bank.context_area[numbers].astype(np.float32)
        return made


def _queries(wanted: Sequence[Query], context: bool) -> dict[str, np.ndarray]:
    filled = [*wanted, *[wanted[0]] * (_QUERIES - len(wanted))]
    made = {
        "bits": np.stack([one.bits for one in filled]),
        "area": np.float32([one.area for one in filled]),
    }
    if context:
        made["context"] = np.stack([one.context for one in filled])
        made["context_area"] = np.float32([one.context_area for one in filled])
    return made


@functools.cache
def _score(classes: int):
    """Returns the score of masks, and with `classes` of contexts; one function for each number."""

    def score(queries: dict, block: dict) -> jax.Array:
        dtype = jnp.float32 if jax.default_backend() == "cpu" else jnp.bfloat16

        def product(first: jax.Array, second: jax.Array) -> jax.Array:
            first, second = (x.reshape(len(x), -1).astype(dtype) for x in (first, second))
            return lax.dot_general(
                first, second, (((1,), (1,)), ((), ())), preferred_element_type=jnp.float32
            )

        def ratio(shared: jax.Array, name: str) -> jax.Array:
            union = queries[name][:, None] + block[name] - shared
            return shared / jnp.maximum(union, 1)

        unpacked = [jnp.unpackbits(side["bits"], axis=-1) for side in (queries, block)]
        total = ratio(product(*unpacked), "area")
        if classes:
            def add(label: jax.Array, shared: jax.Array) -> jax.Array:
                return shared + product(queries["context"] == label, block["context"] == label)

            shared = lax.fori_loop(
                0, classes, lambda i, shared: add(i.astype(jnp.uint8), shared),
                jnp.zeros_like(total),
            )
            total += ratio(shared, "context_area")
        return total

    return score
