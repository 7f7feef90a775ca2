"""NYU Depth v2 (Silberman et al., 2012) as pictures, read by `folder:PATH` where it lies.

    {train_rgb,test_rgb}/nyu_rgb_0001.png                     also nyu_train_rgb/, nyu_test_rgb/
    {train_seg13,test_seg13}/new_nyu_class13_0001.png         also train_labels_13/, test_labels_13/
    {train_depth,test_depth}/nyu_depth_0001.png               optional; units of 0.1 mm

Names differ, the number at their end counts. `train` and `test` are the splits `train` and `eval`.
Index maps have 13 classes, 0 = none of them. `depth` is in metres, NaN where nothing was measured.
The published nyu_depth_v2_labeled.mat is to be turned into these first.
"""

from __future__ import annotations

import pathlib
import re

import numpy as np

from jaxedit.data import annotations
from jaxedit.data.classes import of_names
from jaxedit.data.images import MAX_PIXELS, File
from jaxedit.data.layouts.base import Layout, labelled, sub_folder
from jaxedit.errors import UserError

NAME = "NYU Depth v2"
CLASSES = of_names(
    ("bed", "books", "ceiling", "chair", "floor", "furniture", "objects", "picture", "sofa",
     "table", "television", "wall", "window"),
    numbers=tuple(range(1, 14)),
    ignored=(0,),
)  # fmt: skip
_PUBLISHED = "nyu_depth_v2_labeled.mat"
_METRES = np.float32(1e-4)


def find(root: pathlib.Path, split: str) -> Layout | None:
    """Returns the data set in `root`, or None where it is none.

    Raises:
      UserError: it nearly has the form above; the message says what is missing.
    """
    parts = {
        part: {
            "image": sub_folder(root, f"nyu_{part}_rgb", f"{part}_rgb"),
            "label": sub_folder(
                root, f"{part}_labels_13", f"{part}_seg13", f"nyuv2_{part}_class13"
            ),
            "depth": sub_folder(root, f"nyu_{part}_depth", f"{part}_depth"),
        }
        for part in ("train", "test")
    }
    if not any(part["label"] for part in parts.values()):
        if (root / _PUBLISHED).exists():
            raise UserError(
                f"{root / _PUBLISHED} holds {NAME} in one MATLAB file. Write its photographs, "
                "label maps and depths as pictures: train_rgb/, train_seg13/, train_depth/ and "
                "the same of test, or images/, labels/ and depths/ (NPY) with classes.json."
            )
        return None
    wanted = {"train": ("train",), "eval": ("test",)}.get(split, ("train", "test"))
    there = [part for part in wanted if parts[part]["image"] or parts[part]["label"]]
    if not there:
        raise UserError(f"{root} looks like {NAME}, but holds nothing of {' or '.join(wanted)}.")
    items = [
        item
        for part in there
        for item in labelled(
            NAME, parts[part], common=_number, prefix=f"{part}/", readers={"depth": read_depth}
        )
    ]
    return Layout(NAME, items, True, CLASSES)


def _number(key: str, stem: str) -> str | None:
    """Returns the number at the end of a name, which a picture's files have in common."""
    del key
    found = re.search(r"(\d+)$", stem)
    return found and found[1].zfill(4)


def read_depth(
    file: File, *, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Returns float32 (H, W) metres; NaN where nothing was measured."""
    stored = annotations.read_label(file, name=name, max_pixels=max_pixels)
    return np.where(stored > 0, stored * _METRES, np.float32(np.nan)).astype(np.float32)
