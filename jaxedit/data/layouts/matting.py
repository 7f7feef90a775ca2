"""Matting data sets as they are published, read by `folder:PATH` where they lie.

    Composition-1k (Adobe Deep Image Matting); PATH or PATH/Combined_Dataset holds
      Training_set/{Adobe-licensed images,Other}/{fg,alpha}/NAME    the subjects: split `train`
      Test_set/Adobe-licensed images/merged/NAME_0 ... NAME_19      split `eval`, once composed
      Test_set/Adobe-licensed images/{fg,alpha}/NAME, trimaps/NAME_0 ... NAME_19

    Distinctions-646, and others of this form
      Train/{FG,GT}/NAME                                            the subjects: split `train`
      Test/{Image,FG,GT}/NAME, Test/Trimap/NAME if there is one     split `eval`, once composed

    AIM-500     original/, mask/, trimap/, aim_category_type.json   all of it is split `eval`
    PPM-100     image/, matte/                                      all of it is split `eval`

    alphamatting.com's training set, low or high resolution (`lowres` is preferred)
      input_training_lowres/, gt_training_lowres/, trimap_training_lowres/Trimap1/

    Subjects alone
      fg/, alpha/                                                   as above, without the splits

Upper and lower case are the same in names of folders, and a file belongs to another by its stem.
Where no split is stated, a share of the images is kept for `eval` as in any folder. The colours of
a subject (`fg`, `FG`) are its `image`, and also its `foreground` beside a composed image. The parts
of Composition-1k and Distinctions-646 hold different things, so that there is no split `all`; an
evaluation names its split: `evaluate.split=eval`. Test sets that are not composed yet are refused:
`jaxedit data compose` makes them. AIM-500 states a category per image, the record's `kind`.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable

from jaxedit.data.items import Item, by_stem
from jaxedit.data.layouts.base import Layout, sub_folder, sub_folders
from jaxedit.data.sources import EmptySplit
from jaxedit.errors import UserError
from jaxedit.host import json_text

ADOBE = "adobe-licensed images"
# A data set of one of these forms has at least one sub-folder of these names.
_MARKS = frozenset(
    ("combined_dataset", "training_set", "test_set", "train", "test", "original", "matte", "fg",
     "alpha", "input_training_lowres", "input_training_highres", "gt_training_lowres",
     "gt_training_highres")
)  # fmt: skip
_OWN_FORM = "Or use the plain form: images/ and alphas/ with files of the same names."


def find(root: pathlib.Path, split: str) -> Layout | None:
    """Returns the data set in `root`, or None where there is none of the forms above.

    Raises:
      UserError: it nearly has one of these forms; the message says what is missing.
    """
    # One look first: a folder may hold a million images and nothing of this.
    if not any(folder in _MARKS for folder in sub_folders(root)):
        return None
    for recogniser in _RECOGNISERS:
        layout = recogniser(root, split)
        if layout is not None:
            return layout
    return None


def _composition(root: pathlib.Path, split: str) -> Layout | None:
    name = "Composition-1k"
    base = sub_folder(root, "combined_dataset") or root
    training, test = sub_folder(base, "training_set"), sub_folder(base, "test_set")
    if not training and not test:
        return None
    _check_split(split, name, root)
    if split == "train":
        if not training:
            raise UserError(f"{base} looks like {name}, but has no Training_set/.")
        parts = [sub_folder(training, part) for part in (ADOBE, "other")]
        items: list[Item] = []
        for part in filter(None, parts):
            found = _subjects(part, name)
            taken = {item.id for item in items}
            for item in found:
                identity = f"{part.name}/{item.id}" if item.id in taken else item.id
                items.append(dataclasses.replace(item, id=identity, stem=identity))
        if not items:
            raise UserError(
                f"{training} looks like {name}, but has neither 'Adobe-licensed images/' nor "
                f"'Other/' with fg/ and alpha/ in it. {_OWN_FORM}"
            )
        return Layout(name, items, True)
    folder = test and (sub_folder(test, ADOBE) or test)
    if not folder:
        raise UserError(f"{base} looks like {name}, but has no Test_set/.")
    return Layout(name, _composed(folder, name, ("merged",)), True)


def _distinctions(root: pathlib.Path, split: str) -> Layout | None:
    name = "Distinctions-646"
    parts = {
        part: folder
        for part in ("train", "test")
        if (folder := sub_folder(root, part)) and sub_folder(folder, "fg", "gt")
    }
    if not parts:
        return None
    _check_split(split, name, root)
    wanted = {"train": "train", "eval": "test"}[split]
    if wanted not in parts:
        raise UserError(
            f"{root} looks like {name}, but has no {wanted.capitalize()}/ with FG/ and GT/ in it."
        )
    if wanted == "train":
        return Layout(name, _subjects(parts["train"], name), True)
    return Layout(name, _composed(parts["test"], name, ("image", "merged")), True)


def _aim(root: pathlib.Path, split: str) -> Layout | None:
    image, alpha, trimap = (sub_folder(root, key) for key in ("original", "mask", "trimap"))
    categories = root / "aim_category_type.json"
    if not image or not (alpha or trimap or categories.exists()):
        return None
    _check_test_set(split, "AIM-500", root)
    _demand(root, "AIM-500", {"original": image, "mask": alpha})
    items = _matched({"image": image, "alpha": alpha, "trimap": trimap}, "AIM-500")
    if categories.exists():
        kinds = _categories(categories)
        told = lambda item: {"kind": kinds[item.id]} if item.id in kinds else {}
        items = [dataclasses.replace(item, told=told(item)) for item in items]
    return Layout("AIM-500", items, True)


def _ppm(root: pathlib.Path, split: str) -> Layout | None:
    image, alpha = sub_folder(root, "image"), sub_folder(root, "matte")
    if not alpha:
        return None
    _check_test_set(split, "PPM-100", root)
    _demand(root, "PPM-100", {"image": image, "matte": alpha})
    return Layout("PPM-100", _matched({"image": image, "alpha": alpha}, "PPM-100"), True)


def _alphamatting(root: pathlib.Path, split: str) -> Layout | None:
    del split
    name = "alphamatting.com"
    for size in ("lowres", "highres"):
        image = sub_folder(root, f"input_training_{size}")
        alpha = sub_folder(root, f"gt_training_{size}")
        if image or alpha:
            wanted = {f"input_training_{size}": image, f"gt_training_{size}": alpha}
            _demand(root, name, wanted)
            trimap = sub_folder(root, f"trimap_training_{size}")
            trimap = trimap and (sub_folder(trimap, "trimap1") or trimap)
            folders = {"image": image, "alpha": alpha, "trimap": trimap}
            return Layout(name, _matched(folders, name), False)
    return None


def _plain_subjects(root: pathlib.Path, split: str) -> Layout | None:
    if not sub_folder(root, "fg", "alpha"):
        return None
    if sub_folder(root, "merged"):
        name = "a composed test set"
        _check_test_set(split, name, root)
        return Layout(name, _composed(root, name, ("merged",)), True)
    return Layout("subjects", _subjects(root, "a folder of subjects"), False)


_RECOGNISERS: tuple[Callable[[pathlib.Path, str], Layout | None], ...] = (
    _composition, _distinctions, _aim, _ppm, _alphamatting, _plain_subjects,
)  # fmt: skip


def subject_folders(folder: pathlib.Path) -> tuple[pathlib.Path | None, pathlib.Path | None]:
    """Returns the folders of colours and of opacity, each None where it is absent."""
    return sub_folder(folder, "fg", "images"), sub_folder(folder, "alpha", "gt", "alphas")


def _subjects(folder: pathlib.Path, name: str) -> list[Item]:
    """Returns subjects whose colours are the image."""
    colours, alpha = subject_folders(folder)
    _demand(folder, name, {"fg": colours, "alpha (or GT)": alpha})
    return _matched({"image": colours, "alpha": alpha}, name)


def _composed(folder: pathlib.Path, name: str, names: tuple[str, ...]) -> list[Item]:
    """Returns composed images; one alpha may serve NAME_0, NAME_1, ..."""
    merged = sub_folder(folder, *names)
    colours, alpha = subject_folders(folder)
    _demand(folder, name, {"alpha (or GT)": alpha})
    if merged is None:
        raise UserError(
            f"The test images of {name} in {folder} are not composed yet: there is no "
            f"{names[0]}/. Compose them with `jaxedit data compose '{folder}' BACKGROUNDS OUTPUT` "
            "(published: 20 images of PASCAL VOC 2012 each) and evaluate on folder:OUTPUT."
        )
    tables = {"alpha": by_stem(alpha)}
    if colours:
        tables["foreground"] = by_stem(colours)
    trimap = sub_folder(folder, "trimaps", "trimap")
    if trimap:
        tables["trimap"] = by_stem(trimap)
    items = []
    for stem, path in by_stem(merged).items():
        base = stem.rpartition("_")[0]
        files = {"image": path}
        for key, table in tables.items():
            found = table.get(stem) or (table.get(base) if base else None)
            files |= {key: found} if found else {}
        items.append(Item(stem, stem, files))
    _check_matched(items, merged, alpha, name)
    return items


def _matched(folders: dict[str, pathlib.Path | None], name: str) -> list[Item]:
    """Returns the images of the first folder with the files of the others by their stems."""
    tables = {key: by_stem(folder) for key, folder in folders.items() if folder is not None}
    items = [
        Item(stem, stem, {key: table[stem] for key, table in tables.items() if stem in table})
        for stem in tables["image"]
    ]
    _check_matched(items, folders["image"], folders["alpha"], name)
    return items


def _check_matched(
    items: list[Item], image: pathlib.Path, alpha: pathlib.Path, name: str
) -> None:
    if not items:
        raise UserError(f"{image} looks like part of {name}, but holds no image.")
    if not any("alpha" in item.files for item in items):
        raise UserError(
            f"No file in {alpha} belongs to one in {image}: the first image is "
            f"{items[0].id!r}. Files belong together by their names without the suffix."
        )


def _demand(
    folder: pathlib.Path, name: str, wanted: dict[str, pathlib.Path | None]
) -> None:
    """Raises UserError where one of the folders that make up a form is absent."""
    absent = [key for key, path in wanted.items() if path is None]
    if absent:
        present = [key for key, path in wanted.items() if path is not None]
        has = f"it has {present[0]}/ but no" if present else "there is no"
        raise UserError(f"{folder} looks like {name}: {has} {absent[0]}/. Add it. {_OWN_FORM}")


def _check_split(split: str, name: str, root: pathlib.Path) -> None:
    if split == "all":
        raise UserError(
            f"{root} holds {name}, whose training part has subjects and whose test part has "
            "composed images: choose one of them, split train or eval (evaluate.split=eval)."
        )


def _check_test_set(split: str, name: str, root: pathlib.Path) -> None:
    if split == "train":
        raise EmptySplit(
            f"{root} holds {name}, which is for testing only: it has no training part. Name it in "
            "evaluate.source and train on something else."
        )


def _categories(path: pathlib.Path) -> dict[str, str]:
    """Returns stem -> category from AIM-500's own file."""
    try:
        rows = json_text.loads(path.read_bytes())
        return {stem: str(row["category"]) for stem, row in rows.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is damaged ({error!r}): it should hold "
            '{"NAME": {"type": ..., "category": ...}, ...}. Restore or remove it.'
        ) from error
