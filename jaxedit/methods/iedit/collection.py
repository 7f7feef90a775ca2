"""The pictures that pairs are made of, as numbers: which are fit, their embeddings, their prompts.

The host stage `collection`. Its artefact:

    pictures.npy   float32 (N, D), of each fit picture the embedding, of length 1
    prompts.npy    float32 (N, D), of its edit prompt; zeros where it has none
    rows.jsonl     a line for each: index in the source, id, caption, edit

Left out are pictures that cannot be read, whose short side is below `pairs.min_side`, whose sides
differ by more than `pairs.max_aspect`, and those that look like one before (`duplicates`) [R].
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import pathlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxedit.data.sources import BadRecord, Record, Source
from jaxedit.errors import UserError
from jaxedit.host import atomic
from jaxedit.methods.host_stage import HostStage
from jaxedit.methods.iedit import duplicates, encoders, prompts, words
from jaxedit.methods.iedit.prompts import Edit
from jaxedit.state import Artifact, State

PICTURES = 64  # of a piece: what a killed build must do again at most
_PIECE = "piece-"
UNREADABLE, SMALL, NARROW, TWICE = (
    "cannot be read", "too small", "too long and narrow", "looks like one before"
)
Captioner = Callable[[Sequence[np.ndarray]], Sequence[str]]


class NothingToPair(UserError):
    """No pairs can be made of what was collected: none of it is of any use."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A picture of a collection.

    Attributes:
      index: in the source.
      id: of the record.
      caption: "" where it has none; such a picture is a target at most.
      edit: what it is to become, or None where its caption has no word to exchange.
    """

    index: int
    id: str
    caption: str
    edit: Edit | None

    def line(self) -> str:
        """Returns the row as a line of JSON."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)


@dataclasses.dataclass(frozen=True)
class Collection:
    """An opened collection; the arrays are memory maps."""

    rows: Sequence[Row]
    pictures: np.ndarray
    prompts: np.ndarray


