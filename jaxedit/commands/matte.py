"""`jaxedit matte`: cuts the subject out of a user's photographs.

Photo and trimap (or a coarse mask, from which a trimap is made) lead to a matte; the matte to a
cut-out with transparency, to a composite over another background, or to a file of its own. All
input is checked before a network is loaded, and a result appears whole or not at all.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Callable

import numpy as np

from jaxedit.apply import (
    batch_files,
    classical,
    contact_sheet,
    cutout,
    photograph,
    subject,
    tiles,
)
from jaxedit.apply import trimap as trimap_files
from jaxedit.apply.batch_files import Job
from jaxedit.apply.photograph import Photograph
from jaxedit.commands import command, counting, network
from jaxedit.commands.matte_options import Options
from jaxedit.data import alpha_matting, images, own_files, trimaps
from jaxedit.errors import UserError
from jaxedit.host import levels

SMALLEST = 32  # pixels, of a photo's shorter side
TILE = 1024  # pixels, of the tiles of a large photograph
WHOLE = 2_000_000  # pixels of the largest photograph that is not cut into tiles by default
CLASSICAL = ("closed-form", "knn")


def add(commands) -> None:
    """Adds the parser of `jaxedit matte`."""
    parser = command.add(
        commands, "matte", main, "cut a subject out of photographs",
        "A trimap says of every pixel whether it is background (0), unknown (128) or foreground\n"
        "(255); a coarse mask, white on the subject, is made into one. Without either GrabCut\n"
        "makes the mask, in a --box or in the whole photo. The result is the subject\n"
        "in its own colours with transparency around it, or before another background. Photos\n"
        "of any size; large ones are computed in tiles.\n\n"
        "  jaxedit matte photo.jpg --trimap trimap.png --run runs/matting-demo --output out.png\n"
        "  jaxedit matte photo.jpg --mask coarse.png --weights dpt --background sea.jpg \\\n"
        "      --output composite.png\n"
        "  jaxedit matte photos/ --trimap trimaps/ --weights matteformer --output cutouts/\n"
        "  jaxedit matte photo.jpg --mask coarse.png --classical closed-form --output out.png",
    )
    parser.add_argument("photo", type=pathlib.Path, metavar="PHOTO",
                        help="an image, or a folder of images")
    companion = parser.add_mutually_exclusive_group()
    companion.add_argument("--trimap", type=pathlib.Path, metavar="T",
                           help="its trimap, of the photo's size, or a folder of trimaps with the "
                           "photos' names")
    companion.add_argument("--mask", type=pathlib.Path, metavar="COARSE",
                           help="a coarse mask, of the photo's size, white on the subject, or a "
                           "folder of masks with the photos' names")
    companion.add_argument("--box", metavar="X,Y,W,H",
                           help="a box around the subject: left, top, width and height in pixels, "
                           "such as 120,40,300,500; in it GrabCut, which goes by colours, makes "
                           "the coarse mask. With none of the three it looks in the whole photo")
    network.add_options(parser, CLASSICAL)
    command.add_output(parser, "the result, .png (.jpg too with --background); a folder where "
                       "PHOTO is one")
    parser.add_argument("--background", type=pathlib.Path, metavar="NEW",
                        help="an image to put behind the subject; it is scaled to cover the photo")
    parser.add_argument("--alpha-only", action="store_true",
                        help="write the matte itself, as a grey picture")
    parser.add_argument("--premultiplied", action="store_true",
                        help="multiply the colours by the opacity (PNG means straight alpha)")
    parser.add_argument("--keep-colours", "--keep-colors", action="store_true",
                        help="keep the photo's colours, with a fringe of the old background, "
                        "instead of estimating the subject's; what is transparent stays in the "
                        "file")
    parser.add_argument("--trimap-width", type=float, metavar="SHARE",
                        help="without --trimap: width of the unknown band as a share of the "
                        "subject's size (default: 0.02); a third of it lies inside of the mask")
    parser.add_argument("--save-trimap", type=pathlib.Path, metavar="PATH",
                        help="without --trimap: write the trimap that was made too, .png; a "
                        "folder where PHOTO is one")
    parser.add_argument("--round-trimap", action="store_true",
                        help="with --trimap: accept other values than 0, 128 and 255: below 85 is "
                        "background, from 170 foreground, unknown between")
    parser.add_argument("--tile", type=int, metavar="PIXELS",
                        help="compute in tiles of this side, at least 128; 0 never does (default: "
                        "1024 for photos of more than 2 megapixels, else 0; 0 with --classical)")
    network.add_common_options(
        parser, bucket="few lengths, 64, 128, 192, 256, 384, 512, 768 and so on; where a network "
        "has a padding of its own, no more than that",
    )
    counting.only(parser, "--trimap-width --save-trimap", lambda a: a.trimap is None,
                  "is about the trimap that is made from a mask; leave it out with --trimap.")
    counting.only(parser, "--round-trimap", lambda a: a.trimap is not None,
                  "is about the values of a --trimap, and none is named.")
    counting.only(parser, "--background --keep-colours", lambda a: not a.alpha_only,
                  "is not seen with --alpha-only, which writes the matte alone; leave one out.")
    counting.only(parser, "--premultiplied", lambda a: not a.alpha_only and a.background is None,
                  "is about the colours of a transparent cut-out; leave it out with --alpha-only "
                  "and --background.")


def main(arguments: argparse.Namespace) -> int:
    """`jaxedit matte`."""
    command.need_output(arguments)
    network.check(arguments, "matte")
    cut = arguments.mask is None and arguments.trimap is None
    options = Options(
        from_mask=cut or arguments.mask is not None,
        cut=cut,
        box=None if arguments.box is None else subject.box_of(arguments.box),
        trimap_width=arguments.trimap_width,
        round_trimap=arguments.round_trimap,
        save_trimap=arguments.save_trimap,
        background=arguments.background,
        alpha_only=arguments.alpha_only,
        premultiplied=arguments.premultiplied,
        keep_colours=arguments.keep_colours,
        compare=arguments.compare,
        tile=0 if arguments.classical and arguments.tile is None else arguments.tile,
    )
    companion = arguments.mask or arguments.trimap
    jobs = collect(arguments.photo, companion, arguments.output, options,
                   overwrite=arguments.overwrite, skip=arguments.skip_existing,
                   say=command.tell)
    failures = run(jobs, lambda: network.load_applier(arguments, "matte", solver), options,
                   say=command.tell)
    return network.exit_code(failures, jobs)


def collect(
    photo: pathlib.Path,
    companion: pathlib.Path | None,
    output: pathlib.Path,
    options: Options,
    *,
    overwrite: bool = False,
    skip: bool = False,
    say: Callable[[str], None] = print,
) -> list[Job]:
    """Returns what to do for a photo and its trimap or mask, or for two folders of them.

    Raises:
      UserError: as `batch_files.collect`, options that contradict each other, or a background or a
        place for trimaps that does not fit.
    """
    options.check()
    # A composite has no transparency, so it may be a JPEG.
    suffixes = photograph.EXACT
    if options.background is not None:
        suffixes = (*photograph.EXACT, *photograph.LOSSY)
        if not options.background.is_file():
            raise UserError(
                f"The background {options.background} is no file. Name one image file."
            )
    others = () if options.background is None else (options.background,)
    if options.compare is not None:
        alpha_matting.check("--compare")
    sheets = {"--save-trimap": options.save_trimap, "--compare": options.compare}
    rules = {"overwrite": overwrite, "skip": skip, "suffixes": suffixes, "say": say,
             "beside": batch_files.named(sheets)}
    if options.cut:
        if options.box is not None and photo.is_dir():
            raise UserError(f"--box is of one photo, and {photo} is a folder. Give --mask masks.")
        jobs = batch_files.collect_alone(photo, output, **rules)
    else:
        jobs = batch_files.collect(
            photo, companion, output, what=options.companion, others=others, **rules
        )
    return jobs


def run(
    jobs: list[Job],
    load: Callable[[], Callable],
    options: Options,
    *,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Does all jobs, one after the other; returns a line for each that failed.

    Args:
      jobs: from `collect`.
      load: returns the applier; called when the first photograph has passed its checks.
      options: as given to `collect`.
      say: is told about each result and each doubt.

    Raises:
      UserError: the only job failed, or the network or background could not be read.
    """
    background = None
    if options.background is not None:
        background = photograph.read_opaque(options.background, say)

    def finish(applier: Callable, job: Job, content: tuple[Photograph, np.ndarray]) -> str:
        (photo, trimap), beside = content, {}
        if options.save_trimap is not None:
            kept = job.place(options.save_trimap)
            contact_sheet.write_grey(kept, trimaps.to_levels(trimap), own_files.TRIMAP)
            beside[kept] = "the trimap"
        alpha = estimate(applier, photo, trimap, tile=options.tile, say=say)
        if job.output not in job.kept:
            photograph.write(job.output, render(photo, alpha, background, options))
        if options.compare is not None:
            mattes = {"result": alpha}
            mattes |= {name: estimate(solver(name), photo, trimap, tile=0) for name in CLASSICAL}
            columns = {"photo": cutout.rgb(photo), "trimap": trimaps.to_levels(trimap)[..., None]}
            columns |= {name: levels.of_opacity(matte)[..., None] for name, matte in mattes.items()}
            sheet = job.place(options.compare)
            contact_sheet.write(sheet, columns, trimap == trimaps.UNKNOWN)
            beside[sheet] = f"the matte beside {' and '.join(CLASSICAL)}"
        height, width = photo.size
        unknown = float((trimap == trimaps.UNKNOWN).mean())
        guessed = " (GrabCut has guessed it by colours: look at the result)" if options.cut else ""
        return batch_files.told(
            f"{job.output}: {width} x {height} pixels, {unknown:.1%} of them estimated; the "
            f"subject covers {alpha.mean():.1%}{guessed}", beside,
        )

    def read_job(job: Job) -> tuple[Photograph, np.ndarray]:
        photo, trimap = read(job, options, say)
        for note in photo.notes:
            say(f"warning: {note}")
        if photo.pixels.dtype == np.uint16 and not options.alpha_only:
            say(f"warning: {job.photo} has 16 bits; the result has 8.")
        if background is not None and _other_profile(photo, background):
            say(
                f"warning: {options.background} and {job.photo} have different colour profiles; "
                "the background's values are taken as they are."
            )
        if job.output.suffix.lower() in photograph.LOSSY:
            say(f"warning: {job.output} is a JPEG: pixels change slightly. A .png keeps them.")
        return photo, trimap

    return batch_files.run(jobs, read=read_job, load=load, finish=finish, say=say)


