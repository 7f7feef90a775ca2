"""The embedded source `scenes`: procedural pictures of which everything is known exactly.

`scenes`, or `scenes:SIZE` with the side in pixels (160 by default, at least 64). Each record is a
subject before a backdrop, with its exact opacity, its colour, the picture without it, a layout of
classes, a caption and attributes:

| key | value |
|---|---|
| `image` | uint8 (SIZE, SIZE, 3), the composition of the next three, rounded |
| `foreground` | uint8 (SIZE, SIZE, 3), the subject's colour, also where it is transparent |
| `alpha` | uint8 (SIZE, SIZE) |
| `background` | uint8 (SIZE, SIZE, 3), the picture without the subject, with its shadow |
| `trimap` | uint8 (SIZE, SIZE) in {0, 128, 255}, of a width that differs by record |
| `label` | int32 (SIZE, SIZE), places in CLASSES |
| `kind` | one of KINDS: hair, soft, glass, lace, smoke, solid |
| `caption`, `attributes` | what the picture shows, as a sentence and as a dict |

The kinds take turns, so that every prefix shows them all alike. Textures come from noise and from
the photographs of `photos`: those of the training part for `train`, those held out for `eval`.
`render(parameters)` makes any other scene, and `dataclasses.replace` of its parameters the same
scene with one thing changed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxedit.data.records import check_keys
from jaxedit.data.sources import Record, Source
from jaxedit.errors import UserError
from jaxedit.scenes.parameters import CLASSES, KINDS, Parameters, sample_parameters
from jaxedit.scenes.rendering import finish, render, render_layers

__all__ = ["CLASSES", "KINDS", "OPTIONS", "Parameters", "SceneSource", "create", "render",
           "sample_parameters"]  # fmt: skip

OPTIONS = ("keys", "train_count", "eval_count", "cache_mb")
DEFAULT_SIZE = 160
_SMALLEST, _LARGEST = 64, 2048
_PARTS = ("train", "eval")
_KEYS = frozenset(
    ("image", "foreground", "background", "alpha", "trimap", "label", "kind", "caption",
     "attributes", "id")
)  # fmt: skip
# Colours in which the classes are shown.
_COLOURS = (
    (126, 178, 226), (118, 128, 150), (40, 92, 168), (98, 160, 60), (222, 196, 134),
    (110, 110, 116), (178, 84, 62), (134, 92, 54), (40, 96, 44), (226, 60, 120),
    (240, 140, 40), (180, 220, 60), (150, 232, 228), (200, 200, 206), (142, 68, 173),
)  # fmt: skip


class SceneSource(Source):
    """The scenes of a part, made when they are first read and then kept in memory.

    Args:
      size: side of the pictures in pixels.
      split: `train`, `eval` or `all`.
      keys: the record keys to hand out; None means all.
      train_count: number of scenes for training.
      eval_count: number of scenes for evaluation.
      cache_mb: keep pictures in memory up to this many megabytes.
    """

    def __init__(
        self,
        size: int,
        split: str,
        *,
        keys: tuple[str, ...] | None = None,
        train_count: int = 431,
        eval_count: int = 96,
        cache_mb: float = 256,
    ):
        super().__init__("scenes" if size == DEFAULT_SIZE else f"scenes:{size}")
        self.size = size
        self.keys = check_keys(keys)
        counts = dict(zip(_PARTS, (train_count, eval_count), strict=True))
        self._places = [
            (part, index)
            for part in _PARTS
            if split in (part, "all")
            for index in range(counts[part])
        ]
        self._cache: dict[int, dict[str, np.ndarray]] = {}
        self._cache_bytes = self._cache_left = int(cache_mb * 2**20)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def classes(self) -> list[dict[str, Any]]:
        """Returns number, name and colour of each class of `label`."""
        return [
            {"number": number, "name": name, "colour": list(colour)}
            for number, (name, colour) in enumerate(zip(CLASSES, _COLOURS, strict=True))
        ]

    def name(self, index: int) -> str:
        part, number = self._places[index]
        return f"scenes-{part}-{number:06d}"

    def parameters(self, index: int) -> Parameters:
        """Returns what record `index` shows."""
        return scene_parameters(*self._places[range(len(self))[index]])

    def _read(self, index: int) -> Record:
        parameters = self.parameters(index)
        layers = self._cache.get(index)
        if layers is None:
            layers = render_layers(parameters, self.size)
            size = sum(array.nbytes for array in layers.values())
            with self._lock:
                if size <= self._cache_left and index not in self._cache:
                    self._cache_left -= size
                    self._cache[index] = layers
        record = finish(parameters, layers) | {"id": self.name(index)}
        if self.keys is not None:
            record = {key: value for key, value in record.items() if key in self.keys}
        return record

    def __getstate__(self) -> dict:
        return dict(super().__getstate__(), _cache={}, _cache_left=self._cache_bytes)


def create(argument: str, split: str, **options: Any) -> SceneSource:
    """Returns the source; `argument` is the side of the pictures in pixels, or empty.

    Raises:
      UserError: the side is not a whole number within bounds, or an option is wrong.
    """
    lacking = (check_keys(options.get("keys")) or set()) - _KEYS
    if lacking:
        raise UserError(
            f"scenes has no {min(lacking)!r}, which was asked for (keys); it has "
            f"{', '.join(sorted(_KEYS))}. Use a folder of your own: data.source=folder:PATH."
        )
    size = DEFAULT_SIZE
    if argument:
        if not (argument.isascii() and argument.isdigit()) or not (
            _SMALLEST <= int(argument) <= _LARGEST
        ):
            raise UserError(
                f"scenes:{argument} names no size: write the side of the pictures in pixels, "
                f"{_SMALLEST} to {_LARGEST}, such as scenes:{DEFAULT_SIZE}."
            )
        size = int(argument)
    for name in ("train_count", "eval_count"):
        count = options.get(name, 1)
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise UserError(f"{name} of scenes is {count!r}; it must be a whole number above 0.")
    return SceneSource(size, split, **options)


def scene_parameters(part: str, index: int) -> Parameters:
    """Returns scene `index` of a part, the same on every machine.

    The kinds take turns in an order that changes from one round to the next.
    """
    number = _PARTS.index(part)
    turn, place = divmod(index, len(KINDS))
    order = np.random.default_rng((number, turn, 0)).permutation(len(KINDS))
    rng = np.random.default_rng((number, index, 1))
    return sample_parameters(rng, part, KINDS[order[place]])
