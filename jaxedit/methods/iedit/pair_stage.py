"""The weakly supervised data set: sources, pseudo-targets and masks of what changed.

The host stage `pairs`, on the matches of an earlier stage (`pairs.matches`), or, where that is "",
on records that are pairs already: those with a `target`. The artefact is a source of records:

    artifact:STAGE, artifact:STAGE:test   splits train and eval; the share for tests apart
    manifest.jsonl                        a line for each pair
    page.html                             what was made, and samples to look at

Pictures are scaled to `image_size` on the short side and cut centrally. Masks say where the
segmenter sees the changed words; one that covers too little or too much of its picture
(`pairs.area`) rejects the pair [R]. The split goes by a hash of the source's id.
"""

from __future__ import annotations

import json
import pathlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxedit.data import array_record, record_shards, transforms
from jaxedit.data.sources import BadRecord, Record, Source, hashed_share
from jaxedit.errors import UserError
from jaxedit.host import atomic
from jaxedit.methods.host_stage import HostStage
from jaxedit.methods.iedit import collection as collection_lib
from jaxedit.methods.iedit import encoders, matches, pairs_page, prompts
from jaxedit.state import State, among

PAIRS = 16  # of a piece: what a killed build must do again at most
MANIFEST, PAGE, TEST = "manifest.jsonl", "page.html", "test"
_SPLITS = ("train", "eval", "test")
_LINES = "lines-"
# Why a pair was rejected.
UNREADABLE, NO_CHANGE = "a picture cannot be read", "caption and prompt say the same"
SMALL, LARGE = "mask too small", "mask too large"
# A pair before its masks: the record's values, the two phrases, and facts for the manifest.
Draft = tuple[dict[str, Any], tuple[str, str], dict[str, Any]]


