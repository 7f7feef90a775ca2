"""`jaxedit edit`: changes one thing in a user's photographs, as a text says.

The prompt tells what the edited picture shows. Where a mask or a region is named, a crop around it
goes through the network and every pixel outside comes back as it was, bit for bit (in a PNG); size,
aspect, EXIF, colour profile, transparency and greyscale are kept. All input is checked before a
network is loaded, and a result appears whole or not at all.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Callable

import numpy as np

from jaxedit.apply import batch_files, contact_sheet, photograph, views
from jaxedit.apply.batch_files import Job
from jaxedit.apply.photograph import Photograph
from jaxedit.apply.views import View
from jaxedit.commands import command, counting, edit_network, network
from jaxedit.commands.edit_network import Editor
from jaxedit.commands.edit_options import Options
from jaxedit.data import images
from jaxedit.errors import UserError
from jaxedit.host import levels

_SMALL, _LARGE = 0.01, 0.8  # share of the photo that a region is doubted below and above


PUBLISHED = "published for it is Stable Diffusion 1.x, whose folder --weights takes as it is"


def add(commands) -> None:
    """Adds the parser of `jaxedit edit`."""
    parser = command.add(
        commands, "edit", main, "change one thing in photographs by a text",
        "The prompt says what the edited picture shows, not what to do. White in MASK is what may\n"
        "change; --region finds it by a word (with a CLIPSeg); with neither, all may. The network\n"
        "sees a crop around the mask, and in a PNG every pixel outside comes back as it was.\n\n"
        '  jaxedit edit photo.jpg --prompt "a red hat" --mask hat.png --run runs/mine --output '
        "out.png\n"
        '  jaxedit edit photo.jpg --prompt "a red hat" --region "hat" --segmenter clipseg/ \\\n'
        "      --weights stable-diffusion-v1-4/ --output out.png\n"
        '  jaxedit edit photos/ --prompt "a meadow in snow" --run runs/mine --variants 3 --output '
        "out/",
    )
    parser.add_argument("photo", type=pathlib.Path, metavar="PHOTO",
                        help="an image, or a folder of images")
    parser.add_argument("--prompt", required=True, metavar="TEXT",
                        help="what the edited picture shows")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--mask", type=pathlib.Path, metavar="MASK",
                       help="an image of the photo's size, white where it may change, or a folder "
                       "of masks with the photos' names")
    where.add_argument("--region", metavar="WORD", help="what may change, in a word or two")
    parser.add_argument("--segmenter", type=pathlib.Path, metavar="DIRECTORY",
                        help="with --region: the folder of a CLIPSeg, such as "
                        "clipseg-rd64-refined")
    parser.add_argument("--invert-mask", action="store_true", help="black marks what may change")
    network.add_options(
        parser, (), "the folder of a Stable Diffusion 1.x model as published, one file of it (with "
        "--tokenizer), or weights' name, see `jaxedit weights list`",
    )
    parser.add_argument("--tokenizer", type=pathlib.Path, metavar="DIRECTORY",
                        help="with --weights FILE: the folder of CLIP's tokenizer")
    command.add_output(parser, "the result, .png, .webp or .tif (exact) or .jpg; a folder "
                       "where PHOTO is one")
    parser.add_argument("--strength", type=float, metavar="SHARE",
                        help="how far the photo goes towards noise before the text shapes it "
                        "again, above 0 and up to 1: a little keeps much of it, 1 keeps nothing "
                        "(default: the network's, 0.7 as a rule)")
    parser.add_argument("--guidance", type=float, metavar="NUMBER",
                        help="how much the prompt counts, from 0 to 100; 1 is the plain network, "
                        "7.5 is usual (default: the network's)")
    parser.add_argument("--steps", type=int, metavar="N",
                        help="steps of the sampler from noise to picture, from 1; of them "
                        "--strength takes its share (default: the network's)")
    parser.add_argument("--negative-prompt", default="", metavar="TEXT",
                        help="what the result should not show (default: nothing)")
    parser.add_argument("--start", choices=("noise", "ddim"), default="noise",
                        help="start from the photo with noise, as in training, or from its "
                        "inversion, which keeps more of it at a guidance up to 3 (default: noise)")
    parser.add_argument("--caption", default="", metavar="TEXT",
                        help="with --start ddim: what the photo shows (default: nothing is said)")
    parser.add_argument("--seed", type=int, default=0, metavar="N",
                        help="of the noise of the first result (default: 0)")
    parser.add_argument("--variants", type=int, default=1, metavar="N",
                        help="so many results, from 1 (default: 1), OUT-1 and on, each of the "
                        "next seed")
    parser.add_argument("--context", type=int, metavar="PIXELS",
                        help="what the network sees around the mask (default: half of its longer "
                        "side, and as much as the network was trained with)")
    parser.add_argument("--resolution", type=int, metavar="PIXELS",
                        help="longest side of what the network sees; larger parts are scaled down "
                        "(default: one and a half times what it was trained on)")
    parser.add_argument("--feather", type=int, default=views.FEATHER, metavar="PIXELS",
                        help="pixels over which the edit comes in, from the mask's rim inwards "
                        f"(default: {views.FEATHER})")
    parser.add_argument("--whole", action="store_true",
                        help="show the network the whole photo and write what it returns, "
                        "outside of the mask too")
    parser.add_argument("--strip", type=pathlib.Path, metavar="SHEET",
                        help="also write photo, mask and results side by side, .png; a folder "
                        "where PHOTO is one")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32",
                        help="with --weights of a Stable Diffusion: what its UNet computes in "
                        "(default: float32; bfloat16 takes less memory)")
    network.add_file_options(parser, "an eighth of the network's training pictures")
    _say_what_counts(parser)


def _say_what_counts(parser: argparse.ArgumentParser) -> None:
    crops = lambda a: not a.whole and (a.mask is not None or a.region is not None)
    counting.only(parser, "--invert-mask", lambda a: a.mask is not None,
                  "is about a --mask, and none is named.")
    counting.only(parser, "--feather", crops,
                  "is for the rim of a --mask or --region: leave it out without one, and with "
                  "--whole, which asks for none.")
    counting.only(parser, "--context", crops,
                  "is for crops around a --mask or --region: leave it out without one, and with "
                  "--whole, which asks for none.")
    counting.only(parser, "--segmenter", lambda a: a.region is not None,
                  "finds a --region, and none is named.")
    counting.only(parser, "--caption", lambda a: a.start == "ddim",
                  "tells what the photo shows to a start by inversion: add --start ddim, or leave "
                  "it out.")
    counting.only(parser, "--seed --variants", lambda a: a.start == "noise",
                  "is about the noise that is drawn; from its inversion, --start ddim, a photo has "
                  "one result. Leave it out.")
    counting.only(parser, "--negative-prompt", lambda a: a.guidance != 1,
                  "changes nothing with --guidance 1, the plain network: leave one of them out.")
    counting.only(parser, "--tokenizer", lambda a: a.run is None,
                  "is for --weights that are one file; a run has its own.")
    counting.only(parser, "--precision", lambda a: a.run is None,
                  "is for the published Stable Diffusion; a run computes in what it was trained "
                  "in.")


def main(arguments: argparse.Namespace) -> int:
    """`jaxedit edit`."""
    command.need_output(arguments)
    options = Options(
        prompt=arguments.prompt, negative=arguments.negative_prompt, caption=arguments.caption,
        strength=arguments.strength, guidance=arguments.guidance, steps=arguments.steps,
        start=arguments.start, seed=arguments.seed, variants=arguments.variants,
        context=arguments.context, resolution=arguments.resolution, feather=arguments.feather,
        whole=arguments.whole, region=arguments.region,
        segmenter=None if arguments.segmenter is None else str(arguments.segmenter),
    )
    options.check()
    network.check(arguments, "edit", PUBLISHED)
    jobs = collect(
        arguments.photo, arguments.mask, arguments.output, variants=options.variants,
        overwrite=arguments.overwrite, skip=arguments.skip_existing, say=command.tell,
        beside=batch_files.named({"--strip": arguments.strip}),
    )

    def opened() -> Editor:
        editor = edit_network.load(
            options, run=arguments.run, weights=arguments.weights, step=arguments.step,
            trust_code=arguments.trust_run_code, tokenizer=arguments.tokenizer,
            precision=arguments.precision, bucket=arguments.bucket, say=command.tell,
        )
        edit_network.check(editor, options, command.tell)
        return editor

    failures = run(
        jobs, opened, options, invert=arguments.invert_mask, strip=arguments.strip,
        say=command.tell,
    )
    return network.exit_code(failures, jobs)


def collect(
    photo: pathlib.Path, mask: pathlib.Path | None, output: pathlib.Path, *, variants: int = 1,
    **options,
) -> list[Job]:
    """Returns what to edit: photos with their masks, or alone; see `batch_files.collect`."""
    options |= {"variants": variants}
    if mask is None:
        return batch_files.collect_alone(photo, output, **options)
    jobs = batch_files.collect(photo, mask, output, what="mask", **options)
    for job in jobs:
        if job.photo.samefile(job.companion):
            raise UserError(
                f"The mask {job.companion} is the photo itself. Name a black-and-white image, "
                "white where the photo may change."
            )
    return jobs


def run(
    jobs: list[Job],
    load: Callable[[], Editor],
    options: Options,
    *,
    invert: bool = False,
    strip: pathlib.Path | None = None,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Edits all photographs, one after the other; returns a line for each that failed.

    Args:
      jobs: from `collect`.
      load: returns the editor; called when the first photograph has passed its checks.
      options: of every edit.
      invert: black marks what may change.
      strip: where a sheet with photo, mask and results goes; None writes none.
      say: is told about each result and each doubt.

    Raises:
      UserError: the only job failed, or the network could not be loaded.
    """

    def finish(editor: Editor, job: Job, content: tuple[Photograph, np.ndarray | None]) -> str:
        photo, mask = content
        if options.region is not None:
            mask = found(editor, photo, options.region, str(job.photo), say)
        view = view_of(editor, photo, mask, options)
        _tell_of_size(view, job, say)
        made = edit(editor, photo, mask, view, options)
        places = batch_files.outputs(job, options.variants)
        for place, result in zip(places, made, strict=True):
            if place not in job.kept:
                photograph.write(place, result)
        beside = {}
        if strip is not None:
            shown, place = _all(photo) if mask is None else mask, job.place(strip)
            contact_sheet.write(place, _columns(photo, mask, made), shown)
            beside[place] = "photo and results side by side"
        (height, width), (seen_height, seen_width) = photo.size, view.size
        share = "all of it" if mask is None else f"{mask.mean():.1%} of it"
        line = (f"{', '.join(map(str, places))}: {width} x {height} pixels, {share} edited, seen "
                f"at {seen_width} x {seen_height}")
        return batch_files.told(line, beside)

    return batch_files.run(
        jobs, read=lambda job: read(job, invert, say), load=load, finish=finish, say=say
    )


