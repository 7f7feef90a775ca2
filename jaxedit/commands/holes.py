"""A photograph and the hole in it, as `jaxedit inpaint` is given them: read, shaped and checked."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Callable

import numpy as np

from jaxedit.apply import batch_files, photograph
from jaxedit.apply import hole as hole_shapes
from jaxedit.apply.batch_files import Job
from jaxedit.apply.photograph import Photograph
from jaxedit.data import images
from jaxedit.errors import UserError

# Above this share of hole, a mask that marks what to keep is likelier than one that marks a hole.
_LARGE_HOLE = 0.6
_HALF = 128  # of 255, opacity


@dataclasses.dataclass(frozen=True)
class Edge:
    """What to make of a hole's edge.

    Attributes:
      grow: pixels by which the hole is widened.
      shrink: pixels by which it is narrowed.
      feather: pixels around the hole over which the filling fades to the photograph.
      resize: a mask of another size than the photograph is scaled to it.
    """

    grow: int = 0
    shrink: int = 0
    feather: int = 0
    resize: bool = False

    def check(self) -> None:
        """Raises UserError where a number is none, or two contradict each other."""
        for name in ("grow", "shrink", "feather"):
            value = getattr(self, name)
            if not is_whole(value, 0):
                raise UserError(f"--{name} is {value!r}; expected pixels, from 0.")
        if self.grow and self.shrink:
            raise UserError("--grow and --shrink are opposites; leave one of them out.")

    def shape(self, drawn: np.ndarray) -> np.ndarray:
        """Returns a hole, bool (H, W), widened or narrowed.

        Raises:
          UserError: nothing is left of it, or nothing of what is around it.
        """
        shaped = hole_shapes.grown(drawn, self.grow or -self.shrink)
        if drawn.any() and not shaped.any():
            raise UserError(f"--shrink {self.shrink} leaves nothing of the hole. Choose less.")
        around = hole_shapes.grown(shaped, self.feather)
        if not drawn.all() and around.all():
            raise UserError(
                f"--grow {self.grow} with --feather {self.feather} makes the whole photo a hole. "
                "Choose less."
            )
        return shaped


AS_DRAWN = Edge()


def read(
    job: Job, invert: bool, say: Callable[[str], None], *, by_alpha: bool = False,
    edge: Edge = AS_DRAWN,
) -> tuple[Photograph, np.ndarray]:
    """Returns the photograph of a job and its hole, bool (H, W), both checked.

    With `by_alpha` the hole is where the photograph is transparent; it comes back opaque there.

    Raises:
      UserError: unreadable files, sizes that differ, an empty or an all-hole mask, grey values.
    """
    photo = photograph.fitting(photograph.read(job.photo), job.output)
    if by_alpha:
        hole = _hole_of_transparency(photo, job)
    else:
        hole = images.read_mask(job.companion, invert=invert)
        if edge.resize:
            if _other_shape(hole.shape, photo.size):
                say(f"warning: {job.companion} has another shape than {job.photo}; it is stretched")
            hole = hole_shapes.resized(hole, photo.size)
        batch_files.check_size(
            job, "mask", photo.size, hole.shape, "or add --resize-mask, which scales it"
        )
        _check_hole(hole, job, invert, say)
    hole = edge.shape(hole)
    if by_alpha:
        opaque = np.where(hole, np.uint8(255), photo.alpha)
        photo = dataclasses.replace(photo, alpha=opaque if opaque.min() < 255 else None)
    photograph.check_holds(job.output, photo)
    for note in photo.notes:
        say(f"warning: {note}")
    if job.output.suffix.lower() in photograph.LOSSY:
        say(f"warning: {job.output} is a JPEG: known pixels change slightly. A .png keeps them.")
    return photo, hole


def _hole_of_transparency(photo: Photograph, job: Job) -> np.ndarray:
    """Returns the hole, bool (H, W), where the photograph is transparent by half or more."""
    if photo.alpha is None:
        raise UserError(
            f"The photo {job.photo} is not transparent anywhere, so --mask-from alpha finds no "
            "hole. Name a mask, or make the hole transparent."
        )
    hole = photo.alpha < _HALF
    if not hole.any() or hole.all():
        raise UserError(
            f"The photo {job.photo} is transparent by half or more "
            f"{'everywhere' if hole.all() else 'nowhere'}, so --mask-from alpha marks no hole in "
            "it. Name a mask, or make the hole alone transparent."
        )
    return hole


def _check_hole(
    hole: np.ndarray, job: Job, invert: bool, say: Callable[[str], None]
) -> None:
    """Raises UserError where a mask marks nothing or everything; tells a doubt of a large one."""
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


def _other_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether the sides of one size are in another ratio, beyond what rounding does."""
    return abs(one[0] * other[1] - one[1] * other[0]) > max(*one, *other)


def is_whole(value: object, least: int) -> bool:
    """Whether a value is a whole number, from `least`."""
    number = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return number and value >= least
