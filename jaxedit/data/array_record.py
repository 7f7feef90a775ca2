"""The source `array_record:PATH`: a folder of shards that `jaxedit data pack` wrote.

    PATH/index.json                     what the shards hold
    PATH/train-00000-of-00004.arrayrecord, ...
    PATH/eval-00000-of-00001.arrayrecord, ...

One entry of a shard is one record: four bytes `JXR1`, the length of the header (uint32, little
endian), the header as JSON ({"id", "stem", "caption", "kind", "told": {key: value}, "files": [[key,
name, length], ...]}), then the bytes of the files one after another, exactly as they were in the
folder. Any key that is declared (`records.py`) may stand among the files or in `told`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import struct
from typing import Any

import numpy as np
from array_record.python import array_record_data_source, array_record_module

from jaxedit.data import classes, folder, images, records
from jaxedit.data.sources import EmptySplit, Record, Source
from jaxedit.errors import UserError
from jaxedit.host import json_text

OPTIONS = ("keys", "max_bad_share", "max_pixels")
INDEX = "index.json"
FORMAT = "jaxedit-array-record"
VERSION = 1
_MAGIC = b"JXR1"
_HEADER = ("caption", "kind")  # stand in the header itself, the others in its `told`


def encode(item: folder.Item, contents: dict[str, bytes], invert_masks: bool = False) -> bytes:
    """Returns the entry of one record.

    Args:
      item: its identity, what is told of it and its file names.
      contents: record key -> bytes of the file.
      invert_masks: the mask file is black where the hole is.
    """
    files = [[key, os.path.basename(item.files[key]), len(data)] for key, data in contents.items()]
    header: dict[str, Any] = {"id": item.id, "stem": item.stem, "files": files}
    header |= {key: item.told[key] for key in _HEADER if key in item.told}
    rest = {key: value for key, value in item.told.items() if key not in _HEADER}
    if rest:
        header["told"] = rest
    if invert_masks and "mask" in contents:
        header["invert_mask"] = True
    encoded = json.dumps(header, ensure_ascii=False).encode("utf-8", "surrogateescape")
    return _MAGIC + struct.pack("<I", len(encoded)) + encoded + b"".join(contents.values())


def encode_record(record: Record) -> bytes:
    """Returns the entry of a record that comes from anywhere; `decode` gives back the same values.

    Raises:
      UserError: it has no id, no image, a key that is not declared, or a value of another kind.
    """
    records.check(record, f"Record {record.get('id')!r}")
    if not isinstance(record.get("id"), str) or "image" not in record:
        raise UserError("A record needs an `id` that is a text and an `image` to be packed.")
    names, contents, told = {}, {}, {}
    for name, value in record.items():
        if name in ("id", "index"):
            continue
        key = records.find(name)
        if key.told:
            told[name] = value.item() if isinstance(value, np.generic) else value
        else:
            suffix, contents[name] = records.to_file(key, value)
            names[name] = name + suffix
    return encode(folder.Item(record["id"], record["id"], names, told), contents)


def decode(
    entry: bytes,
    where: str,
    *,
    keys: frozenset[str] | None = None,
    max_pixels: int = images.MAX_PIXELS,
    label_classes: classes.Classes | None = None,
) -> Record:
    """Returns the record of one entry; `where` is what messages call it.

    `label_classes` say what the numbers of a label map mean, see `folder.read_item`.

    Raises:
      UserError: the entry is damaged, or one of its images cannot be decoded.
    """
    if entry[:4] != _MAGIC:
        raise UserError(f"{where} is not a record of jaxedit. Pack the folder again.")
    try:
        (length,) = struct.unpack_from("<I", entry, 4)
        header = json_text.loads(entry[8 : 8 + length].decode("utf-8", "surrogateescape"))
        told = {key: header[key] for key in _HEADER if key in header} | header.get("told", {})
        told = folder.Item(header["id"], header["stem"], {}, told)
        files, contents, start = {}, {}, 8 + length
        for key, name, size in header["files"]:
            if keys is None or key in keys:
                contents[key] = entry[start : start + size]
                files[key] = f"{where}: {name}"
            start += size
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{where} is damaged ({error!r}). Pack the folder again.") from error
    item = dataclasses.replace(told, files=files)
    missing = sorted((keys or set()) - item.keys)
    if missing:
        raise UserError(f"{where} ({item.id}) has no {missing[0]}, which was asked for (keys).")
    if start != len(entry):
        raise UserError(
            f"{where} is damaged: {len(entry)} bytes instead of {start}. Pack the folder again."
        )
    return folder.read_item(
        item.only(keys),
        max_pixels=max_pixels,
        invert_masks=header.get("invert_mask", False),
        contents=contents,
        label_classes=label_classes,
    )


class ArrayRecordSource(Source):
    """Records of packed shards; the split is the one made when they were packed.

    Args:
      root: the folder with `index.json`.
      split: `train`, `eval` or `all`.
      keys: the record keys to read, see `folder.FolderSource`; None reads whatever is there.
      max_bad_share: more bad records than this share are an error; a single one never is.
      max_pixels: larger images are bad records.

    Raises:
      UserError: no such folder, no valid index, a shard missing or truncated, an empty split.
    """

    def __init__(
        self,
        root: str | os.PathLike,
        split: str,
        *,
        keys: tuple[str, ...] | None = None,
        max_bad_share: float = 0.1,
        max_pixels: int = images.MAX_PIXELS,
    ):
        super().__init__(f"array_record:{root}", max_bad_share)
        self.root = pathlib.Path(root)
        self.keys = records.check_keys(keys)
        self.max_pixels = max_pixels
        self._index = _read_index(self.root)
        self.label_classes = folder.classes_or_none(self._index.get("classes"))
        instructions = []
        for part, shards in self._index["splits"].items():
            if split in (part, "all"):
                instructions += [_instruction(self.root, shard) for shard in shards]
        if not sum(instruction.examples_in_shard for instruction in instructions):
            raise EmptySplit(f"{self.description} holds no record for split {split!r}.")
        self._entries = array_record_data_source.ArrayRecordDataSource(instructions)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def classes(self) -> Any:
        return self._index.get("classes")

    def name(self, index: int) -> str:
        return f"{self.root} record {index}"

    def _read(self, index: int) -> Record:
        where = self.name(index)
        try:
            entry = self._entries[index]
        except (ValueError, RuntimeError, IndexError) as error:
            raise UserError(f"{where} cannot be read: {error}. Pack the folder again.") from error
        return decode(
            entry,
            where,
            keys=self.keys,
            max_pixels=self.max_pixels,
            label_classes=self.label_classes,
        )


def create(argument: str, split: str, **options: Any) -> ArrayRecordSource:
    """Returns the source of the packed folder `argument`."""
    return ArrayRecordSource(os.path.expanduser(argument), split, **options)


@dataclasses.dataclass(frozen=True)
class _Instruction:
    """What ArrayRecord's data source wants to know of a shard, so that it need not open it."""

    filename: str
    skip: int
    take: int
    examples_in_shard: int


