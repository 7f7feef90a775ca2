"""What records hold: kinds of values, and the keys that are declared to hold them.

A kind says how a value is read from a file or from a line of JSON, what makes it valid, and how it
is stored again without loss. A key has a kind and, where it is read from files, a folder of its
own in `folder:PATH`. The usual keys are declared here; a paper declares further ones in its module
`records.py`, which is found by its name, or wherever else it likes before it opens a source:

    records.declare("prompt", "text")
    records.declare("latent", "array", folder="latents")

| kind | value | file |
|---|---|---|
| `image` | uint8 (H, W, 3) RGB | image |
| `colours` | uint8 (H, W, 3) RGB, also where the file is transparent | image |
| `mask` | bool (H, W) | image, white = True |
| `opacity` | uint8 (H, W), 255 = opaque | image |
| `trimap` | uint8 (H, W) in {0, 128, 255} | image |
| `label` | int32 (H, W), class numbers | image, or NPY of whole numbers |
| `array` | numbers of any shape and type | NPY |
| `text` | str | - |
| `number` | int or float | - |
| `attributes` | dict, as JSON can hold it | - |
"""

from __future__ import annotations

import dataclasses
import functools
import io
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from PIL import Image

from jaxedit.data import annotations, images
from jaxedit.data.images import MAX_PIXELS, File
from jaxedit.errors import UserError
from jaxedit.host import modules
from jaxedit.host.names import check_choice, did_you_mean

NPY = ".npy"
# Keys that sources and the pipeline give to every record.
_OWN = ("id", "index")


@dataclasses.dataclass(frozen=True)
class Kind:
    """How the values of a key are read, checked and stored.

    Attributes:
      read: (path or bytes, name=, max_pixels=) -> value; None where no file holds such a value.
      valid: whether a value is of this kind.
      suffixes: of the files that hold one.
      aligned: values have the height and width of the record's image.
    """

    read: Callable[..., Any] | None
    valid: Callable[[Any], bool]
    suffixes: tuple[str, ...] = ()
    aligned: bool = False


@dataclasses.dataclass(frozen=True)
class Key:
    """A key that is declared.

    Attributes:
      name: of the key.
      kind: a key of KINDS.
      folder: of its files in a folder of images; None where it has none.
      aligned: its values have the height and width of the record's image.
    """

    name: str
    kind: str
    folder: str | None
    aligned: bool

    @property
    def told(self) -> bool:
        """Whether values stand in lines of JSON rather than in files."""
        return KINDS[self.kind].read is None


