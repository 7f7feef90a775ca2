"""Whether a pickle asks for more than it can have a use for, told before it is loaded.

A length or a place in the unpickler's list of objects is a number of up to eight bytes, and memory
for it is taken before anything is read. A pickle that is sound has no more objects, and no longer
texts, than it has bytes.

A tuple can hold another one twice, which holds a third one twice, and so on: a few bytes for each,
but hashing the whole (as a key of a dict, for example) takes every path through it, in C, where
nothing can interrupt it. So what tuples would hold if every reference in them were a copy is
counted, and how deep they are nested, which hashing follows on the machine's stack.
"""

from __future__ import annotations

import os
import pickle
import pickletools
from typing import BinaryIO, NamedTuple

_PLACES = ("PUT", "BINPUT", "LONG_BINPUT")
_GETS = ("GET", "BINGET", "LONG_BINGET")
_HASHED_WHOLE = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET")
_DEEPEST = 100  # tuples within tuples
# Objects that all tuples may hold, counted at every use of each: so many, and so many for a byte.
_OBJECTS, _OBJECTS_PER_BYTE = 1 << 16, 64


class _Bounded:
    """A stream that is never asked for more than it holds: that much memory would be taken."""

    def __init__(self, stream: BinaryIO, end: int):
        self._stream, self._end = stream, end
        self.readline, self.tell = stream.readline, stream.tell

    def read(self, count: int) -> bytes:
        if not 0 <= count <= self._end - self._stream.tell():
            raise pickle.UnpicklingError("it speaks of more bytes than it has")
        return self._stream.read(count)


class _Extent(NamedTuple):
    """What hashing an object has to visit: objects, every path counted, and tuples in tuples."""

    objects: int
    depth: int


_ONE = _Extent(1, 0)
_MARK = None  # on the stack, where a slice of it starts


class _Machine:
    """The unpickler's stack and memo, with the extent of each object in the place of the object.

    Only tuples and frozen sets hash what they hold; the functions that `torch_file` and
    `pickle_file` let a pickle call never return such of their arguments. So all else counts as one.
    """

    def __init__(self):
        self._stack: list[_Extent | None] = []
        self._memo: dict[int, _Extent] = {}

    def step(self, operation: pickletools.OpcodeInfo, argument) -> _Extent:
        """Executes an operation; returns the extent of what it leaves on top, or of one object."""
        name, stack = operation.name, self._stack
        if name == "MARK":
            stack.append(_MARK)
        elif name == "POP" and stack and stack[-1] is _MARK:
            stack.pop()
        elif name == "DUP":
            stack.append(self._top())
        elif name in _PLACES:
            self._memo[argument] = self._top()
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = self._top()
        elif name in _GETS:
            if argument not in self._memo:
                raise pickle.UnpicklingError("it refers to an object that it has not read")
            stack.append(self._memo[argument])
        else:
            held = self._taken(operation)
            made = _ONE
            if name in _HASHED_WHOLE:
                made = _Extent(1 + sum(one.objects for one in held),
                               1 + max((one.depth for one in held), default=0))
            stack.extend(made for _ in operation.stack_after)
        return stack[-1] if stack and stack[-1] is not _MARK else _ONE

    def _top(self) -> _Extent:
        if not self._stack or self._stack[-1] is _MARK:
            raise pickle.UnpicklingError("it uses an object where there is none")
        return self._stack[-1]

    def _taken(self, operation: pickletools.OpcodeInfo) -> list[_Extent]:
        """Takes from the stack what an operation uses up."""
        single, taken = len(operation.stack_before), []
        if pickletools.markobject in operation.stack_before:
            single = operation.stack_before.index(pickletools.markobject)
            while self._stack and self._stack[-1] is not _MARK:
                taken.append(self._stack.pop())
            if not self._stack:
                raise pickle.UnpicklingError("it uses a mark where there is none")
            self._stack.pop()
        for _ in range(single):
            taken.append(self._top())
            self._stack.pop()
        return taken


def check(stream: BinaryIO) -> None:
    """Looks through the next pickle of a stream, executes nothing, and goes back to its start.

    Raises:
      pickle.UnpicklingError, ValueError: it is cut off, a number in it is beyond all measure, or
        its tuples are nested without measure.
    """
    start = stream.tell()
    size = stream.seek(0, os.SEEK_END) - start
    stream.seek(start)
    machine, objects = _Machine(), 0
    for operation, argument, place in pickletools.genops(_Bounded(stream, start + size)):
        if operation.name in _PLACES and argument > size:
            raise pickle.UnpicklingError("it counts more objects than it has bytes")
        left = machine.step(operation, argument)
        objects += left.objects
        # Only the bytes so far count: a pickle may be followed by gigabytes of numbers.
        most = _OBJECTS + _OBJECTS_PER_BYTE * (place - start)
        if left.depth > _DEEPEST or objects > most:
            raise pickle.UnpicklingError("its tuples are nested without measure")
    stream.seek(start)
