"""Edits of the small world whose true results are known: the same scene, rendered again.

One attribute of a scene is replaced, the three taking turns, and its caption with it. What an edit
changes is known too: the subject, wherever it is not wholly transparent, of a colour or a subject;
all that is not wholly subject, of a setting. A subject's shadow belongs to what is kept, although
another subject's is a little different.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from jaxedit.data.sources import Record
from jaxedit.scenes import world
from jaxedit.scenes.parameters import Parameters
from jaxedit.scenes.rendering import finish, render_layers

_AFTER = "after_"
_OPAQUE = 255


@dataclasses.dataclass(frozen=True)
class Edit:
    """A scene and what it becomes.

    Attributes:
      before, after: the scenes.
      attribute: what differs, a key of `world.ATTRIBUTES`.
    """

    before: Parameters
    after: Parameters
    attribute: str


def edit_of(part: str, index: int) -> Edit:
    """Returns edit `index` of a part, the same on every machine."""
    before = world.world_parameters(part, index)
    attribute = list(world.ATTRIBUTES)[index % len(world.ATTRIBUTES)]
    rng = np.random.default_rng((("train", "eval").index(part), index, 5))
    others = [v for v in world.ATTRIBUTES[attribute] if v != getattr(before, attribute)]
    value = str(rng.choice(others))
    return Edit(before, world.edited(before, **{attribute: value}), attribute)


def render_edit_layers(edit: Edit, size: int) -> dict[str, np.ndarray]:
    """Returns the layers of both scenes, those of the second with `after_` before their names."""
    after = render_layers(edit.after, size)
    return render_layers(edit.before, size) | {_AFTER + name: x for name, x in after.items()}


def finish_edit(edit: Edit, layers: dict[str, np.ndarray]) -> Record:
    """Returns the record of an edit, but for its `id`.

    Its keys: `image` and `target`, the scene before and after; `mask_source` and `mask_target`
    bool (size, size), what is changed of each; `caption`, `edit_prompt`, `removed`, `added`;
    `kind`, the attribute; `attributes` of the scene after.
    """
    before = finish(edit.before, {k: x for k, x in layers.items() if not k.startswith(_AFTER)})
    after = finish(edit.after, {
        k.removeprefix(_AFTER): x for k, x in layers.items() if k.startswith(_AFTER)
    })
    subject = edit.attribute != "setting"
    changed = lambda alpha: alpha > 0 if subject else alpha < _OPAQUE
    return {
        "image": before["image"], "target": after["image"],
        "mask_source": changed(before["alpha"]), "mask_target": changed(after["alpha"]),
        "caption": world.caption(edit.before), "edit_prompt": world.caption(edit.after),
        "removed": getattr(edit.before, edit.attribute),
        "added": getattr(edit.after, edit.attribute),
        "kind": edit.attribute, "attributes": after["attributes"],
    }
