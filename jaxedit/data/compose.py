"""Composing subjects over backgrounds by the rule of Composition-1k (`jaxedit data compose`).

A background that is smaller than the subject, in either direction, is enlarged until it covers it
(Pillow's bicubic filter, sides rounded up), never shrunk, and cut off at the top left corner. The
mixture `alpha F + (1 - alpha) B` is computed in double precision and cut to whole numbers.

`compose` writes a test set that `folder:OUTPUT` reads:

    OUTPUT/images/NAME_0.png, NAME_1.png, ...    the compositions
    OUTPUT/alphas/, trimaps/, foregrounds/       of the same names
    OUTPUT/manifest.jsonl                        what each is made of

Subjects are pairs of files of the same name in `fg/` and `alpha/` (`FG/` and `GT/`, `images/` and
`alphas/`, `foregrounds/` and `alphas/`), or images with transparency. Where test_fg_names.txt and
test_bg_names.txt lie in or beside the folder of subjects, as Composition-1k has them, they decide
which subject is put over which backgrounds.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import math
import os
import pathlib
import shutil
from collections.abc import Callable

import numpy as np
from PIL import Image

from jaxedit.data import alpha_matting, annotations, images, own_files, trimaps
from jaxedit.data.items import by_stem, find_images
from jaxedit.data.layouts import matting
from jaxedit.data.layouts.base import sub_folder
from jaxedit.errors import UserError
from jaxedit.host.atomic import atomic_folder

_LISTS = ("test_fg_names.txt", "test_bg_names.txt")
_COLOURS = ("fg", "foregrounds", "images")
_ALPHAS = ("alpha", "gt", "alphas")
_WIDTH, _SEED = 10, 0  # where nothing else is asked for
_THREADS = min(4, os.cpu_count() or 1)


@dataclasses.dataclass(frozen=True)
class Subject:
    """A labelled subject and what it is put over.

    Attributes:
      name: the stem of its files.
      colours: file of its colours; with transparency where `alpha` is None.
      alpha: file of its opacity, or None.
      backgrounds: files.
    """

    name: str
    colours: str
    alpha: str | None
    backgrounds: tuple[str, ...] = ()


def compose(
    foregrounds: str | os.PathLike,
    backgrounds: str | os.PathLike,
    output: str | os.PathLike,
    per_foreground: int = 20,
    trimap_width: int = _WIDTH,
    seed: int = _SEED,
    say: Callable[[str], None] = lambda line: None,
    *,
    copy_trimaps: bool = True,
    estimate_colours: bool = False,
) -> int:
    """Composes every subject over `per_foreground` backgrounds; returns the number of images.

    Args:
      foregrounds: the folder of subjects, see the module.
      backgrounds: a folder of images. They are taken in an order drawn from `seed`, each once
        before any is taken again, unless lists of names decide.
      output: the folder to make; it must not exist, or be empty. It appears whole or not at all.
      per_foreground: backgrounds per subject; with lists it must be what they say.
      trimap_width: of the trimaps, in pixels (`trimaps.of_width`), where they are made.
      seed: of the order of the backgrounds.
      say: is told which subject is done.
      copy_trimaps: take the trimaps from `trimaps/` beside the subjects, where there is such a
        folder: NAME_0, NAME_1, ... or, for all of them, NAME.
      estimate_colours: replace the subjects' colours by an estimate of their own colours, without
        the background they were photographed before (needs PyMatting).

    Raises:
      UserError: a folder or file is missing, damaged or of another size, or nothing can be written.
    """
    if per_foreground < 1:
        raise UserError(f"per_foreground is {per_foreground}; at least one background is needed.")
    if trimap_width < 0:
        raise UserError(f"trimap_width is {trimap_width}; it is a number of pixels, 0 or more.")
    if estimate_colours:
        alpha_matting.check("Estimating the subjects' colours")
    folder = _subject_folder(pathlib.Path(foregrounds))
    subjects = _assign(folder, pathlib.Path(backgrounds), per_foreground, seed)
    copied = sub_folder(folder, "trimaps", "trimap") if copy_trimaps else None
    known = None if copied is None else by_stem(copied)
    if copied is not None and trimap_width != _WIDTH:
        raise UserError(
            f"--trimap-width {trimap_width} is about trimaps that are made, and {copied} has them. "
            "Leave it out, or add --make-trimaps."
        )
    with (
        atomic_folder(output) as temporary,
        concurrent.futures.ThreadPoolExecutor(_THREADS, "jaxedit-compose") as pool,
    ):
        lines = []
        for number, subject in enumerate(subjects, 1):
            colours, alpha = read_subject(subject)
            if estimate_colours:
                colours = alpha_matting.own_colours(colours, alpha.astype(np.float32) / 255)
            writer = _Writer(temporary, subject, colours, alpha, known, trimap_width)
            lines += pool.map(writer.write, range(len(subject.backgrounds)))
            say(f"{number} of {len(subjects)} subjects: {subject.name}")
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (temporary / "manifest.jsonl").write_text(text, encoding="utf-8", errors="surrogateescape")
        if any(own_files.lies_below(output, one) for one in (foregrounds, backgrounds)):
            own_files.mark_results(temporary)
    return len(lines)


def fit_background(background: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns the top left (height, width) pixels of a picture uint8 (H, W, 3), enlarged first
    where it is smaller than that."""
    ratio = max(width / background.shape[1], height / background.shape[0])
    if ratio > 1:
        size = (math.ceil(background.shape[1] * ratio), math.ceil(background.shape[0] * ratio))
        pixels = Image.fromarray(np.ascontiguousarray(background))
        background = np.asarray(pixels.resize(size, Image.Resampling.BICUBIC))
    return background[:height, :width]


