"""ADE20K as prepared for scene parsing (Zhou et al., 2017), read by `folder:PATH` where it lies.

    images/{training,validation}/ID.jpg              PATH, or PATH/ADEChallengeData2016
    annotations/{training,validation}/ID.png         index maps, 0 = none of the 150 classes
    objectInfo150.txt                                the names of the classes, optional

`training` and `validation` are the splits `train` and `eval`.
"""

from __future__ import annotations

import pathlib

from jaxedit.data.classes import Classes, of_names
from jaxedit.data.layouts.base import Layout, labelled, sub_folder
from jaxedit.errors import UserError

NAME = "ADE20K"
COUNT = 150
_NAMES = "objectInfo150.txt"


def find(root: pathlib.Path, split: str) -> Layout | None:
    """Returns the data set in `root`, or None where it is none.

    Raises:
      UserError: it nearly has the form above; the message says what is missing.
    """
    base = sub_folder(root, "adechallengedata2016") or root
    photographs, truth = sub_folder(base, "images"), sub_folder(base, "annotations")
    if not truth or not sub_folder(truth, "training", "validation"):
        return None
    if not photographs:
        raise UserError(f"{base} looks like {NAME}: it has annotations/ but no images/.")
    wanted = {"train": ("training",), "eval": ("validation",)}.get(
        split, ("training", "validation")
    )
    items = [
        item
        for part in wanted
        for item in labelled(
            NAME, {"image": sub_folder(photographs, part), "label": sub_folder(truth, part)}
        )
    ]
    return Layout(NAME, items, True, classes(base))


def classes(base: pathlib.Path) -> Classes:
    """Returns the 150 classes, with their names where `objectInfo150.txt` is there.

    Raises:
      UserError: that file is damaged.
    """
    path = base / _NAMES
    names = [f"class {number}" for number in range(1, COUNT + 1)]
    if path.exists():
        try:
            rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
            # A name is followed by its synonyms.
            found = {int(row[0]): row[-1].split(",")[0].strip() for row in rows if row[0].strip()}
            names = [found[number] for number in range(1, COUNT + 1)]
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise UserError(
                f"{path} is damaged ({error!r}): it should hold a heading and {COUNT} lines, from "
                "the number of a class to its name. Restore or remove it."
            ) from error
    # Some classes bear the same first name.
    seen = [name if names.count(name) == 1 else f"{name} {place + 1}"
            for place, name in enumerate(names)]
    return of_names(seen, numbers=tuple(range(1, COUNT + 1)), ignored=(0,))
