"""`jaxedit inpaint`: fills the holes of a user's photographs.

A hole is where the mask is white. Everything outside it comes back as it was, bit for bit (in a
PNG); size, aspect, EXIF, colour profile, transparency and greyscale are kept. All input is
checked before a network is loaded, and a result appears whole or not at all.
"""

from __future__ import annotations

import argparse
import dataclasses
import numbers
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxedit.apply import batch_files, classical, contact_sheet, crops, photograph
from jaxedit.apply import hole as hole_shapes
from jaxedit.apply.batch_files import Job
from jaxedit.apply.photograph import Photograph
from jaxedit.commands import command, counting, network
from jaxedit.data import images
from jaxedit.errors import UserError
from jaxedit.host import levels

# Above this share of hole, a mask that marks what to keep is likelier than one that marks a hole.
_LARGE_HOLE = 0.6
CLASSICAL = ("telea", "biharmonic")
WHOLE = "whole"
_SMALLEST_RESOLUTION = 64
_HALF = 128  # of 255, opacity


def add(commands) -> None:
    """Adds the parser of `jaxedit inpaint`."""
    parser = command.add(
        commands, "inpaint", main, "fill holes in photographs",
        "The mask is an image of the photo's size, white where the hole is. Photos of any size\n"
        "and shape; of a large one the network sees crops around the hole, at full resolution up\n"
        "to --resolution. In a PNG every pixel outside the hole comes back as it was; EXIF,\n"
        "colour profile and transparency are kept.\n\n"
        "  jaxedit inpaint photo.jpg mask.png --run runs/scat-demo --output result.png\n"
        "  jaxedit inpaint photos/ masks/ --weights scat-places2 --output results/\n"
        "  jaxedit inpaint photo.jpg mask.png --classical telea --output result.png\n"
        "  jaxedit inpaint cut.png --mask-from alpha --run runs/scat-demo --output result.png",
    )
    parser.add_argument("photo", type=pathlib.Path, metavar="PHOTO",
                        help="an image, or a folder of images")
    parser.add_argument("mask", type=pathlib.Path, metavar="MASK", nargs="?",
                        help="its mask; for a folder of photos one mask for all, or a folder of "
                        "masks with the photos' names")
    parser.add_argument("--mask-from", choices=("alpha",),
                        help="in place of MASK: the hole is where the photo is transparent (by "
                        "half or more); the result is opaque there")
    network.add_options(parser, CLASSICAL)
    command.add_output(parser, "the result, .png, .webp or .tif (exact) or .jpg; a folder where "
                       "PHOTO is one")
    parser.add_argument("--invert-mask", action="store_true",
                        help="black marks the hole")
    parser.add_argument("--resize-mask", action="store_true",
                        help="scale a mask of another size to the photo's")
    parser.add_argument("--grow", type=int, default=0, metavar="PIXELS",
                        help="widen the hole by this much on every side; most masks are drawn a "
                        "little too narrow")
    parser.add_argument("--shrink", type=int, default=0, metavar="PIXELS",
                        help="narrow the hole by this much")
    parser.add_argument("--feather", type=int, default=0, metavar="PIXELS",
                        help="fade from what is filled in to the photo over this much around the "
                        "hole, whose pixels change then (default: 0, none of them does)")
    parser.add_argument("--context", type=_context, metavar="PIXELS",
                        help="what the network sees around each part of the hole, in pixels, or "
                        "'whole' for the whole photo at once (default: half the part's longer "
                        f"side, at least {crops.CONTEXT})")
    parser.add_argument("--resolution", type=int, metavar="PIXELS",
                        help="longest side of what the network sees at once; a larger part of the "
                        f"hole is filled in tiles (default: {crops.RESOLUTION}); less takes less "
                        "memory")
    network.add_common_options(parser)
    counting.only(parser, "--invert-mask --resize-mask", lambda a: a.mask_from is None,
                  "is about a MASK; leave it out with --mask-from.")
    counting.only(parser, "--context --resolution", lambda a: a.classical is None,
                  "is for networks; a classical method needs no choice.")
    counting.only(parser, "--resolution", lambda a: a.context != WHOLE,
                  "limits crops, and --context whole asks for none.")