class PairStage(HostStage):
    """Puts pairs together."""

    def build(
        self, source: Source, folder: pathlib.Path, start: State, *, process_index: int = 0,
        process_count: int = 1,
    ) -> Iterator[float]:
        segmenter = encoders.segmenter(self.config, start)
        drafts = self._drafts(source)
        mine = range(process_index, -(-len(drafts) // PAIRS), process_count)
        for done, number in enumerate(mine, 1):
            path = folder / f"{_LINES}{number:06}.jsonl"
            if not path.exists():
                span = range(number * PAIRS, min((number + 1) * PAIRS, len(drafts)))
                self._write(path, number, [drafts.read(place) for place in span], segmenter)
            yield done / len(mine)

    def _drafts(self, source: Source) -> _Matched | _Given:
        size, pairs = self.config.image_size, self.config.pairs
        if not pairs.matches:
            return _Given(source, size)
        return _Matched(
            source, size,
            collection_lib.opened(among(self.artifacts, pairs.collection, "pairs.collection")),
            matches.opened(among(self.artifacts, pairs.matches, "pairs.matches")),
        )

    def _write(
        self, path: pathlib.Path, number: int, drafts: Sequence[Draft | str],
        segmenter: encoders.RegionFinder,
    ) -> None:
        """Writes a piece: the records of each split, then the lines, whose file says all is there.
        """
        entries: dict[str, list[bytes]] = {split: [] for split in _SPLITS}
        lines = []
        sound = [draft for draft in drafts if not isinstance(draft, str)]
        lines += [{"rejected": draft} for draft in drafts if isinstance(draft, str)]
        for (record, _, facts), reason in zip(sound, self._masked(sound, segmenter), strict=True):
            if reason:
                lines.append({"rejected": reason})
                continue
            split = self._split(facts["source"])
            entries[split].append(array_record.encode_record(record))
            share = lambda key, record=record: round(float(record[key].mean()), 4)
            lines.append({"id": record["id"], **facts, "mask_source": share("mask_source"),
                          "mask_target": share("mask_target"), "split": split})
        record_shards.write(path.parent, number, entries)
        text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
        atomic.write_text(path, text)

    def _masked(self, drafts: Sequence[Draft], segmenter: encoders.RegionFinder) -> list[str]:
        """Adds to each record the masks that it lacks; returns why it is rejected, or ""."""
        keys = (("image", "mask_source"), ("target", "mask_target"))
        asked = [
            (record, image, mask, phrase)
            for record, phrases, _ in drafts
            for (image, mask), phrase in zip(keys, phrases, strict=True)
            if mask not in record and phrase
        ]
        made = segmenter.masks([record[image] for record, image, _, _ in asked],
                               [phrase for *_, phrase in asked])
        for (record, _, mask, _), found in zip(asked, made, strict=True):
            record[mask] = found
        reasons = []
        least, most = self.config.pairs.area
        for record, phrases, _ in drafts:
            reason = ""
            for (image, mask), phrase in zip(keys, phrases, strict=True):
                # Where nothing is there to be looked for, nothing is masked.
                found = record.setdefault(mask, np.zeros(record[image].shape[:2], bool))
                if phrase and not least <= found.mean() <= most:
                    reason = reason or (SMALL if found.mean() < least else LARGE)
            reasons.append(reason)
        return reasons

    def _split(self, source: str) -> str:
        share, pairs = hashed_share(source), self.config.pairs
        if share < pairs.eval:
            return "eval"
        return "test" if share < pairs.eval + pairs.test else "train"

    def merge(self, parts: Sequence[pathlib.Path], folder: pathlib.Path) -> dict[str, Any]:
        """Puts the shards of all processes together, writes manifest and page."""
        super().merge(parts, folder)
        found = sorted(folder.glob(f"{_LINES}*.jsonl"))
        lines = [json.loads(line) for path in found
                 for line in path.read_text(encoding="utf-8").split("\n") if line]
        for path in found:
            path.unlink()
        rejected = Counter(line["rejected"] for line in lines if "rejected" in line)
        kept = [line for line in lines if "rejected" not in line]
        facts: dict[str, Any] = {"pairs": len(kept), "rejected": dict(rejected)}
        if not kept:
            raise UserError(f"Not one pair is left: {facts}. Loosen pairs.area, or use a segmenter "
                            "that knows these words.")
        (folder / TEST).mkdir()
        for path in folder.glob(f"{TEST}-*"):
            path.rename(folder / TEST / path.name.replace(TEST, "eval", 1))
        facts |= record_shards.index(folder, ("train", "eval"))
        facts["test"] = record_shards.index(folder / TEST, ("train", "eval"))["eval"]
        text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in kept)
        atomic.write_text(folder / MANIFEST, text)
        pairs_page.write(folder, facts, kept, self._before(), self.config.pairs.shown)
        return facts

    def _before(self) -> dict[str, Mapping[str, Any]]:
        """Returns the facts of the stages that this one stands on, for the page."""
        pairs = self.config.pairs
        names = (pairs.collection, pairs.matches) if pairs.matches else ()
        return {name: self.artifacts[name].facts for name in names}


class _Matched:
    """Matches as drafts."""

    def __init__(self, source, size, collection, found):
        self._source, self._size = source, size
        self._collection, self._matches = collection, found

    def __len__(self) -> int:
        return len(self._matches)

    def read(self, place: int) -> Draft | str:
        """Returns a draft, or why there is none."""
        match = self._matches[place]
        own, other = (self._collection.rows[row] for row in (match.source, match.target))
        try:
            image, target = (self._source.read(row.index)["image"] for row in (own, other))
        except BadRecord:
            return UNREADABLE
        edit = own.edit
        told = {"caption": own.caption, "edit_prompt": edit.prompt, "removed": edit.removed,
                "added": edit.added}
        cosines = {key: round(getattr(match, key), 4)
                   for key in ("cos_img", "cos_txt_src", "cos_txt_tgt")}
        record = {"id": own.id, "image": _square(image, self._size),
                  "target": _square(target, self._size), **told, **cosines}
        facts = {"source": own.id, "target": other.id, **told, "rule": edit.rule, **cosines}
        return record, (edit.source_phrase, edit.target_phrase), facts


class _Given:
    """Records that are pairs as drafts; what changed is found in caption and edit prompt."""

    def __init__(self, source: Source, size: int):
        self._source, self._size = source, size

    def __len__(self) -> int:
        return len(self._source)

    def read(self, place: int) -> Draft | str:
        """Returns a draft, or why there is none."""
        try:
            given: Record = self._source.read(place)
        except BadRecord:
            return UNREADABLE
        if "target" not in given or not given.get("edit_prompt", "").strip():
            raise UserError(
                f"{self._source.description}: {given['id']} is no pair: it lacks a target or an "
                "edit_prompt. Give each pair both, or name the stage that matches pictures in "
                "pairs.matches."
            )
        caption, prompt = given.get("caption", ""), given["edit_prompt"]
        removed, added = prompts.difference(caption, prompt)
        removed, added = given.get("removed", removed), given.get("added", added)
        masks = {key: given[key] for key in ("mask_source", "mask_target") if key in given}
        if not removed and not added and not masks:
            return NO_CHANGE
        told = {"caption": caption, "edit_prompt": prompt, "removed": removed, "added": added}
        if not caption:  # nothing to compare with: the prompt names what the target shows
            told["removed"] = removed = given.get("removed", "")
        record = {"id": given["id"], "image": _square(given["image"], self._size),
                  "target": _square(given["target"], self._size), **told}
        record |= {
            key: transforms.resize_and_crop(mask * np.uint8(255), self._size, self._size) > 127
            for key, mask in masks.items()
        }
        facts = {"source": given["id"], "target": given.get("target_id", given["id"]), **told,
                 "rule": "given"}
        return record, (removed, added), facts


def _square(image: np.ndarray, side: int) -> np.ndarray:
    return transforms.resize_and_crop(image, side, side)
