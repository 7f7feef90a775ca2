"""The pseudo-target of each picture: the nearest to the mean of the picture and its edit prompt.

The host stage `matches`. As in the paper the query is the mean of CLIP's embeddings of the source
and of the edit prompt; weights, numbers and rules are ours [R]. The first of the nearest is taken

    whose cosine with the source is in `pairs.cos_img` (above, it is nearly the same picture),
    whose cosine with the edit prompt is at least `pairs.cos_text`, and above the source's own,
    and which has been taken `pairs.uses` times at most.

Its artefact is `matches.jsonl`, rows of the collection with their cosines.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import ml_collections
import numpy as np

from jaxedit.data.sources import Source
from jaxedit.errors import UserError
from jaxedit.host import atomic
from jaxedit.layers import top_k_search
from jaxedit.methods.host_stage import HostStage
from jaxedit.methods.iedit import collection as collection_lib
from jaxedit.methods.iedit.collection import Collection
from jaxedit.state import Artifact, State, among

QUERIES = 1024  # of a piece, and of a search
_PIECE, _LINES = "nearest-", "matches.jsonl"
_MEASURED = 256  # queries on which the recall of an approximate search is measured
# Why a candidate was passed over.
FAR, NEAR, UNLIKE, NO_BETTER, USED = (
    "unlike the source", "nearly the source itself", "unlike the edit prompt",
    "no closer to the edit prompt than the source", "taken often enough",
)
NOTHING = "sources without a match"


@dataclasses.dataclass(frozen=True)
class Match:
    """A source and its pseudo-target.

    Attributes:
      source, target: rows of the collection.
      cos_img: cosine of both pictures.
      cos_txt_src, cos_txt_tgt: cosines of the source and of the target with the edit prompt.
    """

    source: int
    target: int
    cos_img: float
    cos_txt_src: float
    cos_txt_tgt: float


class MatchStage(HostStage):
    """Searches the collection of an earlier stage, `pairs.collection`."""

    def build(
        self, source: Source, folder: pathlib.Path, start: State, *, process_index: int = 0,
        process_count: int = 1,
    ) -> Iterator[float]:
        del source, start
        pairs = self.config.pairs
        found = collection_lib.opened(among(self.artifacts, pairs.collection, "pairs.collection"))
        asking = sources_of(found)
        mine = range(process_index, -(-len(asking) // QUERIES), process_count)
        for done, number in enumerate(mine, 1):
            path = folder / f"{_PIECE}{number:06}.npz"
            if not path.exists():
                part = asking[number * QUERIES : (number + 1) * QUERIES]
                nearest = search(
                    found, part, pairs.beta, pairs.neighbours, _is_large(found, pairs)
                )
                with atomic.atomic_file(path) as temporary, open(temporary, "wb") as file:
                    np.savez(file, source=part, nearest=nearest)
            yield done / len(mine)

    def merge(self, parts: Sequence[pathlib.Path], folder: pathlib.Path) -> dict[str, Any]:
        """Accepts matches, in the order of the collection; the facts count what was passed over."""
        pairs = self.config.pairs
        found = collection_lib.opened(among(self.artifacts, pairs.collection, "pairs.collection"))
        pieces = sorted((path for part in parts for path in part.glob(f"{_PIECE}*.npz")),
                        key=lambda path: path.name)
        source, nearest = [], []
        for path in pieces:
            with np.load(path) as piece:
                source.append(piece["source"])
                nearest.append(piece["nearest"])
        matches, counts = accept(found, np.concatenate(source), np.concatenate(nearest), pairs)
        lines = "".join(f"{json.dumps(dataclasses.asdict(match))}\n" for match in matches)
        atomic.write_text(folder / _LINES, lines)
        facts = {"sources": sum(map(len, source)), "matches": len(matches),
                 "candidates passed over": dict(counts)}
        if _is_large(found, pairs):
            facts["recall"] = recall(found, sources_of(found), pairs)
        if not matches:
            raise UserError(
                f"No picture has a match: {facts}. Loosen the rules (pairs.cos_img, "
                "pairs.cos_text), or take more pictures; other towers have other cosines."
            )
        return facts


def _is_large(collection: Collection, pairs: ml_collections.ConfigDict) -> bool:
    """Whether an approximate search will do."""
    return len(collection.rows) > pairs.exact_up_to


def sources_of(collection: Collection) -> np.ndarray:
    """Returns the rows that have an edit prompt, int64."""
    return np.flatnonzero([row.edit is not None for row in collection.rows])


def search(
    collection: Collection, asking: np.ndarray, beta: float, neighbours: int, approximate: bool
) -> np.ndarray:
    """Returns the nearest rows to each row of `asking`, int32 (N, neighbours), never itself.

    Args:
      collection: what is searched.
      asking: rows with an edit prompt.
      beta: weight of the picture in the query; the prompt's is 1 - beta.
      neighbours: how many; -1 stands where there are fewer.
      approximate: see `top_k_search.search`.
    """
    query = beta * collection.pictures[asking] + (1 - beta) * collection.prompts[asking]
    query /= np.maximum(np.linalg.norm(query, axis=-1, keepdims=True), 1e-12)
    _, found = top_k_search.search(
        query.astype(np.float32), collection.pictures, neighbours + 1, approximate=approximate
    )
    result = np.full((len(asking), neighbours), -1, np.int32)
    for row, (own, nearest) in enumerate(zip(asking, found, strict=True)):
        others = nearest[(nearest != own) & (nearest >= 0)][:neighbours]
        result[row, : len(others)] = others
    return result


def accept(
    collection: Collection, asking: np.ndarray, nearest: np.ndarray,
    pairs: ml_collections.ConfigDict,
) -> tuple[list[Match], Counter[str]]:
    """Returns the matches, and how many candidates each rule passed over."""
    uses: Counter[int] = Counter()
    counts: Counter[str] = Counter()
    matches = []
    low, high = pairs.cos_img
    for own, candidates in zip(asking.tolist(), nearest, strict=True):
        candidates = candidates[candidates >= 0]
        picture, prompt = collection.pictures[own], collection.prompts[own]
        of_source = float(picture @ prompt)
        targets = collection.pictures[candidates]
        for target, like, text in zip(
            candidates.tolist(), (targets @ picture).tolist(), (targets @ prompt).tolist(),
            strict=True,
        ):
            if like < low or like > high:
                counts[FAR if like < low else NEAR] += 1
            elif text < pairs.cos_text:
                counts[UNLIKE] += 1
            elif text <= of_source:
                counts[NO_BETTER] += 1
            elif uses[target] >= pairs.uses:
                counts[USED] += 1
            else:
                uses[target] += 1
                matches.append(Match(own, target, like, of_source, text))
                break
        else:
            counts[NOTHING] += 1
    return matches, counts


def recall(
    collection: Collection, asking: np.ndarray, pairs: ml_collections.ConfigDict
) -> float:
    """Returns the share of the exact nearest rows that the approximate search finds."""
    sample = asking[:: max(1, len(asking) // _MEASURED)]
    exact, found = (search(collection, sample, pairs.beta, pairs.neighbours, approximate)
                    for approximate in (False, True))
    hits = [len(set(a[a >= 0]) & set(b)) for a, b in zip(exact, found, strict=True)]
    return float(sum(hits) / max(1, (exact >= 0).sum()))


def opened(artifact: Artifact) -> list[Match]:
    """Returns the matches that a stage has made."""
    lines = artifact.path(_LINES).read_text(encoding="utf-8").split("\n")
    return [Match(**json.loads(line)) for line in lines if line]
