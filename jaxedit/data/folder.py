"""The source `folder:PATH`: a folder of the user's own images, and what belongs to them.

    PATH/images/...            the images, in sub-folders too; or image files directly in PATH
    PATH/masks/...             white = hole        \\
    PATH/alphas/...            opacity             |  optional; the same path and stem as the
    PATH/trimaps/...           0, 128, 255         |  image, the suffix may differ
    PATH/foregrounds/...       subject's colours   |
    PATH/backgrounds/...       what is behind it   |
    PATH/labels/...            class numbers       |
    PATH/KEYs/...              any declared key    /
    PATH/captions.jsonl        optional; one {"id": stem, "caption": text} per line; captions may
                               stand in other forms too, see `captions.py`
    PATH/manifest.jsonl        optional; one {"id": stem, "kind": group, ...} per line
    PATH/classes.json          optional; describes the numbers in labels/, see `classes.py`

The lines of both files may hold any declared text, number or attributes; where both have the same,
captions.jsonl counts. `records.py` tells the kinds, the declared keys and their folders. With a
classes.json, label maps may be index or palette images, or maps of the colours that it gives, and
records number the classes in its order, 255 where a pixel has none.

A share of the images, chosen by a hash of the stem, is kept for evaluation. Folders PATH/train and
PATH/eval of the same form, where they exist, replace that rule.

Published data sets are read in their own forms, see `layouts/`.

Corrupt or empty files are named and skipped.
"""

from __future__ import annotations

import json
import logging
import os
import pathlib
from collections import Counter
from typing import Any

import numpy as np

from jaxedit.data import captions, classes, images, layouts, records
from jaxedit.data import rows as rows_of
from jaxedit.data.items import Item, companions_of, find_images, same, subfolder
from jaxedit.data.sources import EmptySplit, Record, Source, combined, split_by_hash
from jaxedit.errors import UserError
from jaxedit.host import json_text

OPTIONS = (
    "keys", "holdout", "max_bad_share", "max_pixels", "check_headers", "cache_mb", "invert_masks",
)  # fmt: skip
# Lines of JSON about the images -> the key that each line must have; the first file counts most.
_ROWS = {"captions.jsonl": "caption", "manifest.jsonl": None}
_log = logging.getLogger(__name__)


