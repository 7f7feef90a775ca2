"""A sheet that shows several results for one photograph side by side, around what was asked for."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from jaxedit.data import own_files
from jaxedit.host.atomic import atomic_file
from jaxedit.report import pictures

_WIDEST = 640  # pixels of a column; larger views are scaled down
_AROUND = 0.5  # of the box's longer side is shown on each side of it


def write_grey(path: pathlib.Path, levels: np.ndarray, kind: str) -> None:
    """Writes uint8 (H, W) as a PNG of a kind of `own_files`, with the folders that lead to it."""
    _save(path, Image.fromarray(levels), kind)


def write_grid(path: pathlib.Path, columns: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Writes pictures side by side, see `report.pictures.grid`."""
    _save(path, Image.fromarray(pictures.grid(columns)), own_files.SHEET)


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
    write_grid(path, views)


def _save(path: pathlib.Path, image: Image.Image, kind: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        image.save(temporary, "PNG", optimize=True, pnginfo=own_files.as_side_product(kind))


def _reduced(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    factor = min(1, _WIDEST / max(height, width))
    if factor == 1:
        return picture
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = np.asarray(Image.fromarray(picture.squeeze()).resize(size, Image.Resampling.LANCZOS))
    return small.reshape(*small.shape[:2], picture.shape[-1])
