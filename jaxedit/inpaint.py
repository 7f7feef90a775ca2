"""`jaxedit inpaint`: fills the holes of a user's photographs.

A hole is where the mask is white. Everything outside it comes back as it was, bit for bit (in a
PNG); size, aspect, EXIF, colour profile, transparency and greyscale are kept. All input is
checked before a network is loaded, and a result appears whole or not at all.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable

import numpy as np

from jaxedit import photograph
from jaxedit.data import images
from jaxedit.errors import UserError
from jaxedit.photograph import Photograph

# Above this share of hole, a mask that marks what to keep is likelier than one that marks a hole.
_LARGE_HOLE = 0.6


@dataclasses.dataclass(frozen=True)
class Job:
    """One photograph, its mask, and where the result goes."""

    photo: pathlib.Path
    mask: pathlib.Path
    output: pathlib.Path


def fill(applier: Callable, photo: Photograph, hole: np.ndarray) -> Photograph:
    """Returns `photo` with its hole filled.

    Args:
      applier: `jaxedit.apply.Applier` of an "inpaint" task.
      photo: any size.
      hole: bool (H, W), True inside the hole.
    """
    outputs = applier(image=photo.for_network(), mask=hole[..., None].astype(np.float32))
    return photo.filled(outputs["composite"], hole)


def run(
    jobs: list[Job],
    load: Callable[[], Callable],
    *,
    invert: bool = False,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Fills the holes of all jobs, one after the other; returns a line for each that failed.

    Args:
      jobs: from `plan`.
      load: returns the applier; called when the first photograph has passed its checks.
      invert: black marks the hole.
      say: is told about each result and each doubt.

    Raises:
      UserError: the only job failed, or the network could not be loaded.
    """
    applier, failures = None, []
    for job in jobs:
        try:
            photo, hole = read(job, invert, say)
        except UserError as error:
            failures.append(_failed(job, error, jobs, say))
            continue
        applier = applier or load()
        try:
            job.output.parent.mkdir(parents=True, exist_ok=True)
            photograph.write(job.output, fill(applier, photo, hole))
        except UserError as error:
            failures.append(_failed(job, error, jobs, say))
            continue
        height, width = photo.size
        say(f"{job.output}: {width} x {height} pixels, {hole.mean():.1%} filled")
    return failures


def read(job: Job, invert: bool, say: Callable[[str], None]) -> tuple[Photograph, np.ndarray]:
    """Returns the photograph of a job and its hole, bool (H, W), both checked.

    Raises:
      UserError: unreadable files, sizes that differ, an empty or an all-hole mask, grey values.
    """
    photo = photograph.read(job.photo)
    hole = images.read_mask(job.mask, invert=invert)
    height, width = photo.size
    if hole.shape != photo.size:
        turned = hole.shape == (width, height) and height != width
        hint = (
            "The mask has the photo's sides exchanged: the photo is turned by its EXIF "
            "orientation, so make the mask from the upright photo."
            if turned
            else "Make the mask at the photo's own size; nothing is resized here."
        )
        raise UserError(
            f"The mask {job.mask} has {hole.shape[1]} x {hole.shape[0]} pixels and the photo "
            f"{job.photo} has {width} x {height}. {hint}"
        )
    share = float(hole.mean())
    marks = "black" if invert else "white"
    if share == 0:
        raise UserError(
            f"The mask {job.mask} marks no hole: it has no {marks} pixel. "
            + ("Leave --invert-mask out if white marks the hole." if invert
               else "If black marks the hole, add --invert-mask.")
        )
    if share == 1:
        raise UserError(
            f"The mask {job.mask} marks the whole photo as a hole, so nothing is left to go by. "
            + ("Leave --invert-mask out if white marks the hole." if invert
               else f"Paint only the hole {marks}, or add --invert-mask if black marks the hole.")
        )
    if share > _LARGE_HOLE:
        say(
            f"warning: {job.mask} marks {share:.0%} of the photo as a hole. If it marks what to "
            f"keep instead, {'leave out' if invert else 'add'} --invert-mask."
        )
    for note in photo.notes:
        say(f"warning: {note}")
    if job.output.suffix.lower() in photograph.LOSSY:
        say(f"warning: {job.output} is a JPEG: known pixels change slightly. A .png keeps them.")
    return photo, hole


