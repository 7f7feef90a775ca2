"""The host stage that builds the memory bank of a run: `config.part = "bank"`.

It reads `image_size` (the frame times `bank.scale`), `network.classes`, `data.thin`, `train.seed`
and

    bank.scale        colours are finer than the frame in which segments are looked up
    bank.area_share   segments must cover more than this share of the frame; 0 keeps all [C]
    bank.share        of the pictures, drawn by the seed, whose segments are taken; 1 takes all
    bank.licence      of pictures that do not say theirs
    bank.licences     pictures under other licences are left out; () keeps all
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from jaxedit.data.sources import Source
from jaxedit.errors import UserError
from jaxedit.methods.sims import bank_building
from jaxedit.methods.sims.host_stage import HostStage
from jaxedit.state import State


class BankStage(HostStage):
    """Builds a memory bank of the stage's training records."""

    def build(
        self, source: Source, folder: pathlib.Path, start: State, *, process_index: int = 0,
        process_count: int = 1,
    ) -> Iterator[float]:
        del start
        self._settings = self._settings_of(source)
        yield from bank_building.build(
            source, folder, self._settings, process_index=process_index,
            process_count=process_count,
        )

    def merge(self, parts: Sequence[pathlib.Path], folder: pathlib.Path) -> dict[str, Any]:
        """Puts the shards together; the facts are those that `bank.opened` reads."""
        super().merge(parts, folder)
        return bank_building.merge(folder, self._settings)

    def _settings_of(self, source: Source) -> bank_building.Settings:
        bank = self.config.bank
        if any(side % bank.scale for side in self.size):
            raise UserError(
                f"image_size={self.size} does not divide by bank.scale={bank.scale}: segments are "
                "looked up in a frame that is smaller by that factor."
            )
        return bank_building.Settings(
            tuple(side // bank.scale for side in self.size), self.classes_of(source), bank.scale,
            tuple(self.config.data.thin), bank.area_share, bank.licence, tuple(bank.licences),
            bank.get("share", 1.0), self.config.train.seed,  # older runs do not have the key
        )