def read(
    job: Job, options: Options, say: Callable[[str], None]
) -> tuple[Photograph, np.ndarray]:
    """Returns the photograph of a job and the labels of its trimap, uint8 (H, W), checked.

    Raises:
      UserError: unreadable or too small files, sizes that differ, or a trimap or mask with
        nothing to estimate.
    """
    photo = photograph.fitting(photograph.read(job.photo), job.output)
    check_size(photo, f"The photo {job.photo}")
    if options.from_mask:
        mask = _coarse(job, photo, options)
        share = trimaps.MASK_WIDTH if options.trimap_width is None else options.trimap_width
        try:
            trimap = trimaps.from_mask(mask, share)
        except UserError as error:
            raise UserError(f"{job.companion}: {error}") from error
        name = f"The trimap made from {job.companion}"
    else:
        trimap = trimap_files.read(job.companion, by_thresholds=options.round_trimap)
        batch_files.check_size(job, "trimap", photo.size, trimap.shape)
        name = f"The trimap {job.companion}"
    for doubt in trimap_files.check(trimap, name):
        say(f"warning: {doubt}")
    return photo, trimap


def check_size(photo: Photograph, name: str) -> None:
    """Raises UserError where a photo, which the message calls `name`, is too small for matting."""
    height, width = photo.size
    if min(height, width) < SMALLEST:
        raise UserError(
            f"{name} has {width} x {height} pixels; matting needs {SMALLEST} on each side. Use a "
            "larger version of it."
        )