def plan(
    photo: pathlib.Path,
    mask: pathlib.Path,
    output: pathlib.Path,
    *,
    overwrite: bool = False,
    say: Callable[[str], None] = print,
) -> list[Job]:
    """Returns what to do for a photo and a mask, or for two folders of them.

    Files of two folders belong together where their names agree but for the suffix; the results
    are `STEM.png` in the folder `output`. Files without a partner are named and left out.

    Raises:
      UserError: missing inputs, a file with a folder, folders without a pair, or an output that
        exists, cannot be written, or is one of the inputs.
    """
    for path in (photo, mask):
        if not path.exists():
            raise UserError(f"{path} does not exist. Check the path.")
    if photo.is_dir() != mask.is_dir():
        folder, file = (photo, mask) if photo.is_dir() else (mask, photo)
        raise UserError(
            f"{folder} is a folder and {file} is a file: give two files, or two folders whose "
            "files have the same names."
        )
    jobs = _pairs(photo, mask, output, say) if photo.is_dir() else [Job(photo, mask, output)]
    if not photo.is_dir() and output.is_dir():
        raise UserError(f"Output {output} is a folder. Name a file in it, ending in .png.")
    _check_folder(output if photo.is_dir() else output.parent, may_make=photo.is_dir())
    for job in jobs:
        _check_output(job, overwrite)
    return jobs


def _pairs(
    photos: pathlib.Path, masks: pathlib.Path, output: pathlib.Path, say: Callable[[str], None]
) -> list[Job]:
    by_stem = []
    for folder in (photos, masks):
        found: dict[str, pathlib.Path] = {}
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() not in images.SUFFIXES or path.name.startswith("."):
                continue
            if path.stem in found:
                raise UserError(
                    f"{found[path.stem]} and {path.name} have the same name but for the suffix, "
                    "so their partner cannot be told. Rename one of them."
                )
            found[path.stem] = path
        if not found:
            raise UserError(f"The folder {folder} holds no image file.")
        by_stem.append(found)
    left, right = by_stem
    for stem in sorted(left.keys() ^ right.keys()):
        path, what = (left[stem], "mask") if stem in left else (right[stem], "photo")
        say(f"warning: {path} has no {what} of the same name; it is left out.")
    stems = sorted(left.keys() & right.keys())
    if not stems:
        raise UserError(
            f"No photo in {photos} has a mask of the same name in {masks}: "
            f"{next(iter(left.values())).name} would need a mask "
            f"{next(iter(left))}.png, say."
        )
    return [Job(left[stem], right[stem], output / f"{stem}.png") for stem in stems]


def _check_output(job: Job, overwrite: bool) -> None:
    photograph.check_output_name(job.output)
    if job.output.exists():
        for path in (job.photo, job.mask):
            if os.path.samefile(path, job.output):
                raise UserError(
                    f"Output {job.output} is an input file, which would be lost. "
                    "Choose another name."
                )
        if not overwrite:
            raise UserError(
                f"Output {job.output} already exists. Add --overwrite to replace it, or choose "
                "another name."
            )
        if job.output.is_dir():
            raise UserError(f"Output {job.output} is a folder. Choose another name.")


def _check_folder(folder: pathlib.Path, may_make: bool) -> None:
    """Raises UserError where results could not be written, before anything is computed."""
    existing = folder
    while may_make and not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.exists():
        raise UserError(f"The output folder {folder} does not exist. Make it, or choose another.")
    if not existing.is_dir():
        raise UserError(f"Output {existing} is a file, not a folder. Choose another place.")
    if not os.access(existing, os.W_OK):
        raise UserError(f"The output folder {existing} may not be written to. Choose another.")


def _failed(job: Job, error: UserError, jobs: list[Job], say: Callable[[str], None]) -> str:
    if len(jobs) == 1:
        raise error
    say(f"failed: {error}")
    return str(error)
