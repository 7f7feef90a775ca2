"""The host stage that computes what fine-tuning never trains: `config.part = "latents"`.

It reads pairs (`data.source`) and writes them again as a source of records, `artifact:STAGE`, split
`train`, each with what autoencoder and text encoder say of it: moments of both pictures' latents,
of which training draws samples, and the states of the edit prompt (`pair_data.CACHED`). Pictures
are squares of `image_size`, masks likewise. Where texts are read by tokens, the tokenizer is kept
beside them, so that the run needs nothing else to be applied.

    latents.dtype     float32 | float16, of moments and states on disk
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from jaxedit.data import array_record, record_shards, transforms
from jaxedit.data.sources import BadRecord, Record, Source
from jaxedit.errors import UserError
from jaxedit.methods.iedit import pair_data, text_states
from jaxedit.methods.iedit.diffusion_method import AUTOENCODER, TEXT, Diffusion
from jaxedit.state import State

PAIRS = 16  # of a piece: what a killed build must do again at most, and a batch of the networks
_KEPT = ("caption", "edit_prompt", "removed", "added")
_SPLIT = "train"


class LatentStage(Diffusion):
    """Computes latents and text states of pairs."""

    def starting_values(self) -> tuple[tuple[str, str], ...]:
        """Returns the published networks that the configuration names, without the UNet."""
        name = self.config.network.weights
        if not name:
            return ()
        return ((f"weights:{name}:vae", f"frozen/{AUTOENCODER}"),
                (f"weights:{name}:text_encoder", f"frozen/{TEXT}"))

    def build(
        self, source: Source, folder: pathlib.Path, start: State, *, process_index: int = 0,
        process_count: int = 1,
    ) -> Iterator[float]:
        if self.text.trained and TEXT not in start.frozen:
            raise UserError("The stage has no text encoder: give it the pair "
                            f"(STAGE:ema/{TEXT}, frozen/{TEXT}/params) of a diffusion model.")
        frozen = jax.device_put(dict(start.frozen))
        encode = jax.jit(lambda frozen, image: self._autoencoder(
            start.replace(frozen=frozen), image, "encode"
        ))
        read = jax.jit(lambda frozen, symbols: self._states({}, symbols, frozen))
        compute = functools.partial(self._computed, frozen, encode, read)
        mine = range(process_index, -(-len(source) // PAIRS), process_count)
        for done, number in enumerate(mine, 1):
            if not record_shards.path(folder, _SPLIT, number).exists():
                span = range(number * PAIRS, min((number + 1) * PAIRS, len(source)))
                made = compute([record for record in map(_reader(source), span) if record])
                entries = [array_record.encode_record(record) for record in made]
                record_shards.write(folder, number, {_SPLIT: entries})
            yield done / len(mine)

    def _computed(self, frozen, encode, read, records: Sequence[Record]) -> list[Record]:
        """Returns the records of a piece with what the networks say of them."""
        if not records:
            return []
        side, dtype = self.config.image_size, np.dtype(self.config.latents.dtype)
        found = [pair_data.pictures(record, side) for record in records]
        # One shape, so that it compiles once.
        rows = np.arange(PAIRS) % len(records)
        of = lambda key: np.stack([transforms.to_unit_range(one[key]) for one in found])[rows]
        symbols = self.text.symbols([record["edit_prompt"] for record in records])
        arrays = {
            pair_data.MOMENTS: encode(frozen, of("image")),
            pair_data.TARGET_MOMENTS: encode(frozen, of("target")),
            pair_data.STATES: read(frozen, symbols[rows]),
        }
        arrays = {key: np.asarray(array, np.float32).astype(dtype)
                  for key, array in arrays.items()}
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise UserError("Some latents or text states are not finite in "
                            f"{self.config.latents.dtype}. Set latents.dtype=float32.")
        return [
            {"id": record["id"], **one, **{key: record[key] for key in _KEPT if key in record},
             **{key: array[number] for key, array in arrays.items()},
             pair_data.SYMBOLS: symbols[number]}
            for number, (record, one) in enumerate(zip(records, found, strict=True))
        ]

    def merge(self, parts: Sequence[pathlib.Path], folder: pathlib.Path) -> dict[str, Any]:
        """Puts the shards of all processes together, and the tokenizer beside them."""
        super().merge(parts, folder)
        counts = record_shards.index(folder, (_SPLIT,))
        if not counts[_SPLIT]:
            raise UserError("Not one pair could be read, so there is nothing to train on.")
        if not self.text.trained:
            (folder / text_states.FOLDER).mkdir()
            self.text.tokenizer.write(folder / text_states.FOLDER)
        return {"pairs": counts[_SPLIT], "scale": self.config.autoencoder.scale}


def _reader(source: Source):
    """Returns number -> record, or None for one that cannot be read, which the source counts."""

    def read(number: int) -> Record | None:
        try:
            return source.read(number)
        except BadRecord:
            return None

    return read
