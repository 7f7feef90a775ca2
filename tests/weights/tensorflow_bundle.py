"""Writes checkpoints as tf.train.Saver does: a sorted table of names, and a file of numbers."""

import pathlib
import struct

import numpy as np
from tensorboardX.crc32c import crc32c

from jaxedit.weights.tensorflow_file import MAGIC

_FLOAT = 1  # tensorflow/core/framework/types.proto


def write(prefix: pathlib.Path, arrays: dict[str, np.ndarray]) -> pathlib.Path:
    """Writes float32 `arrays` as PREFIX.index and its data file; returns the former."""
    entries, data = [(b"", _field(1, 1))], b""
    for name, array in sorted(arrays.items()):
        array = np.asarray(array, np.float32)
        shape = b"".join(_field(2, _field(1, side)) for side in array.shape)
        entries.append((name.encode(), _field(1, _FLOAT) + _field(2, shape)
                        + _field(4, len(data)) + _field(5, array.nbytes)))
        data += array.tobytes()
    prefix.parent.mkdir(parents=True, exist_ok=True)
    prefix.with_name(f"{prefix.name}.data-00000-of-00001").write_bytes(data)
    table, handles = b"", []
    for block in (entries, []):  # the second is of the filters, of which there are none
        handles.append(_varint(len(table)) + _varint(len(_block(block))))
        table += _block(block) + _trailer(_block(block))
    index = _block([(b"\xff", handles[0])])
    footer = handles[1] + _varint(len(table)) + _varint(len(index))
    path = prefix.with_name(f"{prefix.name}.index")
    path.write_bytes(table + index + _trailer(index) + footer.ljust(40, b"\0") + MAGIC)
    return path


def _block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """Keys are written whole, so that one restart, at the first, is enough."""
    parts = [
        _varint(0) + _varint(len(key)) + _varint(len(value)) + key + value
        for key, value in entries
    ]
    return b"".join(parts) + struct.pack("<II", 0, 1)


def _trailer(block: bytes) -> bytes:
    found = crc32c(block + b"\0")
    return struct.pack("<BI", 0, ((found >> 15 | found << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
