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

from array_record.python import array_record_module

from jaxedit.data import array_record, folder, records
from jaxedit.data.sources import EmptySplit
from jaxedit.errors import UserError
from jaxedit.host.atomic import atomic_folder


@dataclasses.dataclass(frozen=True)
class Packed:
    """What was written.

    Attributes:
      output: the folder of shards.
      records: split -> number of records.
      skipped: path -> why it was left out.
    """

    output: pathlib.Path
    records: dict[str, int]
    skipped: dict[str, str]


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
    output = pathlib.Path(output)
    sources = {"train": folder.FolderSource(root, "train", **{**options, "cache_mb": 0})}
    try:
        sources["eval"] = folder.FolderSource(root, "eval", **{**options, "cache_mb": 0})
    except EmptySplit:
        pass  # a folder of a single image has nothing to hold out
    progress = progress or (lambda done, total: None)
    total = sum(len(source) for source in sources.values())
    per_shard = -(-len(sources["train"]) // shards)
    with atomic_folder(output) as temporary:
        splits: dict[str, list[dict]] = {}
        done = 0
        for split, source in sources.items():
            splits[split] = []
            count = -(-len(source) // per_shard)
            for number in range(count):
                positions = range(
                    len(source) * number // count, len(source) * (number + 1) // count
                )
                path = temporary / f"{split}-{number:05d}-of-{count:05d}.arrayrecord"
                tick = lambda written, before=done: progress(before + written, total)
                records = _write_shard(path, source, positions, tick)
                splits[split].append(
                    {"file": path.name, "records": records, "bytes": path.stat().st_size}
                )
                done += len(positions)
        if not any(shard["records"] for shard in splits["train"]):
            first = next(iter(sources["train"].skipped.values()), "")
            raise UserError(f"{root}: not one picture for training can be read. {first}")
        index = {
            "format": array_record.FORMAT,
            "version": array_record.VERSION,
            "classes": sources["train"].classes,
            "splits": splits,
        }
        text = json.dumps(index, indent=1, ensure_ascii=False)
        (temporary / array_record.INDEX).write_text(text, encoding="utf-8")
    return Packed(
        output,
        {split: sum(shard["records"] for shard in shards) for split, shards in splits.items()},
        {path: reason for source in sources.values() for path, reason in source.skipped.items()},
    )


def _write_shard(
    path: pathlib.Path,
    source: folder.FolderSource,
    positions: range,
    progress: Callable[[int], None],
) -> int:
    """Writes the good ones of the source's records at `positions`; returns their number."""
    records = 0
    try:
        writer = array_record.shard_writer(path)
        try:
            for done, position in enumerate(positions, 1):
                entry = _entry(source, position)
                if entry is not None:
                    writer.write(entry)
                    records += 1
                progress(done)
        finally:
            writer.close()
        reader = array_record_module.ArrayRecordReader(str(path))
        written = reader.num_records()
        reader.close()
    except (RuntimeError, ValueError) as error:
        raise UserError(f"Cannot write {path}: {error}. Check that there is space left.") from error
    if written != records:
        raise UserError(
            f"Cannot write {path}: it holds {written} of {records} records. Check that there is "
            "space left."
        )
    return records


def _entry(source: folder.FolderSource, position: int) -> bytes | None:
    """Returns one record's entry, or None for a bad one, which is counted."""
    item = source.items[position]
    try:
        contents = {key: _contents(path) for key, path in item.files.items()}
        record = folder.read_item(
            item,
            contents=contents,
            max_pixels=source.max_pixels,
            invert_masks=source.invert_masks,
            label_classes=source.label_classes,
        )
        for key in item.readers:
            # A shard holds what the key's kind reads, without the data set's own reader.
            if key in contents:
                contents[key] = records.to_file(records.find(key), record[key])[1]
    except UserError as error:
        source.count_bad(source.name(position), str(error))
        return None
    return array_record.encode(item, contents, source.invert_masks)


def _contents(path: str) -> bytes:
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
