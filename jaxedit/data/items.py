"""What a folder of images holds: one item per image, with the files that belong to it."""

from __future__ import annotations

import dataclasses
import os
import pathlib

from jaxedit.data import images
from jaxedit.errors import UserError


@dataclasses.dataclass(frozen=True)
class Item:
    """One image and its companions.

    Attributes:
      id: unique in the source: the stem, or with the suffix where two images share a stem.
      stem: the image's path below images/, without the suffix.
      files: record key -> file.
      caption: what the image shows, or None.
      kind: what kind of subject it shows, or None.
    """

    id: str
    stem: str
    files: dict[str, str]
    caption: str | None = None
    kind: str | None = None

    @property
    def keys(self) -> set[str]:
        """Returns the record keys that the item has."""
        told = {"caption": self.caption, "kind": self.kind}
        return {"id", *self.files} | {key for key, value in told.items() if value is not None}

    def only(self, keys: frozenset[str] | None) -> Item:
        """Returns the item with what `keys` asks for; None asks for everything."""
        if keys is None:
            return self
        return dataclasses.replace(
            self,
            files={key: path for key, path in self.files.items() if key in keys},
            caption=self.caption if "caption" in keys else None,
            kind=self.kind if "kind" in keys else None,
        )


def find_images(root: pathlib.Path, *, without: tuple[str, ...] = ()) -> list[str]:
    """Returns the image files below `root`, sorted, as paths relative to it.

    Hidden files and folders are passed over, and the sub-folders of `root` named in `without`.

    Raises:
      UserError: a folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise UserError(f"The folder {error.filename} cannot be listed: {error.strerror}.")

    found = []
    for folder, folders, files in os.walk(root, onerror=refuse):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and not (name in without and folder == str(root))
        )
        for name in sorted(files):
            if not name.startswith(".") and name.lower().endswith(images.SUFFIXES):
                found.append(os.path.relpath(os.path.join(folder, name), root))
    return found


def by_stem(folder: pathlib.Path) -> dict[str, str]:
    """Returns stem -> path of the image files below `folder`."""
    return {os.path.splitext(name)[0]: os.path.join(folder, name) for name in find_images(folder)}
