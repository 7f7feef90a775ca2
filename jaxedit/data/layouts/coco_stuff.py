"""COCO-Stuff (Caesar et al., 2018), read by `folder:PATH` where it lies.

    As published, beside COCO's photographs
      {train2017,val2017}/ID.jpg, or images/{train2017,val2017}/ID.jpg
      stuffthingmaps/{train2017,val2017}/ID.png, or annotations/...; index maps, 255 = unlabelled
    As prepared for label-to-image synthesis
      {train_img,val_img}/ID.jpg, {train_label,val_label}/ID.png

The training part is the split `train`, the other `eval`. The names of the 182 classes are read from
labels.txt (lines "1: person"; the maps count from 0), where it is there.
"""

from __future__ import annotations

import pathlib
import re

from jaxedit.data.classes import Classes, of_names
from jaxedit.data.layouts.base import Layout, labelled, sub_folder
from jaxedit.errors import UserError

NAME = "COCO-Stuff"
COUNT = 182
_NAMES = "labels.txt"


def find(root: pathlib.Path, split: str) -> Layout | None:
    """Returns the data set in `root`, or None where it is none.

    Raises:
      UserError: it nearly has one of the forms above; the message says what is missing.
    """
    truth = sub_folder(root, "stuffthingmaps")
    annotated = sub_folder(root, "annotations")
    if truth is None and annotated is not None:
        is_one = sub_folder(annotated, "train2017", "val2017")
        truth = sub_folder(annotated, "stuffthingmaps") or (annotated if is_one else None)
    if truth is not None:
        photographs = sub_folder(root, "images") or root
        parts = {
            part: {"image": sub_folder(photographs, f"{part}2017"),
                   "label": sub_folder(truth, f"{part}2017")}
            for part in ("train", "val")
        }  # fmt: skip
    else:
        parts = {
            part: {"image": sub_folder(root, f"{part}_img"),
                   "label": sub_folder(root, f"{part}_label")}
            for part in ("train", "val")
        }  # fmt: skip
        if not any(part["label"] for part in parts.values()):
            return None
    wanted = {"train": ("train",), "eval": ("val",)}.get(split, ("train", "val"))
    there = [part for part in wanted if any(parts[part].values())]
    if not there:
        raise UserError(f"{root} looks like {NAME}, but holds nothing of {' or '.join(wanted)}.")
    items = [item for part in there for item in labelled(NAME, parts[part])]
    return Layout(NAME, items, True, classes(root))


def classes(root: pathlib.Path) -> Classes:
    """Returns the 182 classes, with their names where `labels.txt` is there.

    Raises:
      UserError: that file is damaged.
    """
    path = root / _NAMES
    names = [f"class {number}" for number in range(COUNT)]
    if path.exists():
        try:
            rows = re.findall(r"^\s*(\d+):\s*(.+?)\s*$", path.read_text(encoding="utf-8"), re.M)
            found = {int(number) - 1: name for number, name in rows}
            names = [found[number] for number in range(COUNT)]
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f"{path} is damaged ({error!r}): it should name the classes 1 to {COUNT} in lines "
                'like "1: person". Restore or remove it.'
            ) from error
    return of_names(names)
