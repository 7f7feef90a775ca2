"""Folders of photographs: which files count, and where results may lie beside or below them.

What jaxedit has written is no photograph: sheets, maps and previews tell it themselves, a folder of
results below the photographs is marked when the first one is written (`data.own_files`), and among
the photographs none are written.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Collection, Iterable, Sequence

from jaxedit.data import items, own_files
from jaxedit.errors import UserError

Path = pathlib.Path


def pictures_by_stem(
    folder: Path, without: Sequence[Path] = (), say: Callable[[str], None] = lambda line: None,
    kinds: Collection[str] = (),
) -> dict[str, Path]:
    """Returns path below `folder` without the suffix -> image file.

    Args:
      folder: where to look.
      without: folders; what lies below them does not count, and nothing is said of it.
      say: is told of files and folders that jaxedit has written and that are left out.
      kinds: of `own_files`, those that count nevertheless.

    Raises:
      UserError: there is none, or two differ in the suffix alone.
    """
    found: dict[str, Path] = {}
    # A folder that holds both is of itself no reason to find nothing.
    others = [o for o in (path.resolve() for path in without) if folder.resolve() in o.parents]
    apart = lambda path: any(Path(path).resolve().is_relative_to(other) for other in others)
    of_results: list[str] = []
    ours: list[Path] = []
    for name in items.find_images(folder, found_results=of_results.append):
        path = folder / name
        if apart(path):
            continue
        kind = own_files.kind_of(path)
        if kind is not None and kind not in kinds:
            ours.append(path)
            continue
        stem = items.same(os.path.splitext(name)[0])
        if stem in found:
            raise UserError(
                f"{found[stem]} and {path.name} have the same name but for the suffix, "
                "so their partner cannot be told. Rename one of them."
            )
        found[stem] = path
    for path in of_results:
        if not apart(path):
            say(items.of_results(path))
    if ours:
        others_too = f" and {len(ours) - 1} more in {folder}" if len(ours) > 1 else ""
        say(f"{ours[0]}{others_too}: written by jaxedit as sheets, maps or previews, and left out.")
    if not found:
        raise UserError(f"The folder {folder} holds no image file"
                        f"{' but what jaxedit has written' if ours or of_results else ''}.")
    return found


def check_apart(output: Path, folders: Sequence[Path], results: Iterable[Path] = ()) -> None:
    """Raises UserError where results would lie among photographs, and none could tell them apart.

    Args:
      output: the folder of results.
      folders: of photographs and their companions.
      results: all that are to be written.
    """
    place = output.resolve()
    above = [path.resolve().parents for path in results]
    for folder in folders:
        root = folder.resolve()
        astray = root not in place.parents and any(root in parents for parents in above)
        if place == root or astray:
            raise UserError(
                f"Results would lie among the files of {folder}, and the next command on that "
                f"folder would take them for its own. Name another, such as {folder}-results."
            )


def is_below(output: Path, folders: Sequence[Path], results: Iterable[Path]) -> bool:
    """Returns whether a folder of results lies below one of photographs, and so is to be marked.

    Arguments as of `check_apart`.

    Raises:
      UserError: `output` holds other pictures, which would not be found any more if it is marked.
    """
    place, roots = output.resolve(), [folder.resolve() for folder in folders]
    above = [folder for folder in folders if own_files.lies_below(output, folder)]
    if not above or own_files.holds_results(output) or not output.is_dir():
        return bool(above)
    written = {path.resolve() for path in results}
    inputs = [root for root in roots if place in root.parents]
    for name in items.find_images(output):
        path = (output / name).resolve()
        of_input = any(root in path.parents for root in inputs)
        if path not in written and not of_input and own_files.kind_of(path) is None:
            raise UserError(
                f"{output} lies below {above[0]} and holds pictures that this command does not "
                f"write, such as {name}. With results among them none could be told from the "
                "other: choose a new folder. If all are results, make an empty file "
                f"{output / own_files.FOLDER_MARK}, and commands leave that folder out."
            )
    return True
