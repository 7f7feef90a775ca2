"""`jaxedit inpaint`: fills the holes of a user's photographs.

A hole is where the mask is white. Everything outside it comes back as it was, bit for bit (in a
PNG); size, aspect, EXIF, colour profile, transparency and greyscale are kept. All input is
checked before a network is loaded, and a result appears whole or not at all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from jaxedit import batch_files, photograph
from jaxedit.batch_files import Job
from jaxedit.data import images
from jaxedit.errors import UserError
from jaxedit.photograph import Photograph

# Above this share of hole, a mask that marks what to keep is likelier than one that marks a hole.
_LARGE_HOLE = 0.6

plan = functools.partial(batch_files.plan, what="mask")


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

    def finish(applier: Callable, job: Job, content: tuple[Photograph, np.ndarray]) -> str:
        photo, hole = content
        photograph.write(job.output, fill(applier, photo, hole))
        height, width = photo.size
        return f"{job.output}: {width} x {height} pixels, {hole.mean():.1%} filled"

    return batch_files.run(
        jobs, read=lambda job: read(job, invert, say), load=load, finish=finish, say=say
    )


def read(job: Job, invert: bool, say: Callable[[str], None]) -> tuple[Photograph, np.ndarray]:
    """Returns the photograph of a job and its hole, bool (H, W), both checked.

    Raises:
      UserError: unreadable files, sizes that differ, an empty or an all-hole mask, grey values.
    """
    photo = photograph.read(job.photo)
    hole = images.read_mask(job.companion, invert=invert)
    batch_files.check_size(job, "mask", photo.size, hole.shape)
    share = float(hole.mean())
    marks = "black" if invert else "white"
    if share == 0:
        raise UserError(
            f"The mask {job.companion} marks no hole: it has no {marks} pixel. "
            + ("Leave --invert-mask out if white marks the hole." if invert
               else "If black marks the hole, add --invert-mask.")
        )
    if share == 1:
        raise UserError(
            f"The mask {job.companion} marks the whole photo as a hole, so nothing is left to go "
            "by. "
            + ("Leave --invert-mask out if white marks the hole." if invert
               else f"Paint only the hole {marks}, or add --invert-mask if black marks the hole.")
        )
    if share > _LARGE_HOLE:
        say(
            f"warning: {job.companion} marks {share:.0%} of the photo as a hole. If it marks what "
            f"to keep instead, {'leave out' if invert else 'add'} --invert-mask."
        )
    for note in photo.notes:
        say(f"warning: {note}")
    if job.output.suffix.lower() in photograph.LOSSY:
        say(f"warning: {job.output} is a JPEG: known pixels change slightly. A .png keeps them.")
    return photo, hole
