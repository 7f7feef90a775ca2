"""Writing the source `array_record:PATH` in pieces, as host stages do: restartable, by split.

    PATH/train-00007.arrayrecord, PATH/eval-00007.arrayrecord, ...   piece 7
    PATH/index.json                                                  when all pieces are there
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from array_record.python import array_record_module

from jaxedit.data import array_record
from jaxedit.host import atomic

_ENDING = ".arrayrecord"


def path(folder: pathlib.Path, split: str, number: int) -> pathlib.Path:
    """Returns the file of one split of a piece."""
    return folder / f"{split}-{number:05}{_ENDING}"


def write(folder: pathlib.Path, number: int, entries: Mapping[str, Sequence[bytes]]) -> None:
    """Writes a piece, a file for each split; the file of the last one comes last.

    Args:
      folder: where to.
      number: of the piece.
      entries: split -> records, as `array_record.encode_record` gives them; maybe none.
    """
    for split, of_split in entries.items():
        with atomic.atomic_file(path(folder, split, number)) as temporary:
            writer = array_record.shard_writer(temporary)
            for entry in of_split:
                writer.write(entry)
            writer.close()


def index(folder: pathlib.Path, splits: Sequence[str], classes: Any = None) -> dict[str, int]:
    """Writes the index of all pieces in a folder, without empty files; returns split -> records."""
    rows: dict[str, list[dict]] = {split: [] for split in splits}
    for file in sorted(folder.glob(f"*{_ENDING}")):
        if not (records := _count(file)):
            file.unlink()
            continue
        rows[file.name.partition("-")[0]].append(
            {"file": file.name, "records": records, "bytes": file.stat().st_size}
        )
    content = {"format": array_record.FORMAT, "version": array_record.VERSION}
    if classes is not None:
        content["classes"] = classes
    text = json.dumps(content | {"splits": rows}, indent=1)
    atomic.write_text(folder / array_record.INDEX, text)
    return {split: sum(one["records"] for one in of_split) for split, of_split in rows.items()}


def _count(file: pathlib.Path) -> int:
    reader = array_record_module.ArrayRecordReader(str(file))
    try:
        return reader.num_records()
    finally:
        reader.close()
