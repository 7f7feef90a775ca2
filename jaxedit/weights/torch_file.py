"""Torch checkpoint files without torch: a restricted unpickler and lazily read storages.

A torch file is a pickle that refers to storages (flat arrays of numbers) by persistent ids. Since
torch 1.6 both lie in a zip archive (`data.pkl`, `data/<key>`); before that they follow each other
in one stream of five pickles and raw bytes. A pickle may call any importable function, so only
the few names that rebuild a tensor are resolved here, and some that stand for what training has
noted; each of them is an object of ours that cannot be altered by the pickle. Nothing else is ever
imported or called.
"""

from __future__ import annotations

import abc
import collections
import io
import math
import pickle
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import ml_dtypes
import numpy as np

from jaxedit.errors import UserError
from jaxedit.weights import pickle_limits

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
# How a stream of the form before torch 1.6 starts: the pickled magic number.
LEGACY_START = pickle.dumps(LEGACY_MAGIC, protocol=2)

_STORAGES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
    "UntypedStorage": np.uint8,
}
_DTYPES = {
    "float64": np.float64, "double": np.float64,
    "float32": np.float32, "float": np.float32,
    "float16": np.float16, "half": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "int64": np.int64, "long": np.int64,
    "int32": np.int32, "int": np.int32,
    "int16": np.int16, "short": np.int16,
    "int8": np.int8, "uint8": np.uint8, "bool": np.bool_,
    "uint16": np.uint16, "uint32": np.uint32, "uint64": np.uint64,
}  # fmt: skip

_REPEATED_LIMIT = 1 << 24  # elements of a tensor that repeats its storage
_ROOM = 1 << 28  # bytes that all tensors together may take beyond four times the file
MOST_AXES = 32


class DType(NamedTuple):
    """A torch storage class or dtype by the NumPy dtype of its elements."""

    dtype: np.dtype


class Storage(NamedTuple):
    """A flat array in the file: elements `start` to `start + count` of the storage `key`."""

    key: str
    dtype: np.dtype
    start: int
    count: int