class CollectionStage(HostStage):
    """Embeds the stage's training records, and draws an edit prompt for each."""

    def build(
        self, source: Source, folder: pathlib.Path, start: State, *, process_index: int = 0,
        process_count: int = 1,
    ) -> Iterator[float]:
        pairs = self.config.pairs
        towers, table = encoders.towers(self.config, start), words.create(pairs.words)
        captioner = load_captioner(pairs.captioner)
        if pairs.segmenter:  # of a later stage: that it is whole is found out now, not in hours
            encoders.segmenter_of_folder(pairs.segmenter)
        mine = range(process_index, -(-len(source) // PICTURES), process_count)
        for done, number in enumerate(mine, 1):
            path = folder / f"{_PIECE}{number:06}.npz"
            if not path.exists():
                span = range(number * PICTURES, min((number + 1) * PICTURES, len(source)))
                self._write(path, source, span, towers, table, captioner)
            yield done / len(mine)

    def _write(self, path, source, span, towers, table, captioner) -> None:
        left_out: Counter[str] = Counter()
        kept: list[tuple[int, Record]] = []
        for index in span:
            try:
                record = source.read(index)
            except BadRecord:
                left_out[UNREADABLE] += 1
                continue
            if reason := self._unfit(record["image"]):
                left_out[reason] += 1
            else:
                kept.append((index, record))
        captions = self._captions(source, [record for _, record in kept], captioner)
        pairs = self.config.pairs
        rows = [
            Row(index, record["id"], caption, prompts.edit(
                caption, table, record["id"], self.config.train.seed, (pairs.append, pairs.remove)
            ))
            for (index, record), caption in zip(kept, captions, strict=True)
        ]
        of_prompts = np.zeros((len(rows), towers.width), np.float32)
        edited = [place for place, row in enumerate(rows) if row.edit is not None]
        asked = [rows[place].edit.prompt for place in edited]
        of_prompts[edited] = towers.texts(asked)
        images = [record["image"] for _, record in kept]
        with atomic.atomic_file(path) as temporary, open(temporary, "wb") as file:
            np.savez(
                file, pictures=towers.pictures(images), prompts=of_prompts,
                hashes=np.array([duplicates.signature(image) for image in images], np.uint64),
                rows=np.array("\n".join(row.line() for row in rows)),
                left_out=np.array(json.dumps(left_out)),
                cut=sum(bool(towers.text.cut(prompt)) for prompt in asked),
            )

    def _unfit(self, image: np.ndarray) -> str:
        short, long = sorted(image.shape[:2])
        if short < self.config.pairs.min_side:
            return SMALL
        return NARROW if long > self.config.pairs.max_aspect * short else ""

    def _captions(self, source, records, captioner: Captioner | None) -> list[str]:
        captions = [" ".join(str(record.get("caption", "")).split()) for record in records]
        if captioner is not None and records:
            captions = captioned(captioner, [record["image"] for record in records])
        if records and not any(captions):
            raise UserError(
                f"{source.description}: {len(records)} pictures in a row have no caption, which "
                "edit prompts are made of. Put name.txt beside name.jpg, or captions.jsonl with "
                '{"id": name, "caption": text} into the folder, or name a function that writes '
                "captions (pairs.captioner=MODULE:FUNCTION)."
            )
        return captions

    def merge(self, parts: Sequence[pathlib.Path], folder: pathlib.Path) -> dict[str, Any]:
        """Puts the pieces together, without what looks like a picture before it."""
        pieces = sorted((path for part in parts for path in part.glob(f"{_PIECE}*.npz")),
                        key=lambda path: path.name)
        arrays: dict[str, list[np.ndarray]] = {"pictures": [], "prompts": [], "hashes": []}
        rows: list[Row] = []
        left_out: Counter[str] = Counter()
        cut = 0
        for path in pieces:
            with np.load(path) as piece:
                for name, found in arrays.items():
                    found.append(piece[name])
                rows += map(_row, filter(None, str(piece["rows"]).split("\n")))
                left_out.update(json.loads(str(piece["left_out"])))
                cut += int(piece["cut"])
        whole = {name: np.concatenate(found) for name, found in arrays.items()}
        first = duplicates.first_of_each(whole["hashes"], self.config.pairs.duplicates)
        if not first.all():
            left_out[TWICE] = int((~first).sum())
        rows = [row for row, keep in zip(rows, first, strict=True) if keep]
        for name in ("pictures", "prompts"):
            np.save(folder / f"{name}.npy", whole[name][first])
        lines = "".join(f"{row.line()}\n" for row in rows)
        atomic.write_text(folder / "rows.jsonl", lines)
        edited = sum(row.edit is not None for row in rows)
        facts = {
            "pictures": len(rows), "with a caption": sum(bool(row.caption) for row in rows),
            "with an edit prompt": edited, "left out": dict(left_out),
        }
        if cut:
            facts["edit prompts too long for the towers, which read their beginning"] = cut
        if len(rows) < 2 or not edited:
            raise NothingToPair(
                f"No pairs can be made of these pictures: {facts}. It takes two of at least "
                f"{self.config.pairs.min_side} pixels (pairs.min_side), and a caption with a word "
                "that the table knows (pairs.words)."
            )
        return facts


def opened(artifact: Artifact) -> Collection:
    """Returns the collection that a stage has made."""
    lines = artifact.path("rows.jsonl").read_text(encoding="utf-8").split("\n")
    return Collection(
        [_row(line) for line in lines if line],
        *(np.load(artifact.path(f"{name}.npy"), mmap_mode="r") for name in ("pictures", "prompts")),
    )


def load_captioner(name: str) -> Captioner | None:
    """Returns the function that `MODULE:FUNCTION` names, or None for "".

    It gets a list of pictures uint8 (H, W, 3) and returns a caption for each.

    Raises:
      UserError: there is no such function.
    """
    if not name:
        return None
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"pairs.captioner={name}: {error}. Name a function as MODULE:FUNCTION; the "
                        "module must be importable from here (PYTHONPATH).") from error
    if not callable(found):
        raise UserError(f"pairs.captioner={name} is no function.")
    return found


def captioned(captioner: Captioner, images: Sequence[np.ndarray]) -> list[str]:
    """Returns what a captioner says of pictures, one line each.

    Raises:
      UserError: it does not return a text for each picture.
    """
    captions = list(captioner(images))
    if len(captions) != len(images) or not all(isinstance(one, str) for one in captions):
        raise UserError(f"pairs.captioner returned {len(captions)} captions for {len(images)} "
                        "pictures, or something that is no text.")
    return [" ".join(caption.split()) for caption in captions]


def _row(line: str) -> Row:
    found: Mapping[str, Any] = json.loads(line)
    edit = found["edit"]
    return Row(**{**found, "edit": None if edit is None else Edit(**edit)})
