"""`jaxedit matte`: cuts the subject out of a user's photographs.

Photo and trimap (or a coarse mask, from which a trimap is made) lead to a matte; the matte to a
cut-out with transparency, to a composite over another background, or to a file of its own. All
input is checked before a network is loaded, and a result appears whole or not at all.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from jaxedit import batch_files, cutout, photograph, tiles
from jaxedit import trimap as trimaps
from jaxedit.batch_files import Job
from jaxedit.data import images
from jaxedit.data.atomic import atomic_file
from jaxedit.errors import UserError
from jaxedit.photograph import Photograph

SMALLEST = 32  # pixels, of a photo's shorter side
TILE = 1024  # pixels, of the tiles of a large photograph
WHOLE = 2_000_000  # pixels of the largest photograph that is not cut into tiles by default
_SMALLEST_TILE = 128


@dataclasses.dataclass(frozen=True)
class Options:
    """What to make of a matte.

    Attributes:
      from_mask: the companion of a photo is a coarse mask of the subject, not a trimap.
      trimap_width: with `from_mask`: see `jaxedit.trimap.from_mask`; None is its default.
      round_trimap: trimap files may hold other values than 0, 128 and 255.
      save_trimap: with `from_mask`: where the trimap is kept; a folder for a folder of photos.
      background: an image file; the result is the subject over it.
      alpha_only: the result is the matte, as a grey picture.
      premultiplied: colours of a transparent result are multiplied by its opacity.
      keep_colours: the photo's colours, and the fringe in them, instead of the subject's own.
      tile: side of the tiles in pixels; 0 never cuts; None cuts photographs of more than
        `WHOLE` pixels into tiles of `TILE`.
    """

    from_mask: bool = False
    trimap_width: float | None = None
    round_trimap: bool = False
    save_trimap: pathlib.Path | None = None
    background: pathlib.Path | None = None
    alpha_only: bool = False
    premultiplied: bool = False
    keep_colours: bool = False
    tile: int | None = None

    @property
    def companion(self) -> str:
        """What the companion of a photo is called."""
        return "mask" if self.from_mask else "trimap"

    def check(self) -> None:
        """Raises UserError where options contradict each other or need what is not here."""
        if self.alpha_only and self.background is not None:
            raise UserError("--alpha-only writes the matte alone; leave out it or --background.")
        if self.premultiplied and (self.alpha_only or self.background is not None):
            raise UserError(
                "--premultiplied is about the colours of a transparent cut-out; leave it out with "
                "--alpha-only and --background."
            )
        if not self.from_mask and (self.trimap_width is not None or self.save_trimap is not None):
            raise UserError(
                "--trimap-width and --save-trimap are about the trimap that is made from a "
                "--mask; leave them out with --trimap."
            )
        if self.from_mask and self.round_trimap:
            raise UserError("--round-trimap is about the values of a --trimap; leave it out.")
        if self.tile is not None and self.tile != 0 and self.tile < _SMALLEST_TILE:
            raise UserError(
                f"--tile {self.tile}: expected 0 (never cut), or at least {_SMALLEST_TILE} pixels: "
                "in a small tile the network sees too little."
            )
        if not self.alpha_only and not self.keep_colours:
            cutout.check_extra()


def plan(
    photo: pathlib.Path,
    companion: pathlib.Path,
    output: pathlib.Path,
    options: Options,
    *,
    overwrite: bool = False,
    say: Callable[[str], None] = print,
) -> list[Job]:
    """Returns what to do for a photo and its trimap or mask, or for two folders of them.

    Raises:
      UserError: as `batch_files.plan`, options that contradict each other, or a background or a
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
    jobs = batch_files.plan(
        photo, companion, output, what=options.companion, overwrite=overwrite, suffixes=suffixes,
        others=others, say=say,
    )
    if options.save_trimap is None:
        return jobs
    batch_files.check_place(options.save_trimap, of_folder=photo.is_dir())
    for job in jobs:
        kept = trimap_path(job, options, photo.is_dir())
        inputs = (job.photo, job.companion, *others)
        batch_files.check_output(kept, inputs, overwrite, photograph.EXACT)
        if kept.absolute() == job.output.absolute():
            raise UserError(f"--save-trimap and --output are both {kept}. Choose another name.")
    return jobs