def main(arguments: argparse.Namespace) -> int:
    """`jaxedit inpaint`."""
    if arguments.mask_from and arguments.output is None:
        arguments.mask, arguments.output = None, arguments.mask  # the last word was no mask
        arguments.named_last = True
    command.need_output(arguments)
    network.check(arguments, "inpaint")
    check_cutting(arguments.context, arguments.resolution)
    edge = Edge(arguments.grow, arguments.shrink, arguments.feather, arguments.resize_mask)
    edge.check()
    options = {"overwrite": arguments.overwrite, "skip": arguments.skip_existing,
               "say": command.tell}
    by_alpha = of_alpha(arguments)
    if by_alpha:
        jobs = batch_files.collect_alone(arguments.photo, arguments.output, **options)
    else:
        jobs = collect(arguments.photo, arguments.mask, arguments.output, **options)
    of_folder = arguments.photo.is_dir()
    if arguments.compare is not None:
        contact_sheet.check(
            arguments.compare, jobs, of_folder=of_folder, overwrite=arguments.overwrite
        )
    failures = run(jobs, lambda: network.load_applier(arguments, "inpaint", solver),
                   invert=arguments.invert_mask, by_alpha=by_alpha, edge=edge,
                   context=arguments.context, resolution=arguments.resolution,
                   compare=arguments.compare, of_folder=of_folder, say=command.tell)
    return network.exit_code(failures, jobs)


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
            if not _is_whole(value, 0):
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


def of_alpha(arguments: argparse.Namespace) -> bool:
    """Returns whether the photo's transparency is its mask.

    Raises:
      UserError: neither it nor a mask is named, or both.
    """
    if arguments.mask is None and arguments.mask_from is None:
        raise UserError(
            f"Where is the hole in {arguments.photo}? Name a mask after it, or add "
            "--mask-from alpha where its transparency marks the hole."
        )
    if arguments.mask is not None and arguments.mask_from is not None:
        raise UserError(
            f"The hole is given twice: by {arguments.mask} and by --mask-from. Leave one out."
        )
    return arguments.mask_from is not None


def check_cutting(context: int | str | None, resolution: int | None) -> None:
    """Raises UserError where --context or --resolution says nothing of use."""
    if context is not None and context != WHOLE and not _is_whole(context, 1):
        raise UserError(f"--context is {context!r}; expected pixels, from 1, or {WHOLE!r}.")
    if resolution is not None and not _is_whole(resolution, _SMALLEST_RESOLUTION):
        raise UserError(
            f"--resolution is {resolution!r}; expected at least {_SMALLEST_RESOLUTION} pixels."
        )


def collect(
    photo: pathlib.Path, mask: pathlib.Path, output: pathlib.Path, **options: Any
) -> list[Job]:
    """Returns the pairs to fill, see `batch_files.collect`."""
    return batch_files.collect(photo, mask, output, what="mask", one_for_all=True, **options)