class FolderSource(Source):
    """Records of a folder; see the module for its form.

    Args:
      root: the folder.
      split: `train`, `eval` or `all`.
      keys: the record keys to read, such as ("image",): an image without one of them is bad.
        None reads whatever is there, so records may differ in their keys.
      holdout: about the share of the images kept for evaluation.
      max_bad_share: more bad files than this share are an error; a single one never is.
      max_pixels: larger images are bad files.
      check_headers: look into at most this many files when the folder is opened.
      cache_mb: keep decoded images in memory up to this many megabytes.
      invert_masks: masks/ are black where the hole is.

    Raises:
      UserError: no such folder, no image in it, none for this split, or too many bad files.
    """

    def __init__(
        self,
        root: str | os.PathLike,
        split: str,
        *,
        keys: tuple[str, ...] | None = None,
        holdout: float = 0.1,
        max_bad_share: float = 0.1,
        max_pixels: int = images.MAX_PIXELS,
        check_headers: int = 10_000,
        cache_mb: float = 256,
        invert_masks: bool = False,
    ):
        super().__init__(f"folder:{root}", max_bad_share)
        if not 0 < holdout < 1:
            raise UserError(f"holdout is {holdout}; it must lie between 0 and 1, such as 0.1.")
        self.root = pathlib.Path(root)
        self.keys = records.check_keys(keys)
        self.max_pixels = max_pixels
        self.invert_masks = invert_masks
        self._cache: dict[int, Record] = {}
        self._cache_bytes = self._cache_left = int(cache_mb * 2**20)
        if not self.root.is_dir():
            kind = "is not a folder" if self.root.exists() else "does not exist"
            raise UserError(f"The data folder {self.root} {kind}. Check the path.")
        self._classes = _read_classes(self.root / "classes.json")
        self.label_classes = classes_or_none(self._classes)
        found = self._find(split, holdout)
        self._listed = len(found)
        self._items = self._usable(found, check_headers)
        if not self._items:
            reasons = "; ".join(list(self.skipped.values())[:3])
            raise UserError(
                f"{self.description}: no image can be read of the {len(found)} of split {split!r}. "
                f"{reasons}"
            )

    def __len__(self) -> int:
        return len(self._items)

    @property
    def listed(self) -> int:
        return self._listed

    @property
    def classes(self) -> Any:
        return self._classes

    @property
    def items(self) -> tuple[Item, ...]:
        """Returns what the records are made of, in their order."""
        return tuple(self._items)

    def fingerprint(self) -> str:
        told = (json.dumps([one.id, one.files, one.told], default=str) for one in self._items)
        return combined(super().fingerprint(), *told)

    def name(self, index: int) -> str:
        return self._items[index].files["image"]

    def _find(self, split: str, holdout: float) -> list[Item]:
        layout = None
        if not (self.root / "images").is_dir() or layouts.beside_images(self.root):
            layout = layouts.find(self.root, split)
        if layout is not None and layout.classes is not None and self._classes is None:
            self._classes, self.label_classes = layout.classes.describe(), layout.classes
        if layout is not None and layout.has_split:
            return [item.only(self.keys) for item in layout.items]
        if layout is not None:
            return self._share([item.only(self.keys) for item in layout.items], split, holdout)
        parts = [self.root / part for part in ("train", "eval")]
        if all(part.is_dir() for part in parts):
            wanted = [part for part in parts if split in (part.name, "all")]
            items = []
            for part in wanted:
                prefix = f"{part.name}/" if split == "all" else ""
                items += self._items_of(part, prefix)
            return items
        for part, other in (parts, parts[::-1]):
            if part.is_dir() and not (self.root / "images").is_dir():
                raise UserError(
                    f"{self.root} has a folder {part.name}/ but no {other.name}/. Add it, or "
                    "rename the one to images/ to have the split made by itself."
                )
        return self._share(self._items_of(self.root, ""), split, holdout)

    def _share(self, items: list[Item], split: str, holdout: float) -> list[Item]:
        """Returns the items of one side of the split that is made by a hash of the stem."""
        chosen = split_by_hash([item.stem for item in items], split, holdout)
        if not chosen:
            raise EmptySplit(
                f"{self.root} holds too few images ({len(items)}) to keep any for split {split!r}. "
                "Add images, or use split 'all'."
            )
        return [items[position] for position in chosen]

    def _items_of(self, root: pathlib.Path, prefix: str) -> list[Item]:
        """Returns the items of one folder of the form above, by name."""
        has_images = subfolder(root, "images").is_dir()
        image_root = subfolder(root, "images") if has_images else root
        known = records.declared().values()
        folders = {key.folder: key for key in known if not key.told and key.name != "image"}
        others = () if has_images else tuple(subfolder(root, name).name for name in folders)
        names = find_images(image_root, without=others)
        if not names:
            raise UserError(
                f"No image found in {image_root}. Put images there ({', '.join(images.SUFFIXES)})."
            )
        stems = [os.path.splitext(name)[0] for name in names]
        repeated = {stem for stem, count in Counter(stems).items() if count > 1}
        wanted = lambda key: self.keys is None or key in self.keys
        companions = {
            key.name: companions_of(subfolder(root, folder), records.KINDS[key.kind].suffixes)
            for folder, key in folders.items()
            if subfolder(root, folder).is_dir() and wanted(key.name)
        }
        told = [key for key in known if key.told and wanted(key.name)]
        rows = [rows_of.read(root / file, told, needed) for file, needed in _ROWS.items()]
        others = captions.read(
            root, [pathlib.Path(image_root, name) for name in names], names
        ) if any(key.name == "caption" for key in told) else {}
        items = []
        for name, stem in zip(names, stems, strict=True):
            files = {"image": os.path.join(image_root, name)}
            files |= {
                key: table[same(stem)] for key, table in companions.items() if same(stem) in table
            }
            identity = (name if stem in repeated else stem).replace(os.sep, "/")
            values: dict[str, Any] = {}
            for table in (others, *reversed(rows)):
                values |= rows_of.find(table, stem, name, identity)
            values = {key.name: values[key.name] for key in told if key.name in values}
            items.append(Item(prefix + identity, prefix + stem, files, values))
        for key, table in companions.items():
            if left := sorted(table.keys() - {same(stem) for stem in stems}):
                _log.warning(
                    "%s: %d of %d files belong to no picture of the same name, the first is %s.",
                    subfolder(root, records.find(key).folder), len(left), len(table),
                    table[left[0]],
                )
        for table, file in zip(rows, _ROWS, strict=True):
            rows_of.tell_unused(table, root / file, zip(stems, names, strict=True))
        return items

    def _usable(self, found: list[Item], check_headers: int) -> list[Item]:
        """Returns the items that have what `keys` asks for and, for the first ones, open."""
        usable = []
        for position, item in enumerate(found):
            missing = sorted((self.keys or set()) - item.keys)
            try:
                if missing:
                    raise UserError(
                        f"{item.files['image']} has no {missing[0]}, which was asked for (keys)."
                    )
                if position < check_headers:
                    for file in item.files.values():
                        if not file.lower().endswith(records.NPY):
                            images.check_header(file, max_pixels=self.max_pixels)
            except UserError as error:
                self.count_bad(item.files["image"], str(error))
                continue
            usable.append(item)
        return usable

    def _read(self, index: int) -> Record:
        record = self._cache.get(index)
        if record is None:
            item = self._items[index]
            record = read_item(
                item,
                max_pixels=self.max_pixels,
                invert_masks=self.invert_masks,
                label_classes=self.label_classes,
            )
            arrays = [value for value in record.values() if isinstance(value, np.ndarray)]
            for array in arrays:
                array.flags.writeable = False
            size = sum(array.nbytes for array in arrays)
            with self._lock:
                if size <= self._cache_left and index not in self._cache:
                    self._cache_left -= size
                    self._cache[index] = record
        return dict(record)

    def __getstate__(self) -> dict:
        return dict(super().__getstate__(), _cache={}, _cache_left=self._cache_bytes)


