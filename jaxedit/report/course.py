"""The picture grids of a run for its page: the newest of each name, and its course over the steps.

The newest is shown as it is. Earlier ones, and those of more than one run, are there to be leafed
through, so they go into the page as WebP, which takes a tenth of the room.
"""

from __future__ import annotations

import base64
import io
import pathlib
from collections.abc import Sequence
from typing import Any

from PIL import Image

from jaxedit.errors import UserError
from jaxedit.report import pictures

_MOST_NAMES = 12
_MOST_STEPS = 12  # of one name, in the page
_QUALITY = 80


def of_runs(folders: Sequence[pathlib.Path]) -> tuple[list[dict[str, Any]], int]:
    """Returns the grids by name, newest first, and how many names had no room.

    A grid has its `name`, its `runs`, which are frames for each run, and all `steps` of these. A
    frame is (step, address of the picture as data), in order of steps; the step of a picture
    without a history is None. A run without a picture of that name has no frames.

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
        {"name": name, "runs": [_frames(folder, name) for folder in folders]}
        for name in names[:_MOST_NAMES]
    ]
    for one in found:
        steps = {step for frames in one["runs"] for step, _ in frames if step is not None}
        one["steps"] = sorted(steps)
    return found, len(names) - len(found)


def _frames(folder: pathlib.Path, name: str) -> list[tuple[int | None, str]]:
    newest = folder / f"{name}.png"
    if not newest.is_file():
        return []
    kept = list(pictures.history(folder, name).items())
    if not kept:
        return [(None, _as_it_is(newest))]
    *earlier, (last, _) = kept
    # Evenly over what was kept, the first among them.
    spacing = max(1, -(-len(earlier) // (_MOST_STEPS - 1)))
    frames = [(step, _small(path)) for step, path in earlier[::spacing]]
    return [*frames, (last, _as_it_is(newest))]


def _as_it_is(path: pathlib.Path) -> str:
    return _address("png", path.read_bytes())


def _small(path: pathlib.Path) -> str:
    buffer = io.BytesIO()
    try:
        with Image.open(path) as image:
            image.convert("RGB").save(buffer, "WEBP", quality=_QUALITY)
    except OSError as error:
        raise UserError(f"{path} is no picture ({error}). Restore or delete it.") from None
    return _address("webp", buffer.getvalue())


def _address(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
