"""Packing a folder of images into ArrayRecord shards (`jaxedit data pack FOLDER OUTPUT`).

Image files go into the shards byte for byte; each is decoded once on the way, so that a damaged
one is named now and not in mid-training. See `array_record.py` for the form of the result.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

from jaxedit.data import array_record, folder
from jaxedit.data.atomic import atomic_folder
from jaxedit.errors import UserError


@dataclasses.dataclass(frozen=True)
class Packed:
    """What was written.

    Attributes:
      records: split -> number of records.
      skipped: path -> why it was left out.
      output: the folder of shards.
    """

    records: dict[str, int]
    skipped: dict[str, str]
    output: pathlib.Path


def pack(
    root: str | os.PathLike,
    output: str | os.PathLike,
    shards: int = 1,
    *,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Packed:
    """Packs the folder `root` (see `folder.py` for its form) into `output`.

    The split into `train` and `eval` is made now, by the rule of `folder:`, and kept.

    Args:
      root: the folder of images.
      output: the folder to make; it must not exist, or be empty. It appears whole or not at all.
      shards: number of training shards; evaluation gets shards of about the same size.
      progress: called with (records done, records in all) after each.
      **options: of `folder.FolderSource`.

    Raises:
      UserError: nothing to pack, too many bad files, `output` is taken or cannot be written.
    """
    if shards < 1:
        raise UserError(f"shards is {shards}; at least one is needed.")
    root, output = pathlib.Path(root), pathlib.Path(output)
    source = folder.FolderSource(root, "all", **{**options, "cache_mb": 0})
    stems = {part: _stems(root, part, options) for part in ("train", "eval")}
    invert_masks = options.get("invert_masks", False)
    with atomic_folder(output) as temporary:
        done, splits = 0, {}
        for part in ("train", "eval"):
            positions = [
                position for position, item in enumerate(source.items) if item.id in stems[part]
            ]
            parts = shards if part == "train" else _evaluation_shards(stems, shards)
            splits[part] = []
            for number in range(min(parts, len(positions))):
                name = f"{part}-{number:05d}-of-{min(parts, len(positions)):05d}.arrayrecord"
                count = 0
                writer = array_record.shard_writer(temporary / name)
                try:
                    first = number * len(positions) // min(parts, len(positions))
                    last = (number + 1) * len(positions) // min(parts, len(positions))
                    for position in positions[first:last]:
                        entry = _entry(source, position, invert_masks)
                        if entry is not None:
                            writer.write(entry)
                            count += 1
                        done += 1
                        if progress is not None:
                            progress(done, len(source))
                finally:
                    writer.close()