def read(
    job: Job, invert: bool, say: Callable[[str], None]
) -> tuple[Photograph, np.ndarray | None]:
    """Returns the photograph of a job and its mask, bool (H, W), both checked; None without one.

    Raises:
      UserError: unreadable files, sizes that differ, a mask that selects nothing, grey values.
    """
    photo, mask = photograph.fitting(photograph.read(job.photo), job.output), None
    if job.companion != job.photo:
        mask = images.read_mask(job.companion, invert=invert, white="what may change")
        batch_files.check_size(job, "mask", photo.size, mask.shape)
        if not mask.any():
            raise UserError(
                f"The mask {job.companion} selects nothing: it has no "
                f"{'black' if invert else 'white'} pixel. "
                + ("Leave --invert-mask out if white marks what may change." if invert
                   else "If black marks what may change, add --invert-mask.")
            )
    photograph.check_holds(job.output, photo)
    for note in photo.notes:
        say(f"warning: {note}")
    if mask is not None and job.output.suffix.lower() in photograph.LOSSY:
        say(f"warning: {job.output} is a JPEG: pixels outside of the mask change slightly. A .png "
            "keeps them.")
    return photo, mask


def found(
    editor: Editor, photo: Photograph, region: str, name: str, say: Callable[[str], None]
) -> np.ndarray:
    """Returns where a photograph shows what `region` names, bool (H, W).

    Raises:
      UserError: nowhere.
    """
    mask, peak = editor.find(levels.of_picture(photo.for_network()), region)
    if not mask.any():
        raise UserError(
            f"The segmenter finds no {region!r} in {name}: it is at most {peak:.0%} sure of any "
            "pixel. Name it otherwise, or paint a mask and give it with --mask."
        )
    share = float(mask.mean())
    if not _SMALL <= share <= _LARGE:
        say(f"warning: {region!r} is {share:.1%} of {name}. Look at it with --strip, or paint a "
            "mask.")
    return mask


