"""Whether a pickle asks for more memory than it can have a use for, told before it is loaded.

A length or a place in the unpickler's list of objects is a number of up to eight bytes, and memory
for it is taken before anything is read. A pickle that is sound has no more objects, and no longer
texts, than it has bytes.
"""

from __future__ import annotations

import os
import pickle
import pickletools
from typing import BinaryIO

_PLACES = ("PUT", "BINPUT", "LONG_BINPUT")


class _Bounded:
    """A stream that is never asked for more than it holds: that much memory would be taken."""

    def __init__(self, stream: BinaryIO, end: int):
        self._stream, self._end = stream, end
        self.readline, self.tell = stream.readline, stream.tell

    def read(self, count: int) -> bytes:
        if not 0 <= count <= self._end - self._stream.tell():
            raise pickle.UnpicklingError("it speaks of more bytes than it has")
        return self._stream.read(count)


def check(stream: BinaryIO) -> None:
    """Looks through the next pickle of a stream, executes nothing, and goes back to its start.

    Raises:
      pickle.UnpicklingError, ValueError: it is cut off, or a number in it is beyond all measure.
    """
    start = stream.tell()
    size = stream.seek(0, os.SEEK_END) - start
    stream.seek(start)
    for operation, argument, _ in pickletools.genops(_Bounded(stream, start + size)):
        if operation.name in _PLACES and argument > size:
            raise pickle.UnpicklingError("it counts more objects than it has bytes")
    stream.seek(start)
