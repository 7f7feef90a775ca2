"""The host stage that simulates training canvases: `config.part = "canvases"`.

Up to a hundred donors are compared for each segment, too many to do so whenever a sample is drawn.
The artefact is a source, `artifact:STAGE`: records `image`, `label`, `canvas` and `canvas_label`,
several for each picture. It reads `image_size`, `network.classes`, `data.thin`, `data.area_share`
(smaller segments stay black), `train.seed` and

    canvases.bank        the stage that built the bank, or the folder of a bank
    canvases.sets        canvases of each picture: 5, at 1024 x 2048 2 [C]
    canvases.donors      other pictures, drawn at random, whose segments are compared: 100 [C]
    canvases.stencil     cut segments by the donor's outline; False leaves them whole
    canvases.transfer    probability of moving a segment's colours to the donor's: 0.2 [C]
    canvases.whole_donor recoloured segments are cut by the donor's outline alone [C]
    canvases.elision     "released": half of 0.05 h, 50 % | "paper": 0.05 h, 80 % | "none"
    canvases.label_noise pixels where donor and segment differ become unlabelled [C]
    canvases.rotation    degrees by which a mask is turned to find a ring of such pixels: 2.5 [C]
    canvases.holdout     share of the pictures whose canvases are kept for evaluation
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from jaxedit.data import array_record, record_shards
from jaxedit.data.sources import BadRecord, Record, Source, hashed_share
from jaxedit.errors import UserError
from jaxedit.methods.sims import bank as bank_lib
from jaxedit.methods.sims import (
    bank_building,
    canvas,
    retrieval,
    scaling,
    segments,
    training_canvas,
)
from jaxedit.methods.sims.host_stage import HostStage
from jaxedit.methods.sims.segments import Segment
from jaxedit.methods.sims.training_canvas import OutlineDonor
from jaxedit.state import State

# (record, its number, what messages call its source) -> the records of its canvases.
Maker = Callable[[Record, int, str], Iterator[Record]]
PICTURES = 16  # of a piece: what a killed build must do again at most
_SPLITS = ("train", "eval")
_FEWEST = 16  # colours of a donor that make a covariance
ELISIONS = {
    "released": training_canvas.released_elision,
    "paper": canvas.paper,
    "none": lambda height: canvas.Elision(0, 0.0, 0),
}


class CanvasStage(HostStage):
    """Simulates canvases of the stage's training records."""

    def build(
        self, source: Source, folder: pathlib.Path, start: State, *, process_index: int = 0,
        process_count: int = 1,
    ) -> Iterator[float]:
        self._classes = self.classes_of(source)
        make = self._maker(self._bank(), start)
        mine = range(process_index, -(-len(source) // PICTURES), process_count)
        for done, number in enumerate(mine, 1):
            span = range(number * PICTURES, min((number + 1) * PICTURES, len(source)))
            self._write(folder, number, source, span, make)
            yield done / len(mine)

    def _maker(self, bank: bank_lib.Bank, start: State) -> Maker:
        """Returns what makes the canvases of a record."""
        del start
        return Simulator(self.config, bank)

    def _is_held_out(self, record: Record) -> bool:
        """Returns whether a record's canvases are kept for evaluation."""
        return hashed_share(record["id"]) < self.config.canvases.holdout

    def merge(self, parts: Sequence[pathlib.Path], folder: pathlib.Path) -> dict[str, Any]:
        """Puts the shards of all processes together and writes their index."""
        super().merge(parts, folder)
        return record_shards.index(folder, _SPLITS, self._classes.describe())

    def _bank(self) -> bank_lib.Bank:
        name = self.config.canvases.bank
        if name in self.artifacts:
            bank = bank_lib.opened(self.artifacts[name].folder, verify=False)
        else:
            bank = bank_lib.opened(pathlib.Path(name))
        factors = {own / side for own, side in zip(self.size, bank.size, strict=True)}
        if len(factors) != 1 or not next(iter(factors)).is_integer():
            raise UserError(
                f"image_size={self.size}: the bank {bank.folder} looks segments up at {bank.size}; "
                "canvases must be as large or larger by one whole factor."
            )
        if bank.classes.names != self._classes.names:
            raise UserError(
                f"The bank {bank.folder} has the classes {', '.join(bank.classes.names)}, the "
                f"records {', '.join(self._classes.names)}. Build it from layouts of the same."
            )
        return bank

    def _write(
        self, folder: pathlib.Path, number: int, source: Source, span: range, make: Maker
    ) -> None:
        """Writes a piece: two shards, of which the one for evaluation comes last."""
        if record_shards.path(folder, _SPLITS[-1], number).exists():
            return
        entries: dict[str, list[bytes]] = {split: [] for split in _SPLITS}
        for index in span:
            try:
                record = source.read(index)
            except BadRecord:
                continue
            split = _SPLITS[self._is_held_out(record)]
            for made in make(record, index, source.description):
                entries[split].append(array_record.encode_record(made))
        record_shards.write(folder, number, entries)


class Simulator:
    """Makes the canvases of a record; see the module for the configuration."""

    def __init__(self, config: Any, bank: bank_lib.Bank):
        self.config, self.bank = config, bank
        self.size = tuple(config.image_size)
        self.factor = self.size[0] // bank.size[0]
        self.searcher = retrieval.Searcher(bank, context=False)  # as published, for training
        self.elision = ELISIONS[config.canvases.elision](self.size[0])
        self._picture = functools.lru_cache(maxsize=64)(bank.picture)

    def __call__(self, record: Record, index: int, where: str) -> Iterator[Record]:
        """Yields the records of a picture, one for each set.

        Args:
          record: with `image` and `label`.
          index: its number, which chooses what is drawn for it.
          where: what messages call its source.
        """
        bank, factor = self.bank, self.factor
        layout = bank_building.layout_of(record, bank.size, bank.classes, where)
        whole = bank_building.layout_of(record, self.size, bank.classes, where).astype(np.int32)
        image = scaling.picture(record["image"], self.size)
        instance = record.get("instance")
        found = segments.find(
            layout, bank.classes.count,
            instance=None if instance is None else scaling.nearest(instance, bank.size),
            thin=tuple(self.config.data.thin),
            above=segments.smallest_area(bank.size, self.config.data.area_share),
        )
        wanted = [retrieval.query(one, layout, bank.classes.count) for one in found]
        large = [_enlarged(one, factor) for one in found]
        for number in range(self.config.canvases.sets):
            rng = np.random.default_rng((self.config.train.seed, index, number))
            allowed = self._drawn(record["id"], rng)
            donors = [
                self._donor(query, one, allowed, rng)
                for query, one in zip(wanted, large, strict=True)
            ]
            rings = [self._ring(one, rng) for one in large]
            noise = (rng.random(self.size, np.float32) for _ in large)  # one at a time: memory
            made = training_canvas.simulate(
                image.astype(np.float32) / 255, large, donors, self.elision, noise,
                whole_donor=self.config.canvases.whole_donor, rings=rings,
            )
            label = made.label if self.config.canvases.label_noise else whole
            yield {
                "id": f"{record['id']}-{number}",
                "image": image,
                "label": whole,
                "canvas": canvas.stored(made.colour),
                "canvas_label": canvas.stored_layout(label),
            }

    def _drawn(self, own: str, rng: np.random.Generator) -> np.ndarray:
        """Returns which pictures of the bank are compared, never the record's own."""
        others = np.flatnonzero(self.bank.allowed(without=[own]))
        chosen = rng.permutation(others)[: self.config.canvases.donors]
        allowed = np.zeros(len(self.bank.images), bool)
        allowed[chosen] = True
        return allowed

    def _donor(
        self, query: retrieval.Query, one: Segment, allowed: np.ndarray, rng: np.random.Generator
    ) -> OutlineDonor | None:
        recoloured = rng.random() < self.config.canvases.transfer
        (best,) = self.searcher.top([query], 1, allowed)
        if not best:
            return None
        number = best[0].number
        mask = one.placed(self.size)
        if self.config.canvases.stencil:
            outline = self.bank.segment(number).placed(self.bank.size)
            mask = outline.repeat(self.factor, 0).repeat(self.factor, 1)
        colours = self._colours(int(self.bank.image[number]), query.segment) if recoloured else None
        return OutlineDonor(mask, colours)

    def _colours(self, picture: int, one: Segment) -> np.ndarray | None:
        """Returns a donor picture's colours in the box of a segment, in [0, 1]."""
        whole, known = self._picture(picture)
        place = segments.inside(one.box, self.bank.scale)
        colours = whole[place][known[place]] / 255.0
        return colours if len(colours) >= _FEWEST else None

    def _ring(self, one: Segment, rng: np.random.Generator) -> np.ndarray | None:
        degrees = self.config.canvases.rotation * rng.choice([-1, 1])
        return training_canvas.ring(one.placed(self.size), degrees) if degrees else None


def _enlarged(one: Segment, factor: int) -> Segment:
    top, bottom, left, right = one.box
    box = (top * factor, (bottom + 1) * factor - 1, left * factor, (right + 1) * factor - 1)
    return Segment(one.label, box, one.mask.repeat(factor, 0).repeat(factor, 1))
