"""Cityscapes (Cordts et al., 2016), read by `folder:PATH` where it lies.

    leftImg8bit/{train,val,test}/CITY/ID_leftImg8bit.png         the photographs
    gtFine/{train,val}/CITY/ID_gtFine_labelIds.png               label maps, or ..._labelTrainIds
    gtFine/{train,val}/CITY/ID_gtFine_instanceIds.png            instances
    gtCoarse/{train,train_extra,val}/CITY/ID_gtCoarse_...        where there is no gtFine/
    disparity/{train,val}/CITY/ID_disparity.png                  depth, optional

`train` and `val` are the splits `train` and `eval`; `test` has no label maps. Records have the 19
classes that are evaluated, everything else is unlabelled. `instance` is 0 where an object is not
told apart. `depth` is in metres for the usual calibration, NaN where nothing was measured.
"""

from __future__ import annotations

import pathlib

import numpy as np

from jaxedit.data import annotations
from jaxedit.data.classes import of_names
from jaxedit.data.images import MAX_PIXELS, File
from jaxedit.data.items import Item
from jaxedit.data.layouts.base import Layout, labelled, sub_folder, sub_folders
from jaxedit.data.sources import EmptySplit
from jaxedit.errors import UserError

NAME = "Cityscapes"
_NAMES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign",
    "vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus", "train",
    "motorcycle", "bicycle",
)  # fmt: skip
_COLOURS = (
    (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153),
    (153, 153, 153), (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152),
    (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100),
    (0, 80, 100), (0, 0, 230), (119, 11, 32),
)  # fmt: skip
_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
# As `labelIds` number the classes, of which all others count as unlabelled; as `labelTrainIds` do.
CLASSES = of_names(_NAMES, colours=_COLOURS, numbers=_IDS, lenient=True)
TRAIN_CLASSES = of_names(_NAMES, colours=_COLOURS)
# From this on, an instance number is that of a single object.
_FIRST_OBJECT = 1000
# Baseline in metres times focal length in pixels, of most of the cameras.
_METRES_TIMES_DISPARITY = 0.209313 * 2262.52


def find(root: pathlib.Path, split: str) -> Layout | None:
    """Returns the data set in `root`, or None where it is none.

    Raises:
      UserError: it nearly has the form above; the message says what is missing.
    """
    present = sub_folders(root)
    photographs, truth = present.get("leftimg8bit"), present.get("gtfine", present.get("gtcoarse"))
    if photographs is None and truth is None:
        return None
    for folder, other in ((photographs, "gtFine/ or gtCoarse/"), (truth, "leftImg8bit/")):
        if folder is None:
            continue
        if photographs is None or truth is None:
            raise UserError(f"{root} looks like {NAME}: it has {folder.name}/ but no {other}.")
    parts = {"train": ("train", "train_extra"), "eval": ("val",)}
    wanted = parts.get(split, (*parts["train"], *parts["eval"]))
    ending = "_labelIds"
    if not any(truth.glob(f"*/*/*{ending}.png")):
        ending = "_labelTrainIds"
    items: list[Item] = []
    for part in wanted:
        folders = {"image": sub_folder(photographs, part), "label": sub_folder(truth, part)}
        if folders["image"] is None or folders["label"] is None:
            continue  # train_extra has coarse maps alone
        folders["instance"] = folders["label"]
        depths = present.get("disparity")
        folders["depth"] = depths and sub_folder(depths, part)
        items += labelled(NAME, folders, common=_Common(ending, truth.name), readers=_READERS)
    if not items:
        raise EmptySplit(f"{root} holds {NAME}, but no photographs with label maps for {split!r}.")
    return Layout(NAME, items, True, CLASSES if ending == "_labelIds" else TRAIN_CLASSES)


class _Common:
    """From (record key, stem) to the city and number of a picture; None for files of no use."""

    def __init__(self, label: str, truth: str):
        self.endings = {
            "image": "_leftImg8bit", "label": f"_{truth}{label}",
            "instance": f"_{truth}_instanceIds", "depth": "_disparity",
        }  # fmt: skip

    def __call__(self, key: str, stem: str) -> str | None:
        ending = self.endings[key]
        return stem.removesuffix(ending) if stem.endswith(ending) else None


def read_instances(
    file: File, *, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Returns int32 (H, W): a number for each single object, 0 elsewhere."""
    numbers = annotations.read_label(file, name=name, max_pixels=max_pixels)
    return np.where(numbers >= _FIRST_OBJECT, numbers, 0).astype(np.int32)


def read_depth(
    file: File, *, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Returns float32 (H, W) metres of a disparity map; NaN where nothing was measured."""
    stored = annotations.read_label(file, name=name, max_pixels=max_pixels).astype(np.float32)
    disparity = (stored - 1) / 256
    with np.errstate(divide="ignore"):
        metres = np.float32(_METRES_TIMES_DISPARITY) / disparity
    return np.where(disparity > 0, metres, np.float32(np.nan)).astype(np.float32)


_READERS = {"instance": read_instances, "depth": read_depth}