def trimap_path(job: Job, options: Options, of_folder: bool) -> pathlib.Path:
    """Returns where the trimap of a job is kept."""
    return options.save_trimap / job.output.name if of_folder else options.save_trimap


def run(
    jobs: list[Job],
    load: Callable[[], Callable],
    options: Options,
    *,
    of_folder: bool = False,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Does all jobs, one after the other; returns a line for each that failed.

    Args:
      jobs: from `plan`.
      load: returns the applier; called when the first photograph has passed its checks.
      options: as given to `plan`.
      of_folder: whether the photos were given as a folder.
      say: is told about each result and each doubt.

    Raises:
      UserError: the only job failed, or the network or background could not be read.
    """
    background = None if options.background is None else photograph.read(options.background)

    def finish(applier: Callable, job: Job, content: tuple[Photograph, np.ndarray]) -> str:
        photo, trimap = content
        if options.save_trimap is not None:
            _write_trimap(trimap_path(job, options, of_folder), trimap)
        alpha = estimate(applier, photo, trimap, tile=options.tile, say=say)
        photograph.write(job.output, render(photo, alpha, background, options))
        height, width = photo.size
        unknown = float((trimap == trimaps.UNKNOWN).mean())
        return (
            f"{job.output}: {width} x {height} pixels, {unknown:.1%} of them estimated; the "
            f"subject covers {alpha.mean():.1%}"
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
    """Returns the photograph of a job and its trimap, uint8 (H, W) of 0, 128 and 255, checked.

    Raises:
      UserError: unreadable or too small files, sizes that differ, or a trimap or mask with
        nothing to estimate.
    """
    photo = photograph.read(job.photo)
    height, width = photo.size
    if min(height, width) < SMALLEST:
        raise UserError(
            f"The photo {job.photo} has {width} x {height} pixels; matting needs {SMALLEST} on "
            "each side. Use a larger version of it."
        )
    if options.from_mask:
        mask = images.read_mask(job.companion, white="subject")
        batch_files.check_size(job, "mask", photo.size, mask.shape)
        share = trimaps.WIDTH if options.trimap_width is None else options.trimap_width
        try:
            trimap = trimaps.from_mask(mask, share)
        except UserError as error:
            raise UserError(f"{job.companion}: {error}") from error
        name = f"The trimap made from {job.companion}"
    else:
        trimap = trimaps.read(job.companion, by_thresholds=options.round_trimap)
        batch_files.check_size(job, "trimap", photo.size, trimap.shape)
        name = f"The trimap {job.companion}"
    for doubt in trimaps.check(trimap, name):
        say(f"warning: {doubt}")
    return photo, trimap


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
      applier: `jaxedit.apply.Applier` of a "matte" task.
      photo: any size.
      trimap: uint8 (H, W) of 0, 128 and 255; its known pixels come back as 0 and 1.
      tile: as `Options.tile`. Refinement is defined relative to what the network is given, so a
        tiled matte differs a little from that of the whole photograph.
      say: is told about the progress of tiles.
    """
    inputs = {"image": photo.for_network(), "trimap": trimaps.labels(trimap)}
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
    return np.where(trimap == trimaps.UNKNOWN, alpha, trimap.astype(np.float32) / 255)


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


def _write_trimap(path: pathlib.Path, trimap: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        Image.fromarray(trimap).save(temporary, "PNG", optimize=True)


def _other_profile(photo: Photograph, background: Photograph) -> bool:
    grey = photo.pixels.ndim == 2 or background.pixels.ndim == 2
    return not grey and photo.metadata.icc_profile != background.metadata.icc_profile
