"""The picture grids of a run for its page: the newest of each name, and its course over the steps.

The newest is shown as it is. Earlier ones are there to be leafed through, so they go into the page
as WebP of a moderate size, which takes a tenth of the room or less.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

from PIL import Image

from jaxedit.errors import UserError
from jaxedit.host import json_text
from jaxedit.report import pictures, wording
from jaxedit.report.filling import address, address_of

_MOST_NAMES = 12
_LARGEST = 1600  # pixels of the longer side of an earlier picture
_QUALITY = 80


def of_runs(folders: Sequence[pathlib.Path]) -> tuple[list[dict[str, Any]], int]:
    """Returns the grids by name, newest first, and how many names had no room.

    A grid has its caption, `name`, its `runs`, which are frames for each run, and all `steps` of
    these. A frame is (step, address of the picture as data, width in pixels), in order of steps;
    the step of a picture without a history is None. A run without a picture of that name has no
    frames.

    Args:
      folders: the `pictures` folder of each run.

    Raises:
      UserError: a file there is no picture.
    """
    newest: dict[str, float] = {}
    for folder in folders:
        for file in folder.glob("*.png"):
            if file.is_file():
                newest[file.stem] = max(newest.get(file.stem, 0.0), file.stat().st_mtime)
    names = sorted(newest, key=lambda name: (-newest[name], name))
    found = [
        {"name": wording.caption(json_text.shown(name)),
         "runs": [_frames(folder, name) for folder in folders]}
        for name in names[:_MOST_NAMES]
    ]
    for one in found:
        steps = {step for frames in one["runs"] for step, _, _ in frames if step is not None}
        one["steps"] = sorted(steps)
    return found, len(names) - len(found)


def _frames(folder: pathlib.Path, name: str) -> list[tuple[int | None, str, int]]:
    newest = folder / f"{name}.png"
    if not newest.is_file():
        return []
    last, width = newest.read_bytes(), _open(newest).width
    kept = list(pictures.history(folder, name).items()) or [(None, newest)]
    # All take the width of the newest, so that the page stands still while they are leafed through.
    frames = [(step, _small(_open(path)), width) for step, path in kept[:-1]]
    return [*frames, (kept[-1][0], address(last, "png"), width)]


def _open(path: pathlib.Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except OSError as error:
        raise UserError(f"{path} is no picture ({error}). Restore or delete it.") from None


def _small(image: Image.Image) -> str:
    image.thumbnail((_LARGEST, _LARGEST))
    return address_of(image, "webp", quality=_QUALITY)
