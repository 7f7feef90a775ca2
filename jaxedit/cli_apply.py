"""The commands that apply a network to a user's pictures: `jaxedit inpaint`, `jaxedit matte`."""

from __future__ import annotations

import argparse
import pathlib

from jaxedit import command
from jaxedit.errors import UserError

Path = pathlib.Path


def add_commands(commands) -> None:
    """Adds the parsers of this module's commands."""
    _add_inpaint(commands)
    _add_matte(commands)


def _add_inpaint(commands) -> None:
    parser = command.add(
        commands, "inpaint", inpaint, "fill holes in photographs",
        "The mask is an image of the photo's size, white where the hole is. Photos of any size\n"
        "and shape; nothing is resized. In a PNG every pixel outside the hole comes back as it\n"
        "was; EXIF, colour profile and transparency are kept.\n\n"
        "  jaxedit inpaint photo.jpg mask.png --run runs/scat-demo --output result.png\n"
        "  jaxedit inpaint photos/ masks/ --weights scat-places2 --output results/",
    )
    parser.add_argument("photo", type=Path, metavar="PHOTO",
                        help="an image, or a folder of images")
    parser.add_argument("mask", type=Path, metavar="MASK",
                        help="its mask, or a folder of masks with the photos' names")
    _add_network(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="OUT",
                        help="the result, .png (exact) or .jpg; a folder where PHOTO is one")
    parser.add_argument("--invert-mask", action="store_true",
                        help="black marks the hole")
    _add_common(parser)


def _add_matte(commands) -> None:
    parser = command.add(
        commands, "matte", matte, "cut a subject out of photographs",
        "A trimap says of every pixel whether it is background (0), unknown (128) or foreground\n"
        "(255); a coarse mask, white on the subject, is made into one. The result is the subject\n"
        "in its own colours with transparency around it, or before another background. Photos\n"
        "of any size; large ones are computed in tiles.\n\n"
        "  jaxedit matte photo.jpg --trimap trimap.png --run runs/matting-demo --output out.png\n"
        "  jaxedit matte photo.jpg --mask coarse.png --weights dpt --background sea.jpg \\\n"
        "      --output composite.png\n"
        "  jaxedit matte photos/ --trimap trimaps/ --weights matteformer --output cutouts/",
    )
    parser.add_argument("photo", type=Path, metavar="PHOTO",
                        help="an image, or a folder of images")
    companion = parser.add_mutually_exclusive_group(required=True)
    companion.add_argument("--trimap", type=Path, metavar="T",
                           help="its trimap, or a folder of trimaps with the photos' names")
    companion.add_argument("--mask", type=Path, metavar="COARSE",
                           help="a coarse mask of the subject, or a folder of masks")
    _add_network(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="OUT",
                        help="the result, .png (.jpg too with --background); a folder where PHOTO "
                        "is one")
    parser.add_argument("--background", type=Path, metavar="NEW",
                        help="an image to put behind the subject; it is scaled to cover the photo")
    parser.add_argument("--alpha-only", action="store_true",
                        help="write the matte itself, as a grey picture")
    parser.add_argument("--premultiplied", action="store_true",
                        help="multiply the colours by the opacity (PNG means straight alpha)")
    parser.add_argument("--keep-colours", action="store_true",
                        help="keep the photo's colours, with a fringe of the old background, "
                        "instead of estimating the subject's; what is transparent stays in the "
                        "file")
    parser.add_argument("--trimap-width", type=float, metavar="SHARE",
                        help="with --mask: width of the unknown band as share of the subject's "
                        "size (default: 0.02); a third of it lies inside of the mask")
    parser.add_argument("--save-trimap", type=Path, metavar="PATH",
                        help="with --mask: keep the trimap; a folder where PHOTO is one")
    parser.add_argument("--round-trimap", action="store_true",
                        help="accept trimaps of other values: below 85 is background, from 170 "
                        "foreground, unknown between")
    parser.add_argument("--tile", type=int, metavar="PIXELS",
                        help="compute in tiles of this side; 0 never does (default: 1024 for "
                        "photos of more than 2 megapixels)")
    _add_common(parser)


def _add_network(parser: argparse.ArgumentParser) -> None:
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("--run", type=Path, metavar="DIRECTORY",
                         help="a run directory that `python -m jaxedit.main` made")
    network.add_argument("--weights", metavar="NAME",
                         help="published weights, see `jaxedit weights list`")
    parser.add_argument("--step", metavar="STEP",
                        help="with --run: a checkpoint's step, 'last' or 'best' (default: last)")


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--overwrite", action="store_true",
                        help="replace results that exist")
    parser.add_argument("--bucket", type=int, metavar="PIXELS",
                        help="sides are padded to multiples of this (default: 64): larger means "
                        "fewer compilations for a folder of many sizes")


def inpaint(arguments: argparse.Namespace) -> int:
    """`jaxedit inpaint`."""
    from jaxedit import inpaint as front_end

    _check_step(arguments)
    jobs = front_end.plan(arguments.photo, arguments.mask, arguments.output,
                          overwrite=arguments.overwrite, say=command.tell)
    failures = front_end.run(jobs, lambda: _load_applier(arguments, "inpaint"),
                             invert=arguments.invert_mask, say=command.tell)
    return _exit_code(failures, jobs)


def matte(arguments: argparse.Namespace) -> int:
    """`jaxedit matte`."""
    from jaxedit import matte as front_end

    _check_step(arguments)
    options = front_end.Options(
        from_mask=arguments.mask is not None,
        trimap_width=arguments.trimap_width,
        round_trimap=arguments.round_trimap,
        save_trimap=arguments.save_trimap,
        background=arguments.background,
        alpha_only=arguments.alpha_only,
        premultiplied=arguments.premultiplied,
        keep_colours=arguments.keep_colours,
        tile=arguments.tile,
    )
    companion = arguments.mask if arguments.trimap is None else arguments.trimap
    jobs = front_end.plan(arguments.photo, companion, arguments.output, options,
                          overwrite=arguments.overwrite, say=command.tell)
    failures = front_end.run(jobs, lambda: _load_applier(arguments, "matte"), options,
                             of_folder=arguments.photo.is_dir(), say=command.tell)
    return _exit_code(failures, jobs)


def _check_step(arguments: argparse.Namespace) -> None:
    if arguments.step is not None and arguments.run is None:
        raise UserError("--step chooses a checkpoint of --run; published weights have none.")


def _exit_code(failures: list[str], jobs: list) -> int:
    if failures:
        command.tell(f"{len(failures)} of {len(jobs)} photos failed; the others are done.")
    return 1 if failures else 0


def _load_applier(arguments: argparse.Namespace, task: str):
    from jaxedit import apply, sharding

    sharding.enable_compilation_cache()
    bucket = apply.BUCKET if arguments.bucket is None else arguments.bucket
    options = {"bucket": bucket, "say": command.tell}
    if arguments.run is not None:
        return apply.from_run(arguments.run, task, step=arguments.step, **options)
    return apply.from_weights(arguments.weights, task, **options)
