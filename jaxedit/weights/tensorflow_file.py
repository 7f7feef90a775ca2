"""Reads TensorFlow checkpoints without TensorFlow: the format of `tf.train.Saver` since 1.0.

A checkpoint is `NAME.index` and one or more `NAME.data-00000-of-00001`. The index is a sorted table
of LevelDB's form: blocks of keys that share their beginnings, found through an index block, which
the footer points to. A key is a variable's name, its value a protocol buffer that says where in
which data file its numbers lie. Nothing is executed, and no number in a file is trusted before it
has been compared with the file's size.
"""

from __future__ import annotations

import dataclasses
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import ml_dtypes
import numpy as np
from tensorboardX.crc32c import crc32c

from jaxedit.errors import UserError

MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)  # the last eight bytes of every such table
_FOOTER = 48
_TRAILER = 5  # after each block: how it is compressed, and its check sum
_DTYPES = {  # tensorflow/core/framework/types.proto; what is not here is no array of numbers
    1: np.float32, 2: np.float64, 3: np.int32, 4: np.uint8, 5: np.int16, 6: np.int8, 9: np.int64,
    10: np.bool_, 14: ml_dtypes.bfloat16, 17: np.uint16, 19: np.float16, 22: np.uint32,
    23: np.uint64,
}
_MAXIMUM_DIMENSIONS = 16


class _DamagedError(ValueError):
    pass


@dataclasses.dataclass(frozen=True)
class Tensor:
    """Where the numbers of a variable lie.

    Attributes:
      dtype: of its numbers; None where they are none (text).
      shape: of the array.
      shard: the number of the data file.
      offset: of the first byte in it.
      size: in bytes.
    """

    dtype: type | None
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int


class IndexFile:
    """The table of a checkpoint; the data files are read when they are asked for.

    Attributes:
      path: `NAME.index`.
      contents: variable name -> where its numbers lie.
    """

    def __init__(self, path: Path):
        """Raises UserError where the table is damaged or of another kind."""
        self.path = path
        try:
            entries = dict(_entries(path.read_bytes()))
            header = _message(entries.pop("", b""))
            self._shards = header.get(1, [0])[-1]
            if header.get(2, [0])[-1] != 0:
                raise _DamagedError("it was written on a big-endian machine")
            if not isinstance(self._shards, int) or self._shards < 1:
                raise _DamagedError("it is no index of a checkpoint")
            self.contents: Mapping[str, Tensor] = {k: _tensor(v) for k, v in entries.items()}
        except (_DamagedError, struct.error, IndexError, UnicodeDecodeError, TypeError) as error:
            raise UserError(
                f"{path}: not a readable index of a TensorFlow checkpoint ({error}). Give the "
                "`.index` file of a checkpoint that tf.train.Saver wrote, version 1.0 or later; "
                "if it is one, download it again."
            ) from error

    def read(self, name: str) -> np.ndarray:
        """Returns an array.

        Raises:
          UserError: its data file is absent or shorter than the index says, or it holds no numbers.
        """
        tensor = self.contents[name]
        if tensor.dtype is None:
            raise UserError(f"{self.path}: {name!r} holds text or another kind, not numbers.")
        data = self.path.with_suffix(f".data-{tensor.shard:05d}-of-{self._shards:05d}")
        if not data.is_file():
            raise UserError(
                f"{self.path}: its data file {data.name} is not beside it. A checkpoint is both; "
                "put them into one folder."
            )
        expected = math.prod(tensor.shape) * np.dtype(tensor.dtype).itemsize
        if expected != tensor.size or tensor.offset + tensor.size > data.stat().st_size:
            raise UserError(
                f"{data}: too short for {name!r} {tensor.shape}, or of another checkpoint than "
                f"{self.path.name}. Download both again."
            )
        with data.open("rb") as stream:
            stream.seek(tensor.offset)
            return np.frombuffer(stream.read(tensor.size), tensor.dtype).reshape(tensor.shape)


def _entries(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields key and value of a table's entries, in order."""
    if len(data) < _FOOTER or data[-8:] != MAGIC:
        raise _DamagedError("it does not end as such a table does")
    footer = data[-_FOOTER:]
    _, place = _handle(footer, 0)
    (offset, size), _ = _handle(footer, place)
    for _, handle in _block(data, offset, size):
        (offset, size), _ = _handle(handle, 0)
        for key, value in _block(data, offset, size):
            yield key.decode(), value


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    end = offset + size
    if end + _TRAILER > len(data) - _FOOTER:
        raise _DamagedError("a block lies outside of it")
    compression, stored = struct.unpack_from("<BI", data, end)
    if compression:
        raise _DamagedError("its blocks are compressed, which checkpoints are not")
    found = crc32c(data[offset : end + 1])
    if stored != (((found >> 15 | found << 17) & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF:
        raise _DamagedError("a block differs from its check sum")
    (restarts,) = struct.unpack_from("<I", data, end - 4)
    end -= 4 * (restarts + 1)
    key, place = b"", offset
    while place < end:
        shared, place = _varint(data, place)
        added, place = _varint(data, place)
        length, place = _varint(data, place)
        if shared > len(key) or place + added + length > end:
            raise _DamagedError("an entry lies outside of its block")
        key = key[:shared] + data[place : place + added]
        place += added
        yield key, data[place : place + length]
        place += length


def _handle(data: bytes, place: int) -> tuple[tuple[int, int], int]:
    offset, place = _varint(data, place)
    size, place = _varint(data, place)
    return (offset, size), place


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Returns the number that begins at `place`, seven bits a byte, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise _DamagedError("a number without an end")


def _message(data: bytes) -> dict[int, list[int | bytes]]:
    """Returns field number -> values of a protocol buffer, bytes where they are no numbers."""
    fields: dict[int, list[int | bytes]] = {}
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        kind = tag & 7
        if kind == 0:
            value, place = _varint(data, place)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
            value, place = int.from_bytes(data[place : place + length], "little"), place + length
        elif kind == 2:
            length, place = _varint(data, place)
            value, place = data[place : place + length], place + length
        else:
            raise _DamagedError("an unknown kind of field")
        if place > len(data):
            raise _DamagedError("a field without its end")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _tensor(value: bytes) -> Tensor:
    fields = _message(value)
    if 7 in fields:
        raise _DamagedError("a variable is stored in slices, as parameter servers write it")
    shape = _message(_last(fields, 2, b""))
    sizes = tuple(_last(_message(dimension), 1, 0) for dimension in shape.get(2, ()))
    if len(sizes) > _MAXIMUM_DIMENSIONS or not all(isinstance(size, int) for size in sizes):
        raise _DamagedError("a variable of an impossible shape")
    places = (_last(fields, number, 0) for number in (3, 4, 5))
    return Tensor(_DTYPES.get(_last(fields, 1, 0)), sizes, *places)


def _last(fields: Mapping[int, Sequence[int | bytes]], number: int, default):
    return fields.get(number, (default,))[-1]
