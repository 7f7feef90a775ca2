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

`scenes:several`, or `scenes:several:SIZE`: pictures of two to four subjects at different
distances, which hide one another. Each record:

| key | value |
|---|---|
| `image` | uint8 (SIZE, SIZE, 3) |
| `background` | uint8 (SIZE, SIZE, 3), the picture without the subjects, with their shadows |
| `label` | int32 (SIZE, SIZE), places in CLASSES, those of the backdrop too |
| `instance` | int32 (SIZE, SIZE), 0 for the backdrop, 1, 2, .. for the subjects |
| `depth` | float32 (SIZE, SIZE), distance in metres, 2.5 to 100: the smaller the nearer |
| `caption`, `attributes` | what the picture shows; `members` of the latter are the subjects |

`render_group(group)` makes any other one, `group.replace_member(place, colour="red")` the same one
with one thing changed.

`scenes:world`, or `scenes:world:SIZE`: the small world of `world.py`, with the records of a single
subject; captions say its colour and what it stands before, and nothing else. `world.edited` and
`render` make the true result of an edit.

`scenes:edits`, or `scenes:edits:SIZE`: edits of the small world with their true results, see
`edits.py` for the keys.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxedit.data.records import check_keys
from jaxedit.data.sources import Record, Source
from jaxedit.errors import UserError
from jaxedit.scenes import world
from jaxedit.scenes.edits import Edit, edit_of, finish_edit, render_edit_layers
from jaxedit.scenes.group_rendering import finish_group, render_group, render_group_layers
from jaxedit.scenes.groups import Group, Member, sample_group
from jaxedit.scenes.parameters import CLASSES, KINDS, Parameters, sample_parameters
from jaxedit.scenes.rendering import finish, render, render_layers

__all__ = ["CLASSES", "KINDS", "OPTIONS", "Group", "GroupSource", "Member", "Parameters",
           "EditSource", "SceneSource", "WorldSource", "create", "render", "render_group",
           "sample_parameters"]  # fmt: skip

OPTIONS = ("keys", "train_count", "eval_count", "cache_mb")
DEFAULT_SIZE = 160
SEVERAL, WORLD, EDITS = "several", "world", "edits"
_SMALLEST, _LARGEST = 64, 2048
_PARTS = ("train", "eval")
_KEYS = frozenset(
    ("image", "foreground", "background", "alpha", "trimap", "label", "kind", "caption",
     "attributes", "id")
)  # fmt: skip
_GROUP_KEYS = frozenset(
    ("image", "background", "label", "instance", "depth", "caption", "attributes", "id")
)
_EDIT_KEYS = frozenset(
    ("image", "target", "mask_source", "mask_target", "caption", "edit_prompt", "removed", "added",
     "kind", "attributes", "id")
)  # fmt: skip
# Colours in which the classes are shown.
CLASS_COLOURS = (
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

    family, form = "scenes", ""
    default_size = DEFAULT_SIZE

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
        named = (self.family, self.form, "" if size == self.default_size else str(size))
        super().__init__(":".join(filter(None, named)))
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
            for number, (name, colour) in enumerate(zip(CLASSES, CLASS_COLOURS, strict=True))
        ]

    def name(self, index: int) -> str:
        part, number = self._places[index]
        return "-".join(filter(None, (self.family, self.form, part, f"{number:06d}")))

    def parameters(self, index: int) -> Parameters:
        """Returns what record `index` shows."""
        return scene_parameters(*self._places[range(len(self))[index]])

    def _read(self, index: int) -> Record:
        parameters = self.parameters(index)
        layers = self._cache.get(index)
        if layers is None:
            layers = self._render(parameters)
            size = sum(array.nbytes for array in layers.values())
            with self._lock:
                if size <= self._cache_left and index not in self._cache:
                    self._cache_left -= size
                    self._cache[index] = layers
        record = self._finish(parameters, layers) | {"id": self.name(index)}
        if self.keys is not None:
            record = {key: value for key, value in record.items() if key in self.keys}
        return record

    def _render(self, parameters: Any) -> dict[str, np.ndarray]:
        return render_layers(parameters, self.size)

    def _finish(self, parameters: Any, layers: dict[str, np.ndarray]) -> Record:
        return finish(parameters, layers)

    def __getstate__(self) -> dict:
        return dict(super().__getstate__(), _cache={}, _cache_left=self._cache_bytes)


