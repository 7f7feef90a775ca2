"""A part of a memory bank on disk: the segments of some pictures.

    images.json         of each picture {"id", "licence", "source"}, and "profile" if it has one
    layouts.npy         uint8 (pictures, H, W), 255 = unlabelled
    segments.npz        per segment: image (of this shard), label, area, box, context_box,
                        context_area
    masks.npy           uint8, the rows of all masks, packed eight pixels a byte
    colours.npy         uint8 (pixels, 3), of all masks' pixels in reading order
    mask_tiles.npy      uint16, pixels of each mask per tile of a grid of 16 x 32
    context_tiles.npy   uint16, pixels of each class in each context per tile of 4 x 8

Tiles are what a search looks at first, see `retrieval.py`.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxedit.errors import UserError
from jaxedit.host import json_text
from jaxedit.host.atomic import atomic_folder
from jaxedit.methods.sims import segments
from jaxedit.methods.sims.segments import Segment

MASK_GRID, CONTEXT_GRID = (16, 32), (4, 8)
UNLABELLED = 255  # in layouts
EMPTY = {
    "image": np.zeros(0, np.int32), "label": np.zeros(0, np.int32), "area": np.zeros(0, np.int64),
    "box": np.zeros((0, 4), np.int32), "context_box": np.zeros((0, 4), np.int32),
    "context_area": np.zeros(0, np.int64),
}
_ARRAYS = ("layouts", "masks", "colours", "mask_tiles", "context_tiles")


@dataclasses.dataclass(frozen=True, eq=False)
class Shard:
    """The arrays of the module's table; `mask_starts` and `colour_starts` follow from them."""

    images: list[dict[str, str]]
    layouts: np.ndarray
    image: np.ndarray
    label: np.ndarray
    area: np.ndarray
    box: np.ndarray
    context_box: np.ndarray
    context_area: np.ndarray
    masks: np.ndarray
    colours: np.ndarray
    mask_tiles: np.ndarray
    context_tiles: np.ndarray
    mask_starts: np.ndarray
    colour_starts: np.ndarray

    def bits(self, row: int) -> np.ndarray:
        """Returns the packed mask of a segment, uint8 (rows, bytes)."""
        top, bottom = self.box[row, :2].tolist()
        start, end = self.mask_starts[row : row + 2].tolist()
        return self.masks[start:end].reshape(bottom - top + 1, -1)

    def pixels(self, row: int) -> np.ndarray:
        """Returns the colours of a segment's pixels, uint8 (pixels, 3)."""
        start, end = self.colour_starts[row : row + 2].tolist()
        return self.colours[start:end]


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """A picture to be put into a bank.

    Attributes:
      facts: {"id", "licence", "source"}, and "profile" if it has one.
      layout: uint8 (H, W), UNLABELLED where there is no class.
      colours: uint8 (H scale, W scale, 3).
      found: its segments.
    """

    facts: dict[str, str]
    layout: np.ndarray
    colours: np.ndarray
    found: Sequence[Segment]


def write(
    folder: pathlib.Path, pictures: Sequence[Picture], size: tuple[int, int], classes: int
) -> None:
    """Writes a shard of new pictures; the folder appears whole or not at all."""
    columns: dict[str, list] = {name: [] for name in EMPTY}
    masks, colours, mask_tiles, context_tiles = [], [], [], []
    for number, picture in enumerate(pictures):
        scale = picture.colours.shape[0] // size[0]
        for one in picture.found:
            context = segments.context_box(one.box, size)
            within = context_labels(picture.layout, context)
            columns["image"].append(number)
            columns["label"].append(one.label)
            columns["area"].append(one.area)
            columns["box"].append(one.box)
            columns["context_box"].append(context)
            columns["context_area"].append(np.count_nonzero(within != UNLABELLED))
            masks.append(packed(one).ravel())
            crop = picture.colours[segments.inside(one.box, scale)]
            colours.append(crop[one.mask.repeat(scale, 0).repeat(scale, 1)])
            mask_tiles.append(tiles_of_mask(one.placed(size)))
            context_tiles.append(tiles_of_context(within, context, size, classes))
    joined = lambda rows, empty: np.concatenate([empty, *rows])
    stacked = lambda rows, width: np.asarray(rows, np.uint16).reshape(-1, width)
    _save(folder, [picture.facts for picture in pictures], {
        **{name: np.asarray(values, EMPTY[name].dtype).reshape(-1, *EMPTY[name].shape[1:])
           for name, values in columns.items()},
        "layouts": np.asarray([p.layout for p in pictures], np.uint8).reshape(-1, *size),
        "masks": joined(masks, np.zeros(0, np.uint8)),
        "colours": joined(colours, np.zeros((0, 3), np.uint8)),
        "mask_tiles": stacked(mask_tiles, MASK_GRID[0] * MASK_GRID[1]),
        "context_tiles": stacked(context_tiles, CONTEXT_GRID[0] * CONTEXT_GRID[1] * classes),
    })


