"""The attributes of the embedded portraits, as networks see them, and pictures truly edited.

Everywhere here an attribute is a number from 0 to 1, its place in its range: an error or a change
of .1 is a tenth of what there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxedit.errors import UserError
from jaxedit.method import Record
from jaxedit.scenes import portraits

NAMES = tuple(portraits.ATTRIBUTES)
BINARY = ("glasses",)  # there or not: nothing between
MIRRORED = ("pose", "light")  # a mirror image has the opposite


def of_record(record: Record) -> np.ndarray:
    """Returns a record's attributes, float32 (len(NAMES),).

    Raises:
      UserError: it has none.
    """
    told: Mapping[str, Any] = record.get("attributes") or {}
    if not set(NAMES) <= set(told):
        raise UserError(
            f"has no attributes {', '.join(NAMES)}. Only the source `portraits` has them."
        )
    return np.asarray(
        [(told[name] - low) / (high - low) for name, (low, high) in portraits.ATTRIBUTES.items()],
        np.float32,
    )


def mirrored(values: np.ndarray) -> np.ndarray:
    """Returns the attributes of the mirror image."""
    result = values.copy()
    for name in MIRRORED:
        result[NAMES.index(name)] = 1 - result[NAMES.index(name)]
    return result


def wanted_change(values: np.ndarray, place: int) -> float:
    """Returns by how much attribute `place` is to change: half of its range, to where there is more
    room; all of it where there is nothing between."""
    step = 1.0 if NAMES[place] in BINARY else 0.5
    return float(step if values[place] < 0.5 else -step)


def rendered(record: Record, place: int, value: float) -> np.ndarray:
    """Returns a portrait with attribute `place` replaced, uint8, at the record's size."""
    name = NAMES[place]
    low, high = portraits.ATTRIBUTES[name]
    kept = {key: record["attributes"][key] for key in NAMES}
    kept[name] = low + (high - low) * float(np.clip(value, 0, 1))
    return portraits.render(record["attributes"]["seed"], len(record["image"]), **kept)["image"]
