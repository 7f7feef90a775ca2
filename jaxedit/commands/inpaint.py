"""`jaxedit inpaint`: fills the holes of a user's photographs.

A hole is where the mask is white. Everything outside it comes back as it was, bit for bit (in a
PNG); size, aspect, EXIF, colour profile, transparency and greyscale are kept. All input is
checked before a network is loaded, and a result appears whole or not at all.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxedit.apply import batch_files, classical, contact_sheet, crops, photograph, suspicion
from jaxedit.apply import hole as hole_shapes
from jaxedit.apply.batch_files import Job
from jaxedit.apply.photograph import Photograph
from jaxedit.commands import command, counting, network
from jaxedit.commands.holes import AS_DRAWN, Edge, is_whole, read
from jaxedit.data import own_files
from jaxedit.errors import UserError
from jaxedit.host import levels

CLASSICAL = ("telea", "membrane", "biharmonic")
WHOLE = "whole"
_SMALLEST_RESOLUTION = 64


def add(commands) -> None:
    """Adds the parser of `jaxedit inpaint`."""
    parser = command.add(
        commands, "inpaint", main, "fill holes in photographs",
        "The mask is an image of the photo's size, white where the hole is. Photos of any size\n"
        "and shape; of a large one the network sees crops around the hole, at full resolution up\n"
        "to --resolution. In a PNG every pixel outside the hole comes back as it was; EXIF,\n"
        "colour profile and transparency are kept.\n\n"
        "  jaxedit inpaint photo.jpg mask.png --classical telea --output result.png\n"
        "  jaxedit inpaint photo.jpg mask.png --run runs/scat-demo --output result.png\n"
        "  jaxedit inpaint photos/ masks/ --weights scat-places2 --output results/\n"
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
                        help="widen the hole by this much on every side (default: 0); most masks "
                        "are drawn a little too narrow")
    parser.add_argument("--shrink", type=int, default=0, metavar="PIXELS",
                        help="narrow the hole by this much on every side (default: 0)")
    parser.add_argument("--feather", type=int, default=0, metavar="PIXELS",
                        help="fade from what is filled in to the photo over this much around the "
                        "hole, whose pixels change then (default: 0, none of them does)")
    parser.add_argument("--context", type=_context, metavar="PIXELS",
                        help="what the network sees around each part of the hole, in pixels, or "
                        "'whole' for the whole photo at once (default: half the part's longer "
                        f"side, at least {crops.CONTEXT})")
    parser.add_argument("--resolution", type=int, metavar="PIXELS",
                        help="longest side of what the network sees at once; a larger part of the "
                        f"hole is filled in tiles (default: four times what the "
                        f"network was trained on, at most {crops.RESOLUTION}; at least "
                        f"{_SMALLEST_RESOLUTION}); less takes less memory")
    parser.add_argument("--seamless", action="store_true",
                        help="spread over the hole what the network's picture lacks at its edge, "
                        "so that it meets the photo there; published networks are not made so, "
                        "and have it in their results as it is")
    parser.add_argument("--save-suspicion", type=pathlib.Path, metavar="PATH",
                        help="also write what the network's own discriminator takes for filled "
                        "in, a grey .png, white where it is sure; a folder where PHOTO is one. Of "
                        "a run that trains such a discriminator")
    network.add_common_options(parser)
    counting.only(parser, "--invert-mask --resize-mask", lambda a: a.mask_from is None,
                  "is about a MASK; leave it out with --mask-from.")
    counting.only(parser, "--context --resolution --seamless", lambda a: a.classical is None,
                  "is for networks; a classical method needs no choice.")
    counting.only(parser, "--save-suspicion", lambda a: a.classical is None,
                  "asks a network's discriminator; a classical method has none.")
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
    sheets = {"--compare": arguments.compare, "--save-suspicion": arguments.save_suspicion}
    options = {"overwrite": arguments.overwrite, "skip": arguments.skip_existing,
               "beside": batch_files.named(sheets), "say": command.tell}
    by_alpha = of_alpha(arguments)
    if by_alpha:
        jobs = batch_files.collect_alone(arguments.photo, arguments.output, **options)
    else:
        jobs = collect(arguments.photo, arguments.mask, arguments.output, **options)
    failures = run(jobs, lambda: network.load_applier(arguments, "inpaint", solver),
                   invert=arguments.invert_mask, by_alpha=by_alpha, edge=edge,
                   context=arguments.context, resolution=arguments.resolution,
                   seamless=arguments.seamless, compare=arguments.compare,
                   suspected=arguments.save_suspicion, say=command.tell)
    return network.exit_code(failures, jobs)


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
    if context is not None and context != WHOLE and not is_whole(context, 1):
        raise UserError(f"--context is {context!r}; expected pixels, from 1, or {WHOLE!r}.")
    if resolution is not None and not is_whole(resolution, _SMALLEST_RESOLUTION):
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
    resolution: int | None = None, feather: int = 0, seamless: bool = False,
) -> Photograph:
    """Returns `photo` with its hole filled.

    Args:
      applier: `jaxedit.apply.applier.Applier` of an "inpaint" task.
      photo: any size; crops of it go through a network whose task names what it was trained on.
      hole: bool (H, W), True inside the hole.
      context: "whole" shows the network the whole photo; else as in `crops.Cutting`.
      resolution: as in `crops.Cutting`; None is its default.
      feather: pixels around the hole over which the filling fades to the photograph.
      seamless: whether a network's filling is made to meet the photograph, see `crops.seamless`.
    """
    if feather:
        wider = hole_shapes.grown(hole, feather)
        filled = fill(applier, photo, wider, context=context, resolution=resolution,
                      seamless=seamless)
        return hole_shapes.softened(photo, filled, hole, feather)
    trained_on = getattr(getattr(applier, "task", None), "trained_on", None)
    tool = crops.seamless(applier) if seamless else applier
    if trained_on is not None and context != WHOLE:
        return crops.fill(tool, photo, hole, _cutting(trained_on, context, resolution))
    outputs = tool(image=photo.for_network(), mask=hole[..., None].astype(np.float32))
    return photo.filled(outputs["composite"], hole)


def _cutting(trained_on: int, context: int | None, resolution: int | None) -> crops.Cutting:
    """Returns how a photograph is cut for a network that was trained on such pictures."""
    resolution = resolution or crops.resolution_of(trained_on)
    smallest = min(max(trained_on, crops.SMALLEST), resolution)
    # Training's holes are about as wide as half of its pictures.
    return crops.Cutting(trained_on / 2, context, resolution, smallest)


def solver(name: str) -> Callable:
    """Returns a classical method of filling, called like the applier of an "inpaint" task."""
    from jaxedit.methods.scat import baselines

    estimate = getattr(baselines, name)

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
    edge: Edge = AS_DRAWN,
    context: int | str | None = None,
    resolution: int | None = None,
    seamless: bool = False,
    compare: pathlib.Path | None = None,
    suspected: pathlib.Path | None = None,
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
      suspected: where what the network's discriminator takes for filled goes; None: nowhere.
      say: is told about each result and each doubt.

    Raises:
      UserError: the only job failed, or the network could not be loaded.
    """

    def load_all() -> tuple[Callable, Callable | None]:
        applier = load()
        return applier, None if suspected is None else suspicion.beside(applier)

    def finish(
        tools: tuple[Callable, Callable | None], job: Job, content: tuple[Photograph, np.ndarray]
    ) -> str:
        (applier, suspect), (photo, hole) = tools, content
        options = {"context": context, "resolution": resolution, "feather": edge.feather}
        filled = fill(applier, photo, hole, seamless=seamless, **options)
        beside = {}
        if job.output not in job.kept:
            photograph.write(job.output, filled)
        if suspect is not None:
            around = None if context == WHOLE else context
            cutting = _cutting(applier.task.trained_on, around, resolution)
            changed = hole_shapes.grown(hole, edge.feather)
            grey = suspicion.of_filled(suspect, filled, changed, cutting)
            where = job.place(suspected)
            contact_sheet.write_grey(where, grey, own_files.MAP)
            beside[where] = "what the network's discriminator suspects, white where it is sure"
        if compare is not None:
            others = {name: fill(solver(name), photo, hole, **options) for name in CLASSICAL}
            columns = {"photo": _shown(photo, hole), "result": _shown(filled)}
            columns |= {name: _shown(other) for name, other in others.items()}
            where = job.place(compare)
            contact_sheet.write(where, columns, hole)
            beside[where] = f"the result beside {', '.join(CLASSICAL)}"
        height, width = photo.size
        line = f"{job.output}: {width} x {height} pixels, {hole.mean():.1%} filled"
        return batch_files.told(line, beside)

    return batch_files.run(
        jobs, read=lambda job: read(job, invert, say, by_alpha=by_alpha, edge=edge),
        load=load_all, finish=finish, say=say,
    )


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