def _instruction(root: pathlib.Path, shard: dict) -> _Instruction:
    path = root / shard["file"]
    if not path.is_file():
        raise UserError(
            f"{path} is missing, though {root / INDEX} names it. Pack the folder again."
        )
    if path.stat().st_size != shard["bytes"]:
        raise UserError(
            f"{path} has {path.stat().st_size} bytes instead of {shard['bytes']}: it is truncated "
            "or from another run. Copy it again, or pack the folder again."
        )
    return _Instruction(str(path), 0, shard["records"], shard["records"])


def _read_index(root: pathlib.Path) -> dict:
    path = root / INDEX
    if not path.is_file():
        raise UserError(
            f"{root} holds no {INDEX}, so it is no packed folder. Write one with "
            f"`jaxedit data pack FOLDER {root}`, or read images with folder:{root}."
        )
    try:
        index = json_text.loads(path.read_bytes())
        splits = index["splits"]
        shards = [shard for part in splits.values() for shard in part]
        assert all(isinstance(shard["file"], str) for shard in shards)
        counts = [shard[key] for shard in shards for key in ("records", "bytes")]
        assert all(type(count) is int and count >= 0 for count in counts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise UserError(f"{path} is damaged ({error!r}). Pack the folder again.") from error
    if index.get("format") != FORMAT or index.get("version") != VERSION:
        raise UserError(
            f"{path} has format {index.get('format')!r} version {index.get('version')!r}; this "
            f"jaxedit reads {FORMAT!r} version {VERSION}. Pack the folder again."
        )
    return index


def shard_writer(path: pathlib.Path) -> array_record_module.ArrayRecordWriter:
    """Returns a writer of one shard, laid out for reading single records at random."""
    return array_record_module.ArrayRecordWriter(str(path), "group_size:1")
