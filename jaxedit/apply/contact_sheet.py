"""A sheet that shows several results for one photograph side by side, around what was asked for."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from jaxedit.apply import batch_files, photograph
from jaxedit.apply.batch_files import Job
from jaxedit.errors import UserError
from jaxedit.host.atomic import atomic_file
from jaxedit.report import pictures

_WIDEST = 640  # pixels of a column; larger views are scaled down
_AROUND = 0.5  # of the box's longer side is shown on each side of it


def place(path: pathlib.Path, job: Job, of_folder: bool) -> pathlib.Path:
    """Returns where the sheet of a job belongs: `path` itself, or in it for a folder of photos."""
    return path / job.name if of_folder else path


def check(
    path: pathlib.Path, jobs: Sequence[Job], *, of_folder: bool, overwrite: bool,
    option: str = "--compare", variants: int = 1,
) -> None:
    """Raises UserError where a sheet could not be written, or would replace another file.

    `option` is what asks for it, for messages; `variants` are the results of each photograph.
    """
    batch_files.check_place(path, of_folder=of_folder)
    inputs = batch_files.inputs_of(jobs)
    results = {one.resolve() for job in jobs for one in batch_files.outputs(job, variants)}
    for job in jobs:
        sheet = place(path, job, of_folder)
        batch_files.check_output(sheet, inputs, overwrite, photograph.PNG)
        if sheet.resolve() in results:
            raise UserError(f"{option} and --output are both {sheet}. Choose another name.")


def check_apart(
    sheets: Mapping[str, pathlib.Path | None], jobs: Sequence[Job], *, of_folder: bool
) -> None:
    """Raises UserError where two kinds of sheets would be one file, of any of the jobs.

    Args:
      sheets: option -> what it names, None where it is not given.
      jobs: whose sheets they are.
      of_folder: whether the photos were given as a folder, and so each sheet's place is one.
    """
    taken: dict[pathlib.Path, str] = {}
    for option, path in sheets.items():
        for job in jobs if path is not None else ():
            sheet = place(path, job, of_folder)
            if (other := taken.setdefault(sheet.resolve(), option)) != option:
                raise UserError(f"{other} and {option} are both {sheet}. Choose another name.")


def write_grey(path: pathlib.Path, levels: np.ndarray) -> None:
    """Writes uint8 (H, W) as a PNG, with the folders that lead to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        Image.fromarray(levels).save(temporary, "PNG", optimize=True)


def write(path: pathlib.Path, columns: Mapping[str, np.ndarray], needed: np.ndarray) -> None:
    """Writes the sheet, one titled column per result.

    Args:
      path: a PNG.
      columns: title -> uint8 (H, W, 3) or (H, W, 1).
      needed: bool (H, W), what was asked for: the view is the box around it, with surroundings.
    """
    rows, values = np.flatnonzero(needed.any(1)), np.flatnonzero(needed.any(0))
    margin = int(_AROUND * max(rows[-1] - rows[0], values[-1] - values[0])) + 8
    box = tuple(slice(max(0, x[0] - margin), x[-1] + margin + 1) for x in (rows, values))
    views = {title: [_reduced(picture[box])] for title, picture in columns.items()}
    pictures.write(path, pictures.grid(views))


def _reduced(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    factor = min(1, _WIDEST / max(height, width))
    if factor == 1:
        return picture
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = np.asarray(Image.fromarray(picture.squeeze()).resize(size, Image.Resampling.LANCZOS))
    return small.reshape(*small.shape[:2], picture.shape[-1])
