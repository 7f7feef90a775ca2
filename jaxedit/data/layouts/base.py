"""What recognising a published data set gives, and how folders are looked up."""

from __future__ import annotations

import dataclasses
import os
import pathlib

from jaxedit.data.classes import Classes
from jaxedit.data.items import Item
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