class GroupSource(SceneSource):
    """The pictures of several subjects of a part; see `SceneSource` for its arguments."""

    form = SEVERAL

    def __init__(self, size: int, split: str, *, train_count: int = 2000, eval_count: int = 200,
                 **options: Any):
        super().__init__(
            size, split, train_count=train_count, eval_count=eval_count, **options
        )

    def parameters(self, index: int) -> Group:
        """Returns what record `index` shows."""
        part, number = self._places[range(len(self))[index]]
        return sample_group(np.random.default_rng((_PARTS.index(part), number, 2)), part)

    def _render(self, parameters: Group) -> dict[str, np.ndarray]:
        return render_group_layers(parameters, self.size)

    def _finish(self, parameters: Group, layers: dict[str, np.ndarray]) -> Record:
        return finish_group(parameters, layers)


class WorldSource(SceneSource):
    """The scenes of the small world of a part; see `SceneSource` for its arguments."""

    form = WORLD

    def __init__(self, size: int, split: str, *, train_count: int = 2000, eval_count: int = 400,
                 **options: Any):
        super().__init__(
            size, split, train_count=train_count, eval_count=eval_count, **options
        )

    def parameters(self, index: int) -> Parameters:
        """Returns what record `index` shows."""
        return world.world_parameters(*self._places[range(len(self))[index]])

    def _finish(self, parameters: Parameters, layers: dict[str, np.ndarray]) -> Record:
        return finish(parameters, layers) | {"caption": world.caption(parameters)}


class EditSource(WorldSource):
    """Edits of the small world with their true results; see `SceneSource` for its arguments."""

    form = EDITS

    def parameters(self, index: int) -> Edit:
        """Returns what record `index` shows, before and after."""
        return edit_of(*self._places[range(len(self))[index]])

    def _render(self, parameters: Edit) -> dict[str, np.ndarray]:
        return render_edit_layers(parameters, self.size)

    def _finish(self, parameters: Edit, layers: dict[str, np.ndarray]) -> Record:
        return finish_edit(parameters, layers)


# Form -> its source and the keys of its records.
_FORMS = {
    "": (SceneSource, _KEYS), SEVERAL: (GroupSource, _GROUP_KEYS), WORLD: (WorldSource, _KEYS),
    EDITS: (EditSource, _EDIT_KEYS),
}  # fmt: skip


def create(argument: str, split: str, **options: Any) -> SceneSource:
    """Returns the source; `argument` is SIZE, `several`, `world`, `edits`, any with :SIZE, or "".

    Raises:
      UserError: the side is not a whole number within bounds, or an option is wrong.
    """
    form = argument.partition(":")[0]
    form = form if form in _FORMS else ""
    kind, known = _FORMS[form]
    named = f"scenes:{form}" if form else "scenes"
    argument = argument.removeprefix(form).removeprefix(":") if form else argument
    lacking = (check_keys(options.get("keys")) or set()) - known
    if lacking:
        raise UserError(
            f"{named} has no {min(lacking)!r}, which was asked for (keys); it has "
            f"{', '.join(sorted(known))}. Use a folder of your own: folder:PATH."
        )
    size = DEFAULT_SIZE
    if argument:
        if not (argument.isascii() and argument.isdigit()) or not (
            _SMALLEST <= int(argument) <= _LARGEST
        ):
            raise UserError(
                f"{named}:{argument} names no size: write the side of the pictures in pixels, "
                f"{_SMALLEST} to {_LARGEST}, such as {named}:{DEFAULT_SIZE}"
                + ("." if form else f", or scenes:{SEVERAL} for pictures of several subjects.")
            )
        size = int(argument)
    for name in ("train_count", "eval_count"):
        count = options.get(name, 1)
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise UserError(f"{name} of scenes is {count!r}; it must be a whole number above 0.")
    return kind(size, split, **options)


def scene_parameters(part: str, index: int) -> Parameters:
    """Returns scene `index` of a part, the same on every machine.

    The kinds take turns in an order that changes from one round to the next.
    """
    number = _PARTS.index(part)
    turn, place = divmod(index, len(KINDS))
    order = np.random.default_rng((number, turn, 0)).permutation(len(KINDS))
    rng = np.random.default_rng((number, index, 1))
    return sample_parameters(rng, part, KINDS[order[place]])
