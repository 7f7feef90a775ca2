"""What a folder of images holds: one item per image, with the files that belong to it."""

from __future__ import annotations

import dataclasses
import logging
import os
import pathlib
import unicodedata
from collections.abc import Callable
from typing import Any

from jaxedit.data import images, own_files
from jaxedit.errors import UserError

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Item:
    """One image and its companions.

    Attributes:
      id: unique in the source: the stem, or with the suffix where two images share a stem.
      stem: the image's path below images/, without the suffix.
      files: record key -> file.
      told: record key -> what is not in a file of its own, such as the caption.
      readers: record key -> what reads its file in the place of the key's kind, called like the
        `read` of a kind; for published data sets with files of their own form. Picklable.
    """

    id: str
    stem: str
    files: dict[str, str]
    told: dict[str, Any] = dataclasses.field(default_factory=dict)
    readers: dict[str, Callable[..., Any]] = dataclasses.field(default_factory=dict)

    @property
    def keys(self) -> set[str]:
        """Returns the record keys that the item has."""
        return {"id", *self.files, *self.told}

    def only(self, keys: frozenset[str] | None) -> Item:
        """Returns the item with what `keys` asks for; None asks for everything."""
        if keys is None:
            return self
        return dataclasses.replace(
            self,
            files={key: path for key, path in self.files.items() if key in keys},
            told={key: value for key, value in self.told.items() if key in keys},
        )


def find_images(
    root: pathlib.Path,
    *,
    without: tuple[str, ...] = (),
    suffixes: tuple[str, ...] = images.SUFFIXES,
    found_results: Callable[[str], None] | None = None,
) -> list[str]:
    """Returns the files below `root` with these suffixes, sorted, as paths relative to it.

    Hidden files and folders are passed over, and the sub-folders of `root` named in `without`. So
    are those that hold results of jaxedit (`own_files`): `found_results` gets their paths; without
    it a warning is logged.

    Raises:
      UserError: a folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise UserError(f"The folder {error.filename} cannot be listed: {error.strerror}.")

    found = []
    seen = set()  # links may lead in a circle
    for folder, folders, files in os.walk(root, onerror=refuse, followlinks=True):
        seen.add(os.path.realpath(folder))
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and not (name in without and folder == str(root))
            and os.path.realpath(os.path.join(folder, name)) not in seen
        )
        for path in [os.path.join(folder, name) for name in folders]:
            if own_files.holds_results(path):
                folders.remove(os.path.basename(path))
                (found_results or _tell_of_results)(path)
        for name in sorted(files):
            if not name.startswith(".") and name.lower().endswith(suffixes):
                found.append(os.path.relpath(os.path.join(folder, name), root))
    return found


def _tell_of_results(folder: str) -> None:
    _log.warning("%s", of_results(folder))


def of_results(folder: str | os.PathLike) -> str:
    """Returns a line that says why a folder is left out."""
    return (f"{folder} holds results of jaxedit and is left out; {own_files.FOLDER_MARK} in it "
            "says so.")


def by_stem(
    folder: pathlib.Path, suffixes: tuple[str, ...] = images.SUFFIXES
) -> dict[str, str]:
    """Returns stem -> path of the files below `folder` with these suffixes."""
    names = find_images(folder, suffixes=suffixes)
    return {os.path.splitext(name)[0]: os.path.join(folder, name) for name in names}


def same(name: str) -> str:
    """Returns a file's name as it is compared: composed, though some file systems take it apart."""
    return unicodedata.normalize("NFC", name)


def subfolder(root: pathlib.Path, name: str) -> pathlib.Path:
    """Returns the folder `name` in `root`, or the one that is written in other cases (Masks/)."""
    if (root / name).is_dir():
        return root / name
    others = [path for path in root.iterdir() if path.name.lower() == name and path.is_dir()]
    return others[0] if len(others) == 1 else root / name


def companions_of(folder: pathlib.Path, suffixes: tuple[str, ...]) -> dict[str, str]:
    """Returns stem (see `same`) -> path of the files below `folder`; of one stem, the last."""
    found: dict[str, str] = {}
    for name in find_images(folder, suffixes=suffixes):
        stem, path = same(os.path.splitext(name)[0]), os.path.join(folder, name)
        if stem in found:
            _log.warning("%s is not looked at: %s has the same stem.", found[stem], path)
        found[stem] = path
    return found
