"""Pickles of whole networks, as NVIDIA publishes its generators, read without running any of it.

There are two forms. Those of PyTorch (`torch_utils.persistence`) hold for every module the source
of its class, which the publisher's loader executes, and its state; those of TensorFlow
(`dnnlib.tflib.network.Network`) a list of variables and, again, source. Here modules and networks
are objects of ours that keep their state and nothing else, and all that is read of that are the
arrays. The names that such files need are listed below; any other name is refused, before
anything has been loaded.

A few bytes of a pickle can ask for any amount of memory: see `pickle_limits`; and the size of an
array is compared with the bytes that there are before it is made.
"""

from __future__ import annotations

import collections
import io
import math
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from jaxedit.errors import UserError
from jaxedit.weights import pickle_limits, torch_file
from jaxedit.weights.torch_file import LazyTensor, Storage, TorchFile

_NETWORKS = ("G", "D", "G_ema")
_DEEPEST = 64  # modules within modules
# Modules and arrays of a network, counted at every path to them, and characters of their names.
# The generators of stylegan2-ada have a few hundred of names of less than a hundred.
_MOST_ENTRIES = 100_000
_LONGEST_NAME = 1000
_LARGEST_SIDE = 2**63 - 1


class Module:
    """A module of PyTorch by its state; what its class does is not known here."""

    __slots__ = ("state",)

    def __init__(self, state: Mapping[str, Any]):
        self.state = state


class _Unalterable(type):
    """The type of a class that a pickle names, and whose attributes it cannot set."""

    def __setattr__(cls, name, value):
        raise AttributeError(f"{name} of {cls.__name__} cannot be set by a file")


class Network(metaclass=_Unalterable):
    """A network of TensorFlow by its state."""

    __slots__ = ("state",)

    def __setstate__(self, state):
        self.state = state if isinstance(state, dict) else {}


class _NumPyType:
    """In the place of numpy.dtype: what it is called, and its byte order."""

    __slots__ = ("name", "order")

    def __init__(self, name: Any):
        if not isinstance(name, str):
            raise pickle.UnpicklingError("a type of numbers whose name is no text")
        self.name, self.order = name, "<"

    def __setstate__(self, state):
        self.order = state[1]

    def dtype(self) -> np.dtype | None:
        """Returns the dtype, None for what is no plain number."""
        kinds = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
        if self.name not in kinds:
            return None
        return np.dtype(self.name).newbyteorder(self.order if self.order in "<>" else "=")


class _NumPyArray:
    """In the place of numpy.ndarray: its description and its bytes."""

    __slots__ = ("shape", "kind", "fortran", "data")

    def __setstate__(self, state):
        _, self.shape, self.kind, self.fortran, self.data = state