def fill(
    applier: Callable, photo: Photograph, hole: np.ndarray, *, context: int | str | None = None,
    resolution: int | None = None, feather: int = 0,
) -> Photograph:
    """Returns `photo` with its hole filled.

    Args:
      applier: `jaxedit.apply.applier.Applier` of an "inpaint" task.
      photo: any size; crops of it go through a network whose task names what it was trained on.
      hole: bool (H, W), True inside the hole.
      context: "whole" shows the network the whole photo; else as in `crops.Cutting`.
      resolution: as in `crops.Cutting`; None is its default.
      feather: pixels around the hole over which the filling fades to the photograph.
    """
    if feather:
        wider = hole_shapes.grown(hole, feather)
        filled = fill(applier, photo, wider, context=context, resolution=resolution)
        return hole_shapes.softened(photo, filled, hole, feather)
    trained_on = getattr(getattr(applier, "task", None), "trained_on", None)
    if trained_on is not None and context != WHOLE:
        resolution = resolution or crops.RESOLUTION
        smallest = min(max(trained_on, crops.SMALLEST), resolution)
        # Training's holes are about as wide as half of its pictures.
        cutting = crops.Cutting(trained_on / 2, context, resolution, smallest)
        return crops.fill(applier, photo, hole, cutting)
    outputs = applier(image=photo.for_network(), mask=hole[..., None].astype(np.float32))
    return photo.filled(outputs["composite"], hole)


def solver(name: str) -> Callable:
    """Returns a classical method of filling, called like the applier of an "inpaint" task."""
    from jaxedit.methods.scat import baselines

    estimate = {"telea": baselines.telea, "biharmonic": baselines.biharmonic}[name]

    def fill_one(**inputs: np.ndarray) -> dict[str, np.ndarray]:
        hole = inputs["mask"][..., 0] > 0.5
        filled = classical.within(estimate, inputs, hole, baselines.REACH[name])
        return {"composite": inputs["image"] if filled is None else filled}

    return fill_one


def run(
    jobs: list[Job],
    load: Callable[[], Callable],
    *,
    invert: bool = False,
    by_alpha: bool = False,
    edge: Edge = Edge(),
    context: int | str | None = None,
    resolution: int | None = None,
    compare: pathlib.Path | None = None,
    of_folder: bool = False,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Fills the holes of all jobs, one after the other; returns a line for each that failed.

    Args:
      jobs: from `collect`.
      load: returns the applier; called when the first photograph has passed its checks.
      invert: black marks the hole.
      by_alpha: transparency marks the hole.
      edge: what to make of the hole's edge.
      context, resolution: as of `fill`.
      compare: where a sheet with the classical methods' results goes too; None writes none.
      of_folder: whether the photos were given as a folder, and so `compare` is one.
      say: is told about each result and each doubt.

    Raises:
      UserError: the only job failed, or the network could not be loaded.
    """

    def finish(applier: Callable, job: Job, content: tuple[Photograph, np.ndarray]) -> str:
        photo, hole = content
        options = {"context": context, "resolution": resolution, "feather": edge.feather}
        filled = fill(applier, photo, hole, **options)
        photograph.write(job.output, filled)
        if compare is not None:
            others = {name: fill(solver(name), photo, hole, **options) for name in CLASSICAL}
            columns = {"photo": _shown(photo, hole), "result": _shown(filled)}
            columns |= {name: _shown(other) for name, other in others.items()}
            contact_sheet.write(contact_sheet.place(compare, job, of_folder), columns, hole)
        height, width = photo.size
        return f"{job.output}: {width} x {height} pixels, {hole.mean():.1%} filled"

    return batch_files.run(
        jobs, read=lambda job: read(job, invert, say, by_alpha=by_alpha, edge=edge), load=load,
        finish=finish, say=say,
    )


def read(
    job: Job, invert: bool, say: Callable[[str], None], *, by_alpha: bool = False,
    edge: Edge = Edge(),
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


def _is_whole(value: object, least: int) -> bool:
    number = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return number and value >= least


def _context(word: str) -> int | str:
    """Returns what --context says."""
    if word == WHOLE:
        return word
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(
            f"{word!r} is neither a number of pixels, from 1, nor {WHOLE!r}"
        )
    return int(word)


def _shown(photo: Photograph, hole: np.ndarray | None = None) -> np.ndarray:
    """Returns uint8 (H, W, 3), the hole white where it is given."""
    shown = levels.of_picture(photo.for_network())
    return shown if hole is None else np.where(hole[..., None], np.uint8(255), shown)