def read_array(file: File, *, name: str | None = None, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Returns the array in an NPY file; `max_pixels` bounds what its header may announce.

    Raises:
      UserError: it cannot be read, holds Python objects or text, or is larger than `max_pixels`
        times 16 bytes.
    """
    called = name or ("an array in memory" if isinstance(file, bytes) else os.fspath(file))
    try:
        content = file if isinstance(file, bytes) else pathlib.Path(file).read_bytes()
        if len(content) > 16 * max_pixels:
            raise UserError(f"{called} holds {len(content)} bytes, too many (max_pixels).")
        array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(
            f"{called} cannot be read as an array: {error}. Write it with numpy.save."
        ) from error
    if array.dtype.kind not in "biuf":
        raise UserError(f"{called} holds {array.dtype}, where numbers are expected.")
    return array


def is_npy(file: File, name: str | None = None) -> bool:
    """Returns whether a file is one of NumPy's, by its first bytes or its name."""
    if isinstance(file, bytes) and file.startswith(b"\x93NUMPY"):
        return True
    return str(name or file).lower().endswith(NPY)


def _read_label(
    file: File, *, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    if not is_npy(file, name):
        return annotations.read_label(file, name=name, max_pixels=max_pixels)
    array = read_array(file, name=name, max_pixels=max_pixels)
    if array.ndim != 2 or array.dtype.kind not in "biu":
        raise UserError(
            f"{name or file} is not a label map: it holds {array.dtype} {array.shape}, where "
            "whole numbers (H, W) are expected."
        )
    # Before the conversion, which would make another class of what does not fit.
    bounds = np.iinfo(np.int32)
    if array.size and (array.min() < bounds.min or array.max() > bounds.max):
        raise UserError(
            f"{name or file} holds the class number {max(array.max(), -array.min())}, which is "
            "none."
        )
    return array.astype(np.int32)


def _is_array(dtype: type, dimensions: int) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, np.ndarray)
        and value.dtype == dtype
        and value.ndim == dimensions
        and (dimensions == 2 or value.shape[2] == 3)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


_IMAGE = images.SUFFIXES
_colours, _flat = _is_array(np.uint8, 3), _is_array(np.uint8, 2)
KINDS: dict[str, Kind] = {
    "image": Kind(annotations.read_flattened, _colours, _IMAGE, True),
    "colours": Kind(annotations.read_foreground, _colours, _IMAGE, True),
    "mask": Kind(images.read_mask, _is_array(np.bool_, 2), _IMAGE, True),
    "opacity": Kind(annotations.read_alpha, _flat, _IMAGE, True),
    "trimap": Kind(annotations.read_trimap, _flat, _IMAGE, True),
    "label": Kind(_read_label, _is_array(np.int32, 2), (*_IMAGE, NPY), True),
    "array": Kind(
        read_array,
        lambda value: isinstance(value, np.ndarray) and value.dtype.kind in "biuf",
        (NPY,),
    ),
    "text": Kind(None, lambda value: isinstance(value, str)),
    "number": Kind(None, _is_number),
    "attributes": Kind(None, lambda value: isinstance(value, dict)),
}
_declared: dict[str, Key] = {}


def declare(
    key: str, kind: str, *, folder: str | None = None, aligned: bool | None = None
) -> None:
    """Makes `key` one that records may hold.

    To declare the same again does nothing, so that a module may be imported twice.

    Args:
      key: a Python name.
      kind: a key of KINDS.
      folder: of its files in `folder:PATH`, by default the key with an s; only for kinds of files.
      aligned: values have the height and width of the image; by default as the kind has it.

    Raises:
      UserError: unknown kind, or the key or the folder is declared otherwise already.
    """
    check_choice(f"The kind of record key {key!r}", kind, KINDS)
    read = KINDS[kind].read
    if not key.isidentifier() or key in _OWN or (read is None and folder is not None):
        raise UserError(
            f"The record key {key!r} (folder {folder!r}) cannot be declared: it must be a Python "
            f"name other than {', '.join(_OWN)}, and only kinds of files have a folder."
        )
    new = Key(
        key, kind, (folder or f"{key}s") if read else None,
        KINDS[kind].aligned if aligned is None else aligned,
    )
    if _declared.setdefault(key, new) != new:
        raise UserError(f"The record key {key!r} is declared already, as {_declared[key]}.")
    others = [old.name for old in _declared.values() if old.folder == new.folder and old != new]
    if new.folder and others:
        del _declared[key]
        raise UserError(f"The folder {new.folder}/ is declared already, for {others[0]!r}.")


declare("image", "image")
declare("mask", "mask")
declare("alpha", "opacity")
declare("trimap", "trimap")
declare("foreground", "colours")
declare("background", "image")
declare("label", "label")
declare("instance", "label")
declare("depth", "array", aligned=True)
declare("caption", "text")
declare("kind", "text")
declare("class_label", "number")
declare("attributes", "attributes")


@functools.cache
def _load_papers() -> None:
    """Imports the module `records` of every paper that has one."""
    for _ in modules.of_each("jaxedit.methods", "records"):
        pass  # each declares its keys when it is imported


def declared() -> dict[str, Key]:
    """Returns name -> key of all that are declared."""
    _load_papers()
    return dict(_declared)


def find(key: str) -> Key:
    """Returns a declared key.

    Raises:
      UserError: there is none of that name.
    """
    known = declared()
    if key not in known:
        raise UserError(
            f"No record key {key!r}. Known: {', '.join((*known, *_OWN))}."
            + did_you_mean(key, known)
        )
    return known[key]


def check_keys(keys: Iterable[str] | None) -> frozenset[str] | None:
    """Returns the record keys asked for, `id` and `image` always among them; None means all.

    `index` is left out: no source has it, the pipeline adds it to every record.

    Raises:
      UserError: there is no such key.
    """
    if keys is None:
        return None
    for key in sorted(set(keys) - set(_OWN)):
        find(key)
    return frozenset(keys) - {"index"} | {"id", "image"}


def check_told(key: Key, value: Any, where: str) -> Any:
    """Returns the value of a key that stands in JSON; text may be a number, true or false too.

    Raises:
      UserError: it is not of the key's kind; `where` is what messages call its place.
    """
    if key.kind == "text" and isinstance(value, str | int | float):
        text = str(value)
        if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
            raise UserError(f"{where}: {key.name!r} holds half of a letter (a lone surrogate).")
        return text
    if not KINDS[key.kind].valid(value):
        raise UserError(f"{where}: {key.name!r} is {value!r}, where {key.kind} is expected.")
    return value


def check(record: Mapping[str, Any], where: str) -> None:
    """Raises UserError unless every value of a record is of its key's kind; `where` names it."""
    for name, value in record.items():
        if name in _OWN:
            continue
        key = find(name)
        if not KINDS[key.kind].valid(value):
            found = (
                f"{value.dtype} {value.shape}"
                if isinstance(value, np.ndarray)
                else type(value).__name__
            )
            raise UserError(f"{where}: {name!r} is {found}, which is no {key.kind}.")
        if key.aligned and value.shape[:2] != record["image"].shape[:2]:
            raise UserError(
                f"{where}: {name!r} has {value.shape[:2]} pixels, its image "
                f"{record['image'].shape[:2]}. Make them the same size."
            )


def to_file(key: Key, value: np.ndarray) -> tuple[str, bytes]:
    """Returns (suffix, bytes) of a file that `KINDS[key.kind].read` reads as exactly `value`."""
    buffer = io.BytesIO()
    if NPY in KINDS[key.kind].suffixes:
        np.save(buffer, value, allow_pickle=False)
        return NPY, buffer.getvalue()
    pixels = value.astype(np.uint8) * 255 if key.kind == "mask" else value
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG")
    return ".png", buffer.getvalue()
