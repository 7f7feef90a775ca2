"""CamVid (Brostow et al., 2008): road scenes from a car, read by `folder:PATH` where they lie.

    With eleven classes, as prepared for SegNet
      train/NAME, trainannot/NAME, val/, valannot/, test/, testannot/    index maps, 11 = void
    As published
      701_StillsRaw_full/NAME.png, LabeledApproved_full/NAME_L.png       colour maps of 32 classes

The published 32 classes are gathered into the same eleven. Of the first form `train` and `val` are
the split `train`, and `test` is `eval`; the second states no split. Upper and lower case are the
same in names of folders. To divide by drives instead, `held_out:0006R0:folder:PATH` (`parts.py`).
CamVid has no depth and no instances.
"""

from __future__ import annotations

import pathlib

from jaxedit.data.classes import of_names
from jaxedit.data.layouts.base import Layout, labelled, sub_folders
from jaxedit.data.sources import EmptySplit

NAME = "CamVid"
# Colours of the published 32 classes beside that of the class into which they are gathered.
_GATHERED = {
    "building": ((0, 128, 64), (64, 192, 0), (64, 0, 64), (192, 0, 128)),
    "pole": ((0, 0, 64),),
    "road": ((128, 0, 192), (192, 0, 64)),
    "pavement": ((0, 0, 192), (64, 192, 128), (128, 128, 192)),
    "tree": ((192, 192, 0),),
    "sign": ((128, 128, 64), (0, 64, 64)),
    "car": ((64, 128, 192), (192, 128, 192), (192, 64, 128), (128, 64, 64)),
    "pedestrian": ((192, 128, 64), (64, 0, 192), (64, 128, 64)),
    "bicyclist": ((192, 0, 192),),
}
_NAMES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian",
    "bicyclist",
)  # fmt: skip
CLASSES = of_names(
    _NAMES,
    colours=((128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222),
             (128, 128, 0), (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0),
             (0, 128, 192)),
    ignored=(11,),
    other_colours=tuple(
        (colour, _NAMES.index(name)) for name, colours in _GATHERED.items() for colour in colours
    ),
)  # fmt: skip
_FORMS = (("701_stillsraw_full", "labeledapproved_full"), ("train", "trainannot"),
          ("val", "valannot"), ("test", "testannot"))  # fmt: skip


def find(root: pathlib.Path, split: str) -> Layout | None:
    """Returns the data set in `root`, or None where there is none of the forms above.

    Raises:
      UserError: it nearly has one of these forms; the message says what is missing.
    """
    present = sub_folders(root)
    published, *parts = [
        {"image": present.get(image), "label": present.get(label)} for image, label in _FORMS
    ]
    if published["label"]:
        items = labelled(NAME, published, common=_published)
        return Layout(NAME, items, False, CLASSES)
    if not any(part["label"] for part in parts):
        return None
    wanted = {"train": parts[:2], "eval": parts[2:], "all": parts}[split]
    items = [item for part in wanted if part["label"] for item in labelled(NAME, part)]
    if not items:
        raise EmptySplit(f"{root} holds {NAME}, but nothing for split {split!r}.")
    return Layout(NAME, items, True, CLASSES)


def _published(key: str, stem: str) -> str | None:
    """Returns what photograph and colour map have in common: the latter's name ends in `_L`."""
    return stem.removesuffix("_L") if key == "label" else stem
