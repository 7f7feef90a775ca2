"""The embedded source `portraits`: frontal heads of which six attributes are known exactly.

`portraits`, or `portraits:SIZE` with the side in pixels (64 by default, 32 to 1024). Each record:

| key | value |
|---|---|
| `image` | uint8 (SIZE, SIZE, 3), a head as face data sets align them |
| `label` | int32 (SIZE, SIZE), places in `heads.CLASSES` |
| `caption` | str |
| `attributes` | dict: `seed`, and a number for each of ATTRIBUTES |

The seed is the person: bones, features, hairstyle, clothes, backdrop. The attributes are drawn
independently of each other, and every one of them can be replaced alone: `render(seed, smile=1.0)`
is the same person with the same everything, smiling: the true result of that edit.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
import zlib
from typing import Any

import numpy as np

from jaxedit.data.records import check_keys
from jaxedit.data.sources import Record
from jaxedit.errors import UserError
from jaxedit.host import levels
from jaxedit.host.names import check_choice
from jaxedit.scenes import heads
from jaxedit.scenes.source import SceneSource

OPTIONS = ("keys", "train_count", "eval_count", "cache_mb")
DEFAULT_SIZE = 64
_SMALLEST, _LARGEST = 32, 1024
_KEYS = frozenset(("image", "label", "caption", "attributes", "id"))
# Attribute -> (lowest, highest).
ATTRIBUTES = {
    "pose": (-20.0, 20.0),
    "smile": (0.0, 1.0),
    "hair": (0.0, 1.0),
    "glasses": (0.0, 1.0),
    "light": (-1.0, 1.0),
    "skin": (0.0, 1.0),
}
# Seeds of the evaluation part start here: no person is in both.
_FIRST_HELD_OUT = 2**30
_CLASS_COLOURS = (
    (150, 170, 190), (60, 80, 140), (226, 180, 150), (96, 60, 36), (240, 240, 240),
    (196, 70, 80), (30, 30, 30),
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Portrait:
    """One picture. `dataclasses.replace` makes the same one with one thing changed.

    Attributes:
      seed: the person, 0 or more.
      pose: degrees by which the head is turned, -20 (to the picture's left) to 20.
      smile: 0 (none) to 1 (broad, with teeth).
      hair: colour, 0 (black) to 1 (fair); brows and beard follow.
      glasses: 1 for glasses, 0 for none.
      light: where it comes from, -1 (left) to 1 (right).
      skin: 0 (light) to 1 (dark).

    Raises:
      UserError: a value out of its range.
    """

    seed: int
    pose: float = 0.0
    smile: float = 0.0
    hair: float = 0.3
    glasses: float = 0.0
    light: float = 0.0
    skin: float = 0.2

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, numbers.Integral) or (
            self.seed < 0
        ):
            raise UserError(f"The seed of a portrait is {self.seed!r}; it must be 0 or more.")
        for name, (low, high) in ATTRIBUTES.items():
            value = getattr(self, name)
            real = isinstance(value, numbers.Real) and math.isfinite(value)
            if not real or not low <= value <= high:
                raise UserError(
                    f"{name} of a portrait is {value!r}; it must lie from {low:g} to {high:g}."
                )
        if self.glasses not in (0, 1):
            raise UserError(f"glasses of a portrait is {self.glasses!r}; it must be 0 or 1.")

    def rng(self, purpose: str) -> np.random.Generator:
        """Returns a generator that depends on the seed and on `purpose` alone."""
        return np.random.default_rng((self.seed, zlib.crc32(purpose.encode())))

    @property
    def attributes(self) -> dict[str, float]:
        """Returns the value of each of ATTRIBUTES."""
        return {name: float(getattr(self, name)) for name in ATTRIBUTES}


def sample(seed: int, **replaced: float) -> Portrait:
    """Returns the portrait of a seed, with the attributes that are named replaced.

    Raises:
      UserError: there is no such attribute, or its value is out of range.
    """
    for name in replaced:
        check_choice("The portrait's attribute", name, ATTRIBUTES)
    rng = Portrait(seed).rng("attributes")
    values = {
        "pose": float(rng.uniform(-20, 20)),
        "smile": float(rng.random()),
        "hair": float(rng.random()),
        "glasses": float(rng.random() < 0.35),
        "light": float(rng.uniform(-1, 1)),
        "skin": float(rng.random()),
    }
    return Portrait(seed, **{**values, **replaced})


def render(seed: int, size: int = DEFAULT_SIZE, **replaced: float) -> Record:
    """Returns the record of a seed, but for its `id`, with the attributes named replaced.

    Raises:
      UserError: there is no such attribute, or its value is out of range.
    """
    portrait = sample(seed, **replaced)
    return _finish(portrait, _layers(portrait, size))


class PortraitSource(SceneSource):
    """The portraits of a part; see `SceneSource` for its arguments."""

    family = "portraits"
    default_size = DEFAULT_SIZE

    def __init__(self, size: int, split: str, *, train_count: int = 12_000, eval_count: int = 1000,
                 **options: Any):
        super().__init__(
            size, split, train_count=train_count, eval_count=eval_count, **options
        )

    @property
    def classes(self) -> list[dict[str, Any]]:
        return [
            {"number": number, "name": name, "colour": list(colour)}
            for number, (name, colour) in enumerate(
                zip(heads.CLASSES, _CLASS_COLOURS, strict=True)
            )
        ]

    def parameters(self, index: int) -> Portrait:
        """Returns what record `index` shows."""
        part, number = self._places[range(len(self))[index]]
        return sample(number + (_FIRST_HELD_OUT if part == "eval" else 0))

    def _render(self, parameters: Portrait) -> dict[str, np.ndarray]:
        return _layers(parameters, self.size)

    def _finish(self, parameters: Portrait, layers: dict[str, np.ndarray]) -> Record:
        return _finish(parameters, layers)


def create(argument: str, split: str, **options: Any) -> PortraitSource:
    """Returns the source; `argument` is SIZE or empty.

    Raises:
      UserError: the side is not a whole number within bounds, or an option is wrong.
    """
    lacking = (check_keys(options.get("keys")) or set()) - _KEYS
    if lacking:
        raise UserError(
            f"portraits has no {min(lacking)!r}, which was asked for (keys); it has "
            f"{', '.join(sorted(_KEYS))}. Use a folder of your own: data.source=folder:PATH."
        )
    size = int(argument) if argument.isascii() and argument.isdigit() else 0
    if argument and not _SMALLEST <= size <= _LARGEST:
        raise UserError(
            f"portraits:{argument} names no size: write the side of the pictures in pixels, "
            f"{_SMALLEST} to {_LARGEST}, such as portraits:{DEFAULT_SIZE}."
        )
    for name in ("train_count", "eval_count"):
        count = options.get(name, 1)
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise UserError(
                f"{name} of portraits is {count!r}; it must be a whole number above 0."
            )
    return PortraitSource(size or DEFAULT_SIZE, split, **options)


def _layers(portrait: Portrait, size: int) -> dict[str, np.ndarray]:
    picture, label = heads.draw(portrait, size)
    return {"image": levels.rounded(picture), "label": label}


def _finish(portrait: Portrait, layers: dict[str, np.ndarray]) -> Record:
    return {
        "image": layers["image"].copy(),
        "label": layers["label"].astype(np.int32),
        "caption": caption(portrait),
        "attributes": {"seed": portrait.seed, **portrait.attributes},
    }


def caption(portrait: Portrait) -> str:
    """Returns what the picture shows, as a sentence."""
    words = lambda value, *names: names[min(int(value * len(names)), len(names) - 1)]
    skin = words(portrait.skin, "light", "tan", "brown", "dark brown")
    hair = words(portrait.hair, "black", "dark brown", "brown", "dark blond", "fair")
    face = words(portrait.smile, "A person", "A slightly smiling person", "A smiling person")
    looks = words((portrait.pose + 20) / 40, "turned to the left", "facing the viewer",
                  "turned to the right")  # fmt: skip
    light = words((portrait.light + 1) / 2, "lit from the left", "lit from the front",
                  "lit from the right")  # fmt: skip
    glasses = ", glasses" if portrait.glasses else ""
    return f"{face} with {hair} hair{glasses} and {skin} skin, {looks}, {light}."