class LazyTensor(NamedTuple):
    """A tensor whose numbers have not been read: a strided view of a storage (in elements)."""

    storage: Storage
    dtype: np.dtype
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class Function:
    """A function that a pickle may call and cannot change (it may set attributes of objects)."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]):
        object.__setattr__(self, "_function", function)

    def __call__(self, *args):
        return self._function(*args)

    def __setattr__(self, name, value):
        raise AttributeError(f"{name} of a torch function cannot be set by a file")


def _rebuild_tensor(storage, offset, size, stride, *unused):
    return _rebuild_tensor_v3(storage, offset, size, stride, False, None, storage, *unused)


def _rebuild_tensor_v3(storage, offset, size, stride, requires_grad, hooks, dtype, *unused):
    del requires_grad, hooks, unused
    if not isinstance(storage, Storage) or not isinstance(dtype, DType | Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    return LazyTensor(storage, dtype.dtype, int(offset), _integers(size), _integers(stride))


def _rebuild_parameter(data, *unused):
    if not isinstance(data, LazyTensor):
        raise pickle.UnpicklingError("a parameter that is no tensor")
    return data


def _integers(values) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


class Ignored:
    """In the place of what training has noted beside the arrays, which nothing here reads."""

    __slots__ = ()

    def __setstate__(self, state):
        del state


# What checkpoints of PyTorch Lightning hold beside their `state_dict`, and the numbers in it; none
# of these is imported, called or kept.
_NOTES = (
    ("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"),
    ("pytorch_lightning.callbacks.early_stopping", "EarlyStopping"),
    ("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar"),
    ("numpy", "dtype"), ("_codecs", "encode"),
)
ALLOWED: dict[tuple[str, str], Any] = {
    **{name: Function(lambda *unused: Ignored()) for name in _NOTES},
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor"): Function(_rebuild_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Function(_rebuild_tensor),
    ("torch._utils", "_rebuild_tensor_v3"): Function(_rebuild_tensor_v3),
    ("torch._utils", "_rebuild_parameter"): Function(_rebuild_parameter),
    ("torch._utils", "_rebuild_parameter_with_state"): Function(_rebuild_parameter),
    ("torch", "Size"): Function(_integers),
}
for _module in ("torch", "torch.cuda", "torch.storage"):
    for _name, _type in _STORAGES.items():
        ALLOWED[_module, _name] = DType(np.dtype(_type))
for _name, _type in _DTYPES.items():
    ALLOWED["torch", _name] = DType(np.dtype(_type))


class Unpickler(pickle.Unpickler):
    """Resolves the names of `ALLOWED` and nothing else."""

    def __init__(self, stream: BinaryIO, path: Path):
        # Files of Python 2 hold byte strings where their keys are meant.
        super().__init__(stream, encoding="utf-8")
        self.path = path

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        raise UserError(
            f"{self.path}: refused, because the file asks to load '{module}.{name}', and a name "
            "other than those that rebuild arrays could run code on this machine. If you trust "
            "its author, load it with torch and save only the arrays: "
            "torch.save(model.state_dict(), FILE)."
        )

    def persistent_load(self, identifier: Any) -> Storage:
        kind, storage_type, key, _, count, *view = identifier
        if (kind, type(storage_type), type(key)) != ("storage", DType, str):
            raise pickle.UnpicklingError("an unknown persistent id")
        if view and view[0] is not None:
            _, start, count = view[0]
            return Storage(key, storage_type.dtype, int(start), int(count))
        return Storage(key, storage_type.dtype, 0, int(count))


class TorchFile(abc.ABC):
    """An open torch file: `contents` is what was pickled, with a LazyTensor for every tensor."""

    def __init__(self, path: Path):
        self.path = path
        self.contents: Any = None

    @abc.abstractmethod
    def close(self) -> None:
        """Closes the file."""

    @abc.abstractmethod
    def read_bytes(self, storage: Storage) -> bytes:
        """Returns the bytes of `storage`."""

    def check_sizes(self, tensors: Iterable[LazyTensor]) -> None:
        """Raises UserError where tensors would take far more memory than the file holds.

        To be called before any is read: repeated storages can make gigabytes of a few bytes.
        """
        total, limit = 0, 4 * self.path.stat().st_size + _ROOM
        for tensor in tensors:
            if len(tensor.size) > MOST_AXES:
                raise self.damaged(f"a tensor has {len(tensor.size)} axes")
            # An empty tensor takes nothing, but its other sides are asked for.
            total += math.prod(max(1, side) for side in tensor.size) * tensor.dtype.itemsize
        if total > limit:
            size = min(total, 2**90) / 2**30  # of more, no float can be made
            raise self.damaged(
                f"its tensors would take {size:.1f} GiB, far more than the file holds"
            )

    def read(self, tensor: LazyTensor) -> np.ndarray:
        """Returns the numbers of `tensor` as a contiguous array.

        Raises:
          UserError: the tensor reaches outside of its storage, or the storage is damaged.
        """
        storage = tensor.storage
        numbers = (tensor.offset, *tensor.size, *tensor.stride)
        if len(tensor.size) != len(tensor.stride) or not all(0 <= n < 2**48 for n in numbers):
            raise self.damaged("a tensor has an impossible shape")
        # An untyped storage counts bytes, others count elements.
        available = storage.count * storage.dtype.itemsize // tensor.dtype.itemsize
        steps = zip(tensor.size, tensor.stride, strict=True)
        last = tensor.offset + sum((size - 1) * stride for size, stride in steps)
        if 0 in tensor.size:
            return np.zeros(tensor.size, tensor.dtype)
        if last >= available:
            raise self.damaged("a tensor reaches outside of its storage")
        # A few bytes, repeated by strides of zero, could ask for any amount of memory.
        if math.prod(tensor.size) > max(_REPEATED_LIMIT, available):
            raise self.damaged("a tensor is far larger than its storage")
        flat = np.frombuffer(self.read_bytes(storage), tensor.dtype)
        strides = [stride * tensor.dtype.itemsize for stride in tensor.stride]
        view = np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.size, strides)
        return np.array(view, order="C")

    def damaged(self, why: str) -> UserError:
        """Returns the error for a file that cannot be what it claims to be."""
        return UserError(
            f"{self.path}: damaged or not a torch checkpoint ({why}). Download it again."
        )

    def big_endian(self) -> UserError:
        """Returns the error for numbers in the other byte order."""
        return UserError(
            f"{self.path}: written on a big-endian machine. Load and save it with torch first."
        )

    def unpickle(self, stream: BinaryIO) -> Any:
        """Returns the next pickle of `stream`, loaded under the restriction."""
        try:
            pickle_limits.check(stream)
            return Unpickler(stream, self.path).load()
        except UserError:
            raise
        except Exception as error:  # A damaged pickle can raise nearly anything.
            raise self.damaged(f"{type(error).__name__}: {error}") from error


class ZipFile(TorchFile):
    """The form since torch 1.6: a zip archive of uncompressed entries under one folder."""

    def __init__(self, path: Path):
        super().__init__(path)
        try:
            self._archive = zipfile.ZipFile(path)
        except Exception as error:  # A damaged directory can raise nearly anything.
            raise self.damaged(f"its zip directory: {error}") from error
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        names = self._archive.namelist()
        roots = [name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl")]
        if any("/code/" in name for name in names):
            raise UserError(
                f"{self.path}: a TorchScript archive, which holds a program. Save only the arrays: "
                "torch.save(torch.jit.load(FILE).state_dict(), NEW)."
            )
        if not roots:
            raise UserError(
                f"{self.path}: a zip archive, but no torch checkpoint: it has no data.pkl. "
                "Unpack it first if the checkpoint lies inside."
            )
        self._root = min(roots, key=len)
        if f"{self._root}byteorder" in names and self._entry("byteorder") != b"little":
            raise self.big_endian()
        self.contents = self.unpickle(io.BytesIO(self._entry("data.pkl")))

    def _entry(self, name: str, expected_bytes: int | None = None) -> bytes:
        try:
            info = self._archive.getinfo(self._root + name)
            # Compressed entries could unfold to any size, and torch does not write them.
            if info.compress_type != zipfile.ZIP_STORED:
                raise self.damaged(f"entry {name} is compressed")
            if expected_bytes is not None and info.file_size != expected_bytes:
                raise self.damaged(
                    f"entry {name} has {info.file_size} bytes, expected {expected_bytes}"
                )
            return self._archive.read(info)
        except UserError:
            raise
        except Exception as error:  # As above; encryption flags and wrong checksums among it.
            raise self.damaged(f"entry {name}: {error}") from error

    def read_bytes(self, storage: Storage) -> bytes:
        return self._entry(f"data/{storage.key}", storage.count * storage.dtype.itemsize)

    def close(self) -> None:
        self._archive.close()


class LegacyFile(TorchFile):
    """The form before torch 1.6: magic number, protocol, system, contents, keys, raw storages."""

    def __init__(self, path: Path):
        super().__init__(path)
        self._stream = path.open("rb")
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        if self.unpickle(self._stream) != LEGACY_MAGIC:
            raise self.damaged("no magic number")
        if self.unpickle(self._stream) != LEGACY_PROTOCOL:
            raise self.damaged("unknown protocol")
        system = self.unpickle(self._stream)
        if not isinstance(system, dict) or not system.get("little_endian", True):
            raise self.big_endian()
        self.contents = self.unpickle(self._stream)
        keys = self.unpickle(self._stream)
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise self.damaged("its storages have no names")
        self._keys, self._start = keys, self._stream.tell()
        self._places: dict[str, tuple[int, int]] = {}

    def read_bytes(self, storage: Storage) -> bytes:
        if not self._places:
            self._find(storage.dtype.itemsize)
        if storage.key not in self._places:
            raise self.damaged(f"storage {storage.key} is missing")
        place, count = self._places[storage.key]
        if storage.start < 0 or storage.start + storage.count > count:
            raise self.damaged(f"storage {storage.key} has {count} elements")
        self._stream.seek(place + storage.start * storage.dtype.itemsize)
        return self._exactly(storage.count * storage.dtype.itemsize)

    def _find(self, itemsize: int) -> None:
        """Notes where each storage starts. Element sizes come from the tensors that use them."""
        sizes = {storage.key: storage.dtype.itemsize for storage in _storages(self.contents)}
        self._stream.seek(self._start)
        end = self.path.stat().st_size
        for key in self._keys:
            count = int.from_bytes(self._exactly(8), "little", signed=True)
            place = self._stream.tell()
            after = place + count * sizes.get(key, itemsize)
            if count < 0 or after > end:
                raise self.damaged("it ends too early")
            self._places[key] = (place, count)
            self._stream.seek(after)

    def _exactly(self, count: int) -> bytes:
        data = self._stream.read(count) if count >= 0 else b""
        if len(data) != count:
            raise self.damaged("it ends too early")
        return data

    def close(self) -> None:
        self._stream.close()


def _storages(contents: Any) -> list[Storage]:
    """Returns every storage that `contents` refers to, whatever the nesting."""
    found, pending, seen = [], [contents], set()
    while pending:
        item = pending.pop()
        if isinstance(item, LazyTensor):
            found.append(item.storage)
        elif isinstance(item, Storage):
            found.append(item)
        elif isinstance(item, dict | list | tuple | set) and id(item) not in seen:
            seen.add(id(item))
            pending.extend(item.values() if isinstance(item, dict) else item)
            pending.extend(vars(item).values() if hasattr(item, "__dict__") else ())
    return found