def create(argument: str, split: str, **options: Any) -> FolderSource:
    """Returns the source of the folder `argument`."""
    return FolderSource(os.path.expanduser(argument), split, **options)


def read_item(
    item: Item,
    *,
    max_pixels: int = images.MAX_PIXELS,
    invert_masks: bool = False,
    contents: dict[str, bytes] | None = None,
    label_classes: classes.Classes | None = None,
) -> Record:
    """Returns the record of an item, from its files or from their `contents` in memory.

    Args:
      item: what the record is made of.
      max_pixels: larger images are refused.
      invert_masks: masks are black where the hole is.
      contents: record key -> bytes of the file, where they are in memory already.
      label_classes: what the numbers or colours of a label map mean; None hands numbers on.

    Raises:
      UserError: a file cannot be read, or its size differs from the image's.
    """
    record: Record = {}
    for name, path in item.files.items():
        key = records.find(name)
        options: dict = {"name": path, "max_pixels": max_pixels}
        if name == "mask":
            options["invert"] = invert_masks
        content = path if contents is None else contents[name]
        read = item.readers.get(name, records.KINDS[key.kind].read)
        if name == "label" and label_classes is not None:
            read = label_classes.read
        record[name] = read(content, **options)
        if key.aligned and record[name].shape[:2] != record["image"].shape[:2]:
            raise UserError(
                f"{path} has {_size(record[name])} pixels, but its image {item.files['image']} has "
                f"{_size(record['image'])}. Make them the same size."
            )
    return record | item.told | {"id": item.id}


def _size(array: np.ndarray) -> str:
    return " x ".join(str(side) for side in array.shape[1::-1])


def classes_or_none(description: Any) -> classes.Classes | None:
    """Returns the classes that a folder describes; None where it describes none that are known.

    Who needs label maps asks `classes.of_source`, which says what is wrong with a description.
    """
    try:
        return None if description is None else classes.parse(description, "classes.json")
    except UserError:
        return None


def _read_classes(path: pathlib.Path) -> Any:
    if not path.exists():
        return None
    try:
        return json_text.loads(rows_of.read_text(path))
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}.") from error