def view_of(
    editor: Editor, photo: Photograph, mask: np.ndarray | None, options: Options
) -> View:
    """Returns what the network is to see of a photograph."""
    how = {"trained_on": editor.trained_on, "resolution": options.resolution}
    if mask is None or options.whole:
        return views.whole(photo.size, **how)
    return views.around(mask, context=options.context, **how)


def edit(
    editor: Editor, photo: Photograph, mask: np.ndarray | None, view: View, options: Options
) -> list[Photograph]:
    """Returns the edited photograph, once for each variant.

    Args:
      editor: does the work.
      photo: of any size.
      mask: bool (H, W), True where it may change; None everywhere.
      view: from `view_of`.
      options: see `Options`.
    """
    region = _all(photo) if mask is None else mask
    picture, inside = view.picture(photo.for_network()), view.mask(region)
    results = []
    for number in range(options.variants):
        made = editor(picture, inside, options, options.seed + number)
        if options.whole:
            results.append(views.replaced(photo, view, made))
        else:
            results.append(views.paste(photo, view, made, region, options.feather))
    return results


def _all(photo: Photograph) -> np.ndarray:
    return np.ones(photo.size, bool)


def _columns(
    photo: Photograph, mask: np.ndarray | None, made: list[Photograph]
) -> dict[str, np.ndarray]:
    """Returns title -> uint8 (H, W, 3) of a sheet."""
    shown = lambda photo: levels.of_picture(photo.for_network())
    columns = {"photo": shown(photo)}
    if mask is not None:
        columns["mask"] = np.repeat(mask[..., None], 3, -1).astype(np.uint8) * 255
    for number, result in enumerate(made, 1):
        columns["edited" if len(made) == 1 else f"edited {number}"] = shown(result)
    return columns


def _tell_of_size(view: View, job: Job, say: Callable[[str], None]) -> None:
    (height, width), (seen_height, seen_width) = view.own, view.size
    if seen_height < height:
        say(f"warning: {job.photo}: a part of {width} x {height} pixels is edited at {seen_width} "
            f"x {seen_height} and enlarged again. --resolution allows more.")
    elif seen_height > height:
        say(f"{job.photo}: {width} x {height} pixels are shown to the network at {seen_width} x "
            f"{seen_height}, for which it was trained.")