def write_without(folder: pathlib.Path, shard: Shard, image: int) -> None:
    """Writes a shard of what is left of another without one of its pictures."""
    kept = shard.image != image
    rows = np.flatnonzero(kept)
    others = [number for number in range(len(shard.images)) if number != image]
    spans = lambda array, starts: np.concatenate(
        [array[:0], *(array[starts[row] : starts[row + 1]] for row in rows)]
    )
    _save(folder, [shard.images[number] for number in others], {
        **{name: getattr(shard, name)[kept] for name in EMPTY},
        "image": (shard.image[kept] - (shard.image[kept] > image)).astype(np.int32),
        "layouts": shard.layouts[others],
        "masks": spans(shard.masks, shard.mask_starts),
        "colours": spans(shard.colours, shard.colour_starts),
        "mask_tiles": shard.mask_tiles[kept],
        "context_tiles": shard.context_tiles[kept],
    })


def read(folder: pathlib.Path) -> Shard:
    """Returns a shard, its large arrays memory-mapped.

    Raises:
      UserError: a file is missing, truncated or of another kind.
    """
    try:
        arrays: dict[str, Any] = {
            name: _mapped(folder / f"{name}.npy") for name in _ARRAYS
        }
        with np.load(folder / "segments.npz") as columns:
            arrays |= {name: columns[name] for name in EMPTY}
        images = json_text.loads((folder / "images.json").read_bytes())
        rows, box = len(arrays["label"]), arrays["box"].astype(np.int64)
        widths = box[:, 3] // 8 - box[:, 2] // 8 + 1
        mask_starts = np.cumsum([0, *(widths * (box[:, 1] - box[:, 0] + 1))])
        covered = int(arrays["area"].sum())
        finer = len(arrays["colours"]) // covered if covered else 1
        colour_starts = np.cumsum([0, *(arrays["area"] * finer)])
        whole = (
            all(len(arrays[name]) == rows for name in (*EMPTY, "mask_tiles", "context_tiles"))
            and len(images) == len(arrays["layouts"])
            and mask_starts[-1] == len(arrays["masks"])
            and colour_starts[-1] == len(arrays["colours"])
        )
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise UserError(
            f"The part {folder} of a bank cannot be read: {error}. Put it back from a copy, or "
            "build the bank again."
        ) from error
    if not whole:
        raise UserError(
            f"The part {folder} of a bank does not fit together. Put it back from a copy, or build "
            "the bank again."
        )
    return Shard(images=images, mask_starts=mask_starts, colour_starts=colour_starts, **arrays)


def packed(segment: Segment) -> np.ndarray:
    """Returns a mask's rows in bytes, uint8 (rows, bytes), aligned as those of the whole frame."""
    left, right = segment.box[2:]
    rows = np.zeros((len(segment.mask), 8 * (right // 8 - left // 8 + 1)), bool)
    rows[:, left % 8 : left % 8 + segment.mask.shape[1]] = segment.mask
    return np.packbits(rows, axis=1)


def context_labels(layout: np.ndarray, box: Sequence[int]) -> np.ndarray:
    """Returns the part of a layout that is the context of a segment."""
    return layout[segments.inside(box)]


def tiles_of_mask(mask: np.ndarray) -> np.ndarray:
    """Returns how many pixels of a mask (H, W) each tile holds, uint16 (tiles,)."""
    return _summed(mask.astype(np.int64), MASK_GRID).ravel().astype(np.uint16)


def tiles_of_context(
    labels: np.ndarray, box: Sequence[int], size: tuple[int, int], classes: int
) -> np.ndarray:
    """Returns how many pixels of each class of a context each tile holds, uint16."""
    rows, columns = (
        np.arange(side) * grid // side for side, grid in zip(size, CONTEXT_GRID, strict=True)
    )
    place = segments.inside(box)
    tile = rows[place[0], None] * CONTEXT_GRID[1] + columns[place[1]]
    known = labels != UNLABELLED
    numbers = tile[known] * classes + labels[known]
    counts = np.bincount(numbers, minlength=CONTEXT_GRID[0] * CONTEXT_GRID[1] * classes)
    return np.minimum(counts, np.iinfo(np.uint16).max).astype(np.uint16)


def _summed(values: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    rows, columns = (
        np.arange(side) * parts // side for side, parts in zip(values.shape, grid, strict=True)
    )
    flat = np.bincount(
        (rows[:, None] * grid[1] + columns).ravel(), values.ravel(), grid[0] * grid[1]
    )
    return flat.reshape(grid)


def _mapped(path: pathlib.Path) -> np.ndarray:
    # Nothing cannot be mapped into memory.
    return np.load(path, mmap_mode="r" if path.stat().st_size > 4096 else None)


def _save(
    folder: pathlib.Path, images: Sequence[dict[str, str]], arrays: dict[str, np.ndarray]
) -> None:
    with atomic_folder(folder) as temporary:
        for name in _ARRAYS:
            np.save(temporary / f"{name}.npy", arrays[name])
        np.savez(temporary / "segments.npz", **{name: arrays[name] for name in EMPTY})
        text = json.dumps(list(images), ensure_ascii=False, indent=1)
        (temporary / "images.json").write_text(text, encoding="utf-8")
