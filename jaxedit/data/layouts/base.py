"""What recognising a published data set gives, and how folders are looked up."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from jaxedit.data.classes import Classes
from jaxedit.data.items import Item, by_stem
from jaxedit.errors import UserError


@dataclasses.dataclass(frozen=True)
class Layout:
    """A data set that was recognised.

    Attributes:
      name: what it is called.
      items: its images.
      has_split: `items` are those of the split asked for; otherwise a share is to be held out.
      classes: what the numbers of its label maps mean; None where it has none.
    """

    name: str
    items: list[Item]
    has_split: bool
    classes: Classes | None = None


def sub_folder(folder: pathlib.Path, *names: str) -> pathlib.Path | None:
    """Returns the sub-folder with the first of these names that exists, whatever its case."""
    present = sub_folders(folder)
    return next((present[name] for name in names if name in present), None)


def sub_folders(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Returns lower-case name -> path of the sub-folders; none where there is no such folder."""
    if not folder.is_dir():
        return {}
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be listed: {error.strerror}.") from error
    return {name.lower(): folder / name for name in names}


def labelled(
    name: str,
    folders: Mapping[str, pathlib.Path | None],
    *,
    common: Callable[[str, str], str | None] = lambda key, stem: stem,
    prefix: str = "",
    readers: Mapping[str, Callable[..., Any]] | None = None,
) -> list[Item]:
    """Returns the images of a data set with label maps, each with the files that belong to it.

    Args:
      name: of the data set, for messages.
      folders: record key -> where its files lie; `image` and `label` must be there, others may be
        None. What has no counterpart among the images is left out.
      common: (record key, stem) -> what the names of one picture's files have in common; None
        where a file is of no interest.
      prefix: of the ids.
      readers: see `Item`; those of keys that are there.

    Raises:
      UserError: a folder is missing or empty, or no label map belongs to an image.
    """
    for key in ("image", "label"):
        if folders.get(key) is None:
            other = folders["label" if key == "image" else "image"]
            raise UserError(
                f"{other} looks like part of {name}, but its {key}s are missing. Put them beside "
                f"it as {name} has them, or use the plain form: images/, labels/ and classes.json."
            )
    tables = {}
    for key, folder in folders.items():
        if folder is not None:
            found = ((common(key, stem), path) for stem, path in by_stem(folder).items())
            tables[key] = {stem: path for stem, path in found if stem is not None}
    items = []
    for stem, path in sorted(tables["image"].items()):
        files = {key: table[stem] for key, table in tables.items() if stem in table}
        own = {key: reader for key, reader in (readers or {}).items() if key in files}
        identity = prefix + stem.replace(os.sep, "/")
        items.append(Item(identity, identity, files | {"image": path}, readers=own))
    if not items:
        raise UserError(f"{folders['image']} looks like part of {name}, but holds no image.")
    if not any("label" in item.files for item in items):
        raise UserError(
            f"No label map in {folders['label']} belongs to an image in {folders['image']}, as "
            f"their names are in {name}; the first image is {items[0].id!r}."
        )
    return items