def _coarse(job: Job, photo: Photograph, options: Options) -> np.ndarray:
    """Returns the coarse mask of a job's subject, bool (H, W)."""
    if options.cut:
        return subject.mask_in(photo, options.box or subject.whole(photo.size))
    mask = images.read_mask(job.companion, white="subject")
    batch_files.check_size(job, "mask", photo.size, mask.shape)
    return mask


def estimate(
    applier: Callable,
    photo: Photograph,
    trimap: np.ndarray,
    *,
    tile: int | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> np.ndarray:
    """Returns the matte of a photograph, float32 (H, W) in [0, 1].

    Args:
      applier: `jaxedit.apply.applier.Applier` of a "matte" task.
      photo: any size.
      trimap: labels uint8 (H, W); its known pixels come back as 0 and 1.
      tile: as `Options.tile`. Refinement is defined relative to what the network is given, so a
        tiled matte differs a little from that of the whole photograph.
      say: is told about the progress of tiles.
    """
    inputs = {"image": photo.for_network(), "trimap": trimap[..., None].astype(np.float32)}
    if tile is None:
        tile = TILE if trimap.size > WHOLE else 0
    if tile == 0 or max(trimap.shape) <= tile:
        alpha = applier(**inputs)["alpha"]
    else:
        alpha = tiles.apply(
            applier, inputs, "alpha", needed=trimap == trimaps.UNKNOWN,
            start=inputs["trimap"] / 2, tile=tile, overlap=tile // 8,
            progress=lambda done, total: say(f"tile {done} of {total}"),
        )
    alpha = np.clip(np.asarray(alpha, np.float32)[..., 0], 0, 1)
    # Blending and padding must not touch what the user has said.
    known = trimap.astype(np.float32) / trimaps.FOREGROUND
    return np.where(trimap == trimaps.UNKNOWN, alpha, known)


def solver(name: str) -> Callable:
    """Returns a classical method of matting, called like the applier of a "matte" task.

    Raises:
      UserError: PyMatting is absent.
    """
    from jaxedit.methods.matting import baselines

    alpha_matting.check(f"--classical {name}")
    if name == "knn":  # looks for similar pixels in the whole photograph
        return lambda **inputs: {"alpha": baselines.knn({n: a[None] for n, a in inputs.items()})[0]}

    def estimate_one(**inputs: np.ndarray) -> dict[str, np.ndarray]:
        unknown = inputs["trimap"][..., 0] == trimaps.UNKNOWN
        alpha = classical.within(
            baselines.closed_form, inputs, unknown, baselines.CLOSED_FORM_REACH
        )
        return {"alpha": inputs["trimap"] / 2 if alpha is None else alpha}

    return estimate_one


def render(
    photo: Photograph, alpha: np.ndarray, background: Photograph | None, options: Options
) -> Photograph:
    """Returns the result that `options` ask for, ready to be written.

    Args:
      photo: any size.
      alpha: float32 (H, W) in [0, 1].
      background: of any size, or None.
      options: as in `Options`.
    """
    if options.alpha_only:
        return cutout.opacity_map(alpha)
    colours = cutout.rgb(photo) if options.keep_colours else cutout.own_colours(photo, alpha)
    if background is None:
        return cutout.transparent(photo, alpha, colours, premultiplied=options.premultiplied)
    return cutout.composite(photo, alpha, colours, cutout.covering(background, photo.size))


def _other_profile(photo: Photograph, background: Photograph) -> bool:
    grey = photo.pixels.ndim == 2 or background.pixels.ndim == 2
    return not grey and photo.metadata.icc_profile != background.metadata.icc_profile