def over(foreground: np.ndarray, alpha: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Returns the composed picture, uint8 (H, W, 3).

    Args:
      foreground: colours of the subject, uint8 (H, W, 3).
      alpha: opacity, uint8 (H, W).
      background: uint8 (H', W', 3) of any size, see `fit_background`.
    """
    behind = fit_background(background, *alpha.shape)
    # Single precision would round some products the other way before they are cut.
    opacity = (alpha / 255)[..., None]
    mixed = opacity * foreground
    mixed += (1 - opacity) * behind
    return mixed.astype(np.uint8)


def read_subject(subject: Subject) -> tuple[np.ndarray, np.ndarray]:
    """Returns colours uint8 (H, W, 3) and opacity uint8 (H, W).

    Raises:
      UserError: a file cannot be read, they differ in size, or nothing in them is transparent.
    """
    if subject.alpha is None:
        colours, alpha = images.read_image_and_alpha(subject.colours)
        if alpha.min() == 255:
            raise UserError(
                f"{subject.colours} has no transparency, so there is no opacity to compose it by. "
                "Put colours into fg/ and opacity into alpha/, or images with transparency into "
                "one folder."
            )
        return colours, alpha
    colours, alpha = annotations.read_foreground(subject.colours), annotations.read_alpha(
        subject.alpha
    )
    _check_size(alpha, subject.alpha, colours, subject.colours)
    return colours, alpha


@dataclasses.dataclass(frozen=True)
class _Writer:
    """Writes the compositions of one subject."""

    root: pathlib.Path
    subject: Subject
    colours: np.ndarray
    alpha: np.ndarray
    trimaps: dict[str, str] | None
    trimap_width: int

    def write(self, index: int) -> dict[str, str]:
        """Writes composition `index` and what belongs to it; returns its line of the manifest."""
        background = self.subject.backgrounds[index]
        self._save("images", index, over(self.colours, self.alpha, images.read_image(background)))
        self._save("trimaps", index, self._trimap(index))
        # The same for all of the subject's images: written once, then the same file again.
        if index == 0:
            for other in range(len(self.subject.backgrounds)):
                self._save_or_link("alphas", other, self.alpha)
                self._save_or_link("foregrounds", other, self.colours)
        return {
            "id": self._name(index),
            "foreground": os.path.basename(self.subject.colours),
            "background": os.path.basename(background),
        }

    def _name(self, index: int) -> str:
        return f"{self.subject.name.replace(os.sep, '/')}_{index}"

    def _path(self, folder: str, index: int) -> pathlib.Path:
        path = self.root / folder / f"{self._name(index)}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _save(self, folder: str, index: int, picture: np.ndarray) -> None:
        images.write_image(self._path(folder, index), picture)

    def _save_or_link(self, folder: str, index: int, picture: np.ndarray) -> None:
        if index == 0:
            self._save(folder, index, picture)
            return
        first, path = self._path(folder, 0), self._path(folder, index)
        try:
            os.link(first, path)
        except OSError:  # a file system without links
            shutil.copyfile(first, path)

    def _trimap(self, index: int) -> np.ndarray:
        if self.trimaps is None:
            return trimaps.to_levels(trimaps.of_width(self.alpha, self.trimap_width))
        name = self.subject.name
        file = self.trimaps.get(f"{name}_{index}") or self.trimaps.get(name)
        if file is None:
            raise UserError(
                f"There is no trimap {name}_{index} or {name} beside {self.subject.colours}, "
                "though there is a folder of trimaps. Complete it, or rename it to have all "
                "trimaps made."
            )
        trimap = annotations.read_trimap(file)
        _check_size(trimap, file, self.colours, self.subject.colours)
        return trimap


def _subject_folder(folder: pathlib.Path) -> pathlib.Path:
    """Returns the folder that holds the subjects' files: it, or one inside it."""
    if not folder.is_dir():
        kind = "is not a folder" if folder.exists() else "does not exist"
        raise UserError(f"The folder of subjects {folder} {kind}. Check FOREGROUNDS.")
    for part in ("combined_dataset", "test_set", matting.ADOBE):
        folder = sub_folder(folder, part) or folder
    return folder


def _subjects(folder: pathlib.Path) -> list[Subject]:
    """Returns the subjects of a folder by name, without backgrounds."""
    colours = sub_folder(folder, *_COLOURS)
    alphas = sub_folder(folder, *_ALPHAS)
    if alphas is None:
        files = by_stem(colours if colours is not None else folder)
        if not files:
            raise UserError(
                f"No subject found in {folder}. Put colours into fg/ and opacity into alpha/ under "
                "the same names, or images with transparency directly there."
            )
        return [Subject(name, path, None) for name, path in sorted(files.items())]
    if colours is None:
        raise UserError(
            f"{folder} has {alphas.name}/ but no fg/ (or FG/, foregrounds/, images/) with the "
            "colours of the subjects."
        )
    files, table = by_stem(colours), by_stem(alphas)
    for name in sorted(files.keys() ^ table.keys()):
        there, missing = (colours, alphas) if name in files else (alphas, colours)
        raise UserError(
            f"{name!r} is in {there} but not in {missing}. Every subject needs both; add the one "
            "or remove the other."
        )
    if not files:
        raise UserError(f"No image found in {colours}.")
    return [Subject(name, files[name], table[name]) for name in sorted(files)]


def _assign(
    folder: pathlib.Path, backgrounds: pathlib.Path, per_foreground: int, seed: int
) -> list[Subject]:
    """Returns the subjects with their backgrounds, by the lists where there are any."""
    if not backgrounds.is_dir():
        raise UserError(f"The folder of backgrounds {backgrounds} does not exist. Check it.")
    below = backgrounds / "images" if (backgrounds / "images").is_dir() else backgrounds
    names = find_images(below)
    if not names:
        raise UserError(f"No image found in {below}. Backgrounds are images of any size.")
    subjects = _subjects(folder)
    lists = _lists(folder)
    if lists is not None:
        if seed != _SEED:
            raise UserError(f"--seed {seed} is of backgrounds that are drawn, and {lists[0]} names "
                            "those of every subject. Leave it out.")
        return _listed(subjects, *lists, below, per_foreground)
    rng = np.random.default_rng(seed)
    wanted = per_foreground * len(subjects)
    rounds = -(-wanted // len(names))
    order = np.concatenate([rng.permutation(len(names)) for _ in range(rounds)])
    files = [os.path.join(below, names[position]) for position in order[:wanted]]
    return [
        dataclasses.replace(
            subject,
            backgrounds=tuple(files[number * per_foreground : (number + 1) * per_foreground]),
        )
        for number, subject in enumerate(subjects)
    ]


def _lists(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path] | None:
    for place in (folder, folder.parent):
        paths = tuple(place / name for name in _LISTS)
        if all(path.is_file() for path in paths):
            return paths
    return None


def _listed(
    subjects: list[Subject],
    foreground_list: pathlib.Path,
    background_list: pathlib.Path,
    backgrounds: pathlib.Path,
    per_foreground: int,
) -> list[Subject]:
    """Returns the subjects and backgrounds that the lists name, in their order."""
    table = {subject.name: subject for subject in subjects}
    wanted, behind = (
        [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        for path in (foreground_list, background_list)
    )
    if len(behind) != len(wanted) * per_foreground:
        raise UserError(
            f"{foreground_list} names {len(wanted)} subjects and {background_list} {len(behind)} "
            f"backgrounds, which are not {per_foreground} for each. Give the right number "
            "(--per-foreground) or remove the lists to draw backgrounds at random."
        )
    chosen = []
    for number, name in enumerate(wanted):
        subject = table.get(os.path.splitext(name)[0])
        if subject is None:
            raise UserError(f"{foreground_list} names {name!r}, which is not among the subjects.")
        files = behind[number * per_foreground : (number + 1) * per_foreground]
        for file in files:
            if not (backgrounds / file).is_file():
                raise UserError(f"{background_list} names {file!r}, which is not in {backgrounds}.")
        paths = tuple(os.path.join(backgrounds, file) for file in files)
        chosen.append(dataclasses.replace(subject, backgrounds=paths))
    return chosen


def _check_size(array: np.ndarray, file: str, colours: np.ndarray, colours_file: str) -> None:
    if array.shape != colours.shape[:2]:
        raise UserError(
            f"{file} has {array.shape[1]} x {array.shape[0]} pixels, but {colours_file} has "
            f"{colours.shape[1]} x {colours.shape[0]}. Make them the same size."
        )