def _encode(text: Any, encoding: Any) -> bytes:
    """In the place of _codecs.encode, by which old pickles write bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("a text in another encoding than latin1")
    return text.encode("latin1")


def _module(meta: Any, *unused: Any) -> Module:
    del unused
    state = meta.get("state") if isinstance(meta, dict) else None
    return Module(state if isinstance(state, dict) else {})


_CALLABLES = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _module,
    ("numpy.core.multiarray", "_reconstruct"): lambda *unused: _NumPyArray(),
    ("numpy._core.multiarray", "_reconstruct"): lambda *unused: _NumPyArray(),
    ("numpy", "dtype"): lambda name, *unused: _NumPyType(name),
    ("_codecs", "encode"): _encode,
    # No set is read, and one that is hashed could hold others: see `pickle_limits`.
    ("builtins", "set"): lambda *unused: torch_file.Ignored(),
    ("__builtin__", "set"): lambda *unused: torch_file.Ignored(),
}
_ALLOWED = {
    **torch_file.ALLOWED,
    **{name: torch_file.Function(function) for name, function in _CALLABLES.items()},
    ("numpy", "ndarray"): None,  # the argument of _reconstruct
    # What is handed out as a class a pickle could set attributes on: those written in C refuse.
    ("dnnlib.util", "EasyDict"): collections.OrderedDict,
    ("dnnlib", "EasyDict"): collections.OrderedDict,
    ("dnnlib.tflib.network", "Network"): Network,  # and so does its type
}


class _Unpickler(torch_file.Unpickler):
    """Resolves the names of `_ALLOWED` and nothing else; keeps the storages that it meets."""

    def __init__(self, stream: BinaryIO, path: Path, storages: dict[str, bytes]):
        super().__init__(stream, path)
        self.storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return torch_file.Function(self._storage)
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        raise UserError(
            f"{self.path}: refused, because the file asks to load '{module}.{name}', and a name "
            "other than those of arrays and networks could run code on this machine."
        )

    def persistent_load(self, identifier: Any) -> Storage:
        raise pickle.UnpicklingError("a storage that is not in the file")

    def _storage(self, data: Any) -> Storage:
        """Returns a storage that `torch.save` has written, in the form of before torch 1.6."""
        if not isinstance(data, bytes):
            raise pickle.UnpicklingError("a storage that is not bytes")
        stream, parts = io.BytesIO(data), []
        for _ in range(5):
            pickle_limits.check(stream)
            parts.append(torch_file.Unpickler(stream, self.path).load())
        magic, protocol, system, storage, keys = parts
        if magic != torch_file.LEGACY_MAGIC or protocol != torch_file.LEGACY_PROTOCOL:
            raise pickle.UnpicklingError("a storage of an unknown form")
        if not isinstance(system, dict) or not system.get("little_endian", True):
            raise pickle.UnpicklingError("a storage of the other byte order")
        if not isinstance(storage, Storage) or keys != [storage.key] or storage.start:
            raise pickle.UnpicklingError("something other than one storage")
        count = int.from_bytes(stream.read(8), "little", signed=True)
        numbers = stream.read()
        if count != storage.count or len(numbers) != count * storage.dtype.itemsize:
            raise pickle.UnpicklingError("a storage of another size than it says")
        return _kept(self.storages, numbers, storage.dtype)


class PickleFile(TorchFile):
    """An open pickle: `contents` is {"G", "D", "G_ema": {name: LazyTensor}}, those that it has."""

    def __init__(self, path: Path):
        super().__init__(path)
        self._storages: dict[str, bytes] = {}
        try:
            with path.open("rb") as stream:
                pickle_limits.check(stream)
                found = _Unpickler(stream, path, self._storages).load()
            networks = _networks(found)
            self.contents = {
                name: dict(self._arrays(network)) for name, network in networks.items()
            }
        except UserError:
            raise
        except Exception as error:  # A damaged pickle can raise nearly anything.
            raise self.damaged(f"{type(error).__name__}: {error}") from error
        if not self.contents:
            raise UserError(
                f"{path}: a pickle without networks that are read here: expected those of "
                "stylegan2-ada, for PyTorch or TensorFlow."
            )

    def read_bytes(self, storage: Storage) -> bytes:
        return self._storages[storage.key]

    def close(self) -> None:
        self._storages.clear()

    def _arrays(self, network: Any) -> Iterator[tuple[str, LazyTensor]]:
        walk = _of_network if isinstance(network, Network) else _of_module
        for count, (name, value) in enumerate(walk(network)):
            if count > _MOST_ENTRIES:
                raise pickle.UnpicklingError("networks with entries without end")
            if len(name) > _LONGEST_NAME:
                raise pickle.UnpicklingError(f"a name of more than {_LONGEST_NAME} characters")
            if isinstance(value, _NumPyArray):
                value = self._tensor(value)
            if isinstance(value, LazyTensor):
                yield name, value

    def _tensor(self, array: _NumPyArray) -> LazyTensor | None:
        dtype = array.kind.dtype()
        if dtype is None:
            return None
        shape = tuple(int(side) for side in array.shape)
        if len(shape) > torch_file.MOST_AXES or not all(0 <= n <= _LARGEST_SIDE for n in shape):
            raise pickle.UnpicklingError("an array of an impossible shape")
        size = math.prod(shape)  # of whole numbers of any length: nothing overflows
        if not isinstance(array.data, bytes) or (
            len(array.data) != size * dtype.itemsize
        ):
            raise pickle.UnpicklingError("an array of another size than it says")
        storage = _kept(self._storages, array.data, dtype)
        stride, steps = 1, []
        for side in shape if array.fortran else shape[::-1]:
            steps.append(stride)
            stride *= side
        steps = steps if array.fortran else steps[::-1]
        return LazyTensor(storage, dtype, 0, shape, tuple(steps))


def _kept(storages: dict[str, bytes], numbers: bytes, dtype: np.dtype) -> Storage:
    key = str(len(storages))
    storages[key] = numbers
    return Storage(key, dtype, 0, len(numbers) // dtype.itemsize)


def _networks(found: Any) -> dict[str, Any]:
    """Returns name -> network of what a file holds."""
    if isinstance(found, Network):
        return {"G_ema": found}
    if isinstance(found, tuple) and len(found) == 3:
        return {
            name: one for name, one in zip(_NETWORKS, found, strict=True)
            if isinstance(one, Network)
        }
    if isinstance(found, dict):
        return {
            name: found[name] for name in _NETWORKS
            if isinstance(found.get(name), Module | Network)
        }
    return {}


def _of_module(module: Module, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yields dotted name -> entry (array, module or other) of a module and those within it.

    A module is met once for every path to it, of which few modules can have a great many.
    """
    _check_depth(depth)
    for kind in ("_parameters", "_buffers"):
        yield from _items(module.state.get(kind))
    for name, part in _items(module.state.get("_modules")):
        yield name, part
        if isinstance(part, Module):
            for inner, value in _of_module(part, depth + 1):
                yield f"{name}.{inner}", value


def _of_network(network: Network, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yields slash-separated name -> entry of a network and its components, likewise."""
    _check_depth(depth)
    for name, value in network.state.get("variables", ()):
        yield _text(name), value
    for name, part in _items(network.state.get("components")):
        yield name, part
        if isinstance(part, Network):
            for inner, value in _of_network(part, depth + 1):
                yield f"{name}/{inner}", value


def _items(found: Any) -> Iterator[tuple[str, Any]]:
    for key, value in found.items() if isinstance(found, dict) else ():
        yield _text(key), value


def _text(name: Any) -> str:
    if not isinstance(name, str):  # As text, a tuple can be far larger than it is.
        raise pickle.UnpicklingError("a name that is no text")
    return name


def _check_depth(depth: int) -> None:
    if depth > _DEEPEST:
        raise pickle.UnpicklingError("networks within networks without end")
