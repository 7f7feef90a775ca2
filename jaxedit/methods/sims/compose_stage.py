"""The host stage that makes canvases for layouts to be judged: `config.part = "compose"`.

As in use: donors are looked up in the bank for the evaluation part of the records (`data.source`,
or `evaluate.source` where that names another), moved by the alignment network, ordered and pasted.
The artefact is a source, `artifact:STAGE`, whose evaluation part holds `image`, `label`, `canvas`,
`canvas_label` (the rewritten layout) and `donors`. It reads what `composition.settings_of` does,
`canvases.bank`, `compose.vary` and `train.seed`; `start` brings the networks, as
`params/alignment` and `params/ordering`. A network that is not brought is not used.
"""

from __future__ import annotations

import functools
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from jaxedit.data.sources import Opened, Record, Source
from jaxedit.method import Method
from jaxedit.methods.sims import (
    align_method,
    bank_building,
    canvas,
    composition,
    order_method,
    scaling,
)
from jaxedit.methods.sims import bank as bank_lib
from jaxedit.methods.sims.canvas_stage import CanvasStage, Maker
from jaxedit.state import State


class ComposeStage(CanvasStage):
    """Makes a canvas for each layout of the evaluation part."""

    @functools.cached_property
    def sources(self) -> dict[str, Opened]:
        evaluate = self.config.evaluate
        name = evaluate.source or self.config.data.source
        return {"evaluate.source": Opened(name, evaluate.split or "eval")}

    def build(
        self, source: Source, folder: pathlib.Path, start: State, *, process_index: int = 0,
        process_count: int = 1,
    ) -> Iterator[float]:
        del source  # training records, whose segments are in the bank
        yield from super().build(
            self.sources["evaluate.source"].source, folder, start, process_index=process_index,
            process_count=process_count,
        )

    def _is_held_out(self, record: Record) -> bool:
        return True

    def _maker(self, bank: bank_lib.Bank, start: State) -> Maker:
        return Composing(self.config, bank, start)


class Composing:
    """Makes the canvas of a record."""

    def __init__(self, config: Any, bank: bank_lib.Bank, start: State):
        self.seed = config.train.seed
        self.vary = config.compose.get("vary", False)  # older runs do not have the key
        self.composer = composition.Composer(
            bank, composition.settings_of(config, bank),
            align=applied(align_method.Align(config), start, "align"),
            order=applied(order_method.Order(config), start, "order"),
        )

    def __call__(self, record: Record, index: int, where: str) -> Iterator[Record]:
        """Yields one record; `index` chooses what is drawn for it."""
        bank, size = self.composer.bank, self.composer.size
        label = bank_building.layout_of(record, size, bank.classes, where).astype(np.int32)
        instance = record.get("instance")
        allowed = bank.allowed(without=[record["id"]])
        made = self.composer(
            label,
            instance=None if instance is None else scaling.nearest(instance, size),
            allowed=allowed,
            rng=np.random.default_rng((self.seed, index)), vary=self.vary,
            depth=self._depth(record),
        )
        donors = composition.provenance(made, bank)
        yield {
            "id": record["id"],
            "image": scaling.picture(record["image"], size),
            "label": label,
            "canvas": canvas.stored(made.canvas),
            "canvas_label": canvas.stored_layout(made.layout),
            "nearest": scaling.picture(nearest_picture(bank, label, allowed), size),
            "donors": json.dumps(donors),
        }

    def _depth(self, record: Record) -> np.ndarray | None:
        """Returns the depth of each pixel at the composer's size; None where nobody asks."""
        if self.composer.settings.order != "depth" or "depth" not in record:
            return None
        return scaling.nearest(record["depth"], self.composer.size).astype(np.float32)


def nearest_picture(bank: bank_lib.Bank, label: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Returns the bank's picture whose layout agrees with `label` in most pixels, uint8.

    What one gets without cutting anything; black where it is unlabelled. Of equals the first.

    Args:
      bank: at least one of whose pictures is allowed.
      label: int (H, W).
      allowed: bool (pictures,).
    """
    label = scaling.nearest(label, bank.size)
    agreement = [
        np.mean(bank.layout(picture) == label) if allowed[picture] else -1.0
        for picture in range(len(bank.images))
    ]
    return bank.picture(int(np.argmax(agreement)))[0]


def applied(
    method: Method, start: State, task: str
) -> Callable[..., Mapping[str, np.ndarray]] | None:
    """Returns a task of a part on one sample; None where `start` lacks the network it needs."""
    if method.name not in start.params and not method.needs_no_network:
        return None
    predict = jax.jit(functools.partial(method.predict, task=task))

    def apply(**inputs: np.ndarray) -> dict[str, np.ndarray]:
        batch = {name: np.asarray(array)[None] for name, array in inputs.items()}
        outputs = jax.device_get(predict(start, batch, jax.random.key(0)))
        return {name: array[0] for name, array in outputs.items()}

    return apply
