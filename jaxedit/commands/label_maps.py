"""The label maps that `jaxedit synthesize` is given, and the files that it writes for each."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable

from jaxedit.apply import batch_files, photo_folders, photograph
from jaxedit.commands.label import PREVIEW
from jaxedit.data import own_files
from jaxedit.errors import UserError

STRETCH = 0.02  # that nobody sees


@dataclasses.dataclass(frozen=True)
class LabelMap:
    """A label map and where its results go, one for each variant."""

    labels: pathlib.Path
    outputs: tuple[pathlib.Path, ...]


def collect(
    labels: pathlib.Path, output: pathlib.Path, variants: int, overwrite: bool,
    keeps_canvas: bool = False, say: Callable[[str], None] = print,
) -> list[LabelMap]:
    """Returns what to do for a label map or a folder of them.

    Args:
      labels: what is asked for; of a folder, the previews that `jaxedit label` writes are none,
        nor is any other sheet of jaxedit's (`own_files`).
      output: a file, or a folder for those of a folder.
      variants: results of each.
      overwrite: results that exist are replaced.
      keeps_canvas: what is pasted is written too.
      say: is told what is left out.

    Raises:
      UserError: there is none, or an output exists or cannot be written.
    """
    if not labels.exists():
        raise UserError(f"{labels} does not exist. Check the path.")
    files = [labels]
    if labels.is_dir():
        files = [p for p in sorted(labels.iterdir())
                 if p.suffix.lower() in (".png", ".npy") and not p.name.startswith(".")]
        previews = {p for p in files if is_preview(p)}
        for path in sorted(previews):
            say(f"{path} is the preview of a label map; it is left out.")
        files = [p for p in files if p not in previews and own_files.kind_of(p) is None]
        photo_folders.check_apart(output, [labels])
        if not files:
            raise UserError(f"The folder {labels} holds no label map (.png or .npy).")
    batch_files.check_place(output, of_folder=labels.is_dir())
    jobs, inputs = [], batch_files.identities(files)
    planned: dict[pathlib.Path, pathlib.Path] = {}
    for file in files:
        target = output / f"{file.stem}.png" if labels.is_dir() else output
        outputs = tuple(
            target if variants == 1 else target.with_stem(f"{target.stem}-{number}")
            for number in range(1, variants + 1)
        )
        for path in outputs:
            batch_files.check_output(path, inputs, overwrite, photograph.EXACT)
            beside = (donors(path), *([canvas(path)] if keeps_canvas else []))
            for one in beside:
                batch_files.check_output(one, inputs, overwrite, (one.suffix,))
            for one in (path, *beside):
                if planned.setdefault(one, file) != file:
                    raise UserError(f"{planned[one]} and {file} would both lead to {one}. Rename "
                                    "one of them.")
        jobs.append(LabelMap(file, outputs))
    return jobs


def is_preview(path: pathlib.Path) -> bool:
    """Whether a file is the preview of a label map that lies beside it, see `jaxedit label`."""
    of = path.stem.removesuffix(PREVIEW)
    return of != path.stem and path.with_name(f"{of}{path.suffix}").exists()


def donors(output: pathlib.Path) -> pathlib.Path:
    """Returns where the donors of a result are named."""
    return output.with_suffix(".donors.json")


def canvas(output: pathlib.Path) -> pathlib.Path:
    """Returns where the canvas of a result is kept."""
    return output.with_suffix(".canvas.png")


def stretched(path: pathlib.Path, old: tuple[int, int], new: tuple[int, int]) -> list[str]:
    """Returns a warning where a label map of (height, width) gets another shape."""
    share = old[1] * new[0] / (old[0] * new[1])
    if max(share, 1 / share) <= 1 + STRETCH:
        return []
    scale = min(new) / min(old)  # of about as many pixels as the networks paint now
    height, width = (max(1, round(side * scale)) for side in old)
    return [f"warning: {path} has {old[1]} x {old[0]} pixels and is stretched to {new[1]} x "
            f"{new[0]}. --size keeps its shape, for example --size {width}x{height}."]
