"""`jaxedit label`: makes label maps of a user's photographs, with the project's own segmenter.

A label map is a palette PNG of the photograph's size: its indices are the classes, and a viewer
shows their colours. Beside it lies a preview, the photograph with the colours over it and a legend.
All input is checked before a network is loaded, and a result appears whole or not at all.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from jaxedit.apply import batch_files, photograph
from jaxedit.apply.batch_files import Job
from jaxedit.apply.photograph import Photograph
from jaxedit.commands import command, network
from jaxedit.commands.holes import is_whole
from jaxedit.data import own_files, transforms
from jaxedit.data.classes import Classes
from jaxedit.errors import UserError
from jaxedit.host import atomic, levels

CLASSES = "classes.json"
PREVIEW = "-preview"
SMALLEST = 16  # pixels, of a photo's shorter side
CLASSICAL = ()  # no method labels without having learned
_ROW = 16  # pixels of a line of the legend


def add(commands) -> None:
    """Adds the parser of `jaxedit label`."""
    parser = command.add(
        commands, "label", main, "say of every pixel of photographs what it shows",
        "Writes a label map of the photo's size, a palette PNG whose indices are the classes, and\n"
        "beside it NAME-preview.png, to look at, and NAME-classes.json, which names the classes\n"
        "(classes.json where PHOTO is a folder). A folder with photos in images/, their maps in\n"
        "labels/ and that classes.json is a data set: folder:PATH.\n\n"
        "  jaxedit label photo.jpg --output labels.png\n"
        "  jaxedit label photo.jpg --run runs/segmentation-demo --output labels.png\n"
        "  jaxedit label images/ --run runs/segmentation-camvid --output labels/",
    )
    parser.add_argument("photo", type=pathlib.Path, metavar="PHOTO",
                        help="an image, or a folder of images")
    network.add_options(parser, CLASSICAL)
    command.add_output(parser, "the label map, .png; a folder where PHOTO is one")
    parser.add_argument("--side", type=int, metavar="PIXELS",
                        help="scale a photo so that its shorter side has this many pixels before "
                        f"it is judged, at least {SMALLEST}, or 0, which never scales; the map has "
                        "the photo's own size again (default: as in training)")
    parser.add_argument("--overwrite", action="store_true", help="replace results that exist")
    parser.add_argument("--skip-existing", action="store_true",
                        help="leave photos alone whose results exist, to go on with a folder")
    network.only_of_existing(parser)


def main(arguments: argparse.Namespace) -> int:
    """`jaxedit label`."""
    command.need_output(arguments)
    arguments.bucket = None
    network.check(arguments, "label")
    check_side(arguments.side)
    of_folder = arguments.photo.is_dir()
    jobs = collect(
        arguments.photo, arguments.output, overwrite=arguments.overwrite,
        skip=arguments.skip_existing, say=command.tell,
    )

    place = arguments.output.with_name(f"{arguments.output.stem}-{CLASSES}")
    place = arguments.output / CLASSES if of_folder else place

    def load() -> tuple[Callable, Classes, int]:
        applier = network.load_applier(arguments, "label", solver)
        classes, side = described(applier, arguments.side)
        write_classes(place, classes, overwrite=arguments.overwrite)
        command.tell(f"{place} names the classes")
        return applier, classes, side

    failures = run(jobs, load, say=command.tell)
    return network.exit_code(failures, jobs)


def collect(
    photo: pathlib.Path, output: pathlib.Path, *, overwrite: bool, **options: Any
) -> list[Job]:
    """Returns the photographs to label, see `batch_files.collect_alone`; looks at previews too."""
    return batch_files.collect_alone(
        photo, output, overwrite=overwrite, suffixes=photograph.PNG,
        beside=lambda job: {"preview": preview_path(job)}, **options
    )


def check_side(side: object) -> None:
    """Raises UserError where --side is no number of pixels."""
    if side is not None and side != 0 and not is_whole(side, SMALLEST):
        raise UserError(
            f"--side is {side!r}; expected 0 (never scale), or at least {SMALLEST} pixels."
        )


def check_size(photo: Photograph, name: str) -> None:
    """Raises UserError where a photo, which the message calls `name`, is too small."""
    if min(photo.size) < SMALLEST:
        raise UserError(
            f"{name} has {photo.size[1]} x {photo.size[0]} pixels; labelling needs {SMALLEST} on "
            "each side. Use a larger version of it."
        )


def described(applier: Any, side: int | None) -> tuple[Classes, int]:
    """Returns the classes of a labeller, and the shorter side to which photographs are scaled."""
    method = applier.method
    trained = min(method.config.image_size)
    return method.classes, trained if side is None else side


def write_classes(path: pathlib.Path, classes: Classes, *, overwrite: bool) -> None:
    """Writes what the numbers of the label maps mean.

    Raises:
      UserError: a file is there that says something else.
    """
    text = json.dumps(classes.describe(), indent=1, ensure_ascii=False)
    if path.exists() and not overwrite and path.read_bytes() != text.encode():
        raise UserError(
            f"{path} already exists and names other classes. Add --overwrite to replace it, or "
            "choose another place for the results."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(path, text)


def run(
    jobs: list[Job],
    load: Callable[[], tuple[Callable, Classes, int]],
    *,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Labels the photographs of all jobs; returns a line for each that failed.

    Args:
      jobs: from `collect`.
      load: returns (applier, its classes, shorter side of what it gets or 0); called when the
        first photograph has passed its checks.
      say: is told about each result and each doubt.

    Raises:
      UserError: the only job failed, or the network could not be loaded.
    """

    def read(job: Job) -> Photograph:
        photo = photograph.read(job.photo)
        check_size(photo, f"The photo {job.photo}")
        return photo

    def finish(loaded: tuple[Callable, Classes, int], job: Job, photo: Photograph) -> str:
        applier, classes, side = loaded
        label, confidence = estimate(applier, photo, side)
        if job.output not in job.kept:
            _save(job.output, classes.to_png(label))
        note = own_files.as_side_product(own_files.PREVIEW)
        _save(preview_path(job), preview(photo, label, classes), pnginfo=note)
        found = np.bincount(label.ravel(), minlength=classes.count) / label.size
        most = sorted(range(classes.count), key=lambda place: -found[place])[:3]
        named = ", ".join(f"{classes.names[i]} {found[i]:.0%}" for i in most if found[i] > 0)
        line = f"{job.output}: {named}; mean confidence {confidence:.0%}"
        return batch_files.told(line, {preview_path(job): "the map over the photo, to look at"})

    return batch_files.run(jobs, read=read, load=load, finish=finish, say=say)


def estimate(applier: Callable, photo: Photograph, side: int) -> tuple[np.ndarray, float]:
    """Returns the label map of a photograph, int32 (H, W), and the mean confidence.

    Args:
      applier: of a "label" task.
      photo: any size.
      side: what its shorter side is scaled to first; 0 never scales.
    """
    height, width = photo.size
    image = photo.for_network()
    if side and side != min(height, width):
        share = side / min(height, width)
        size = [max(1, round(length * share)) for length in (height, width)]
        pixels = transforms.resize(levels.of_picture(image), *size)
        image = transforms.to_unit_range(pixels)
    outputs = applier(image=image)
    label = transforms.resize_nearest(outputs["label"].astype(np.uint8), height, width)
    return label.astype(np.int32), float(outputs["confidence"].mean())


def preview(photo: Photograph, label: np.ndarray, classes: Classes) -> Image.Image:
    """Returns the photograph, the label map's colours over it, and a legend of what occurs."""
    shown = levels.of_picture(photo.for_network())
    colours = classes.paint(label)
    blended = (shown * np.float32(0.4) + colours * np.float32(0.6)).astype(np.uint8)
    height, width = label.shape
    occurring = np.flatnonzero(np.bincount(label.ravel(), minlength=classes.count))
    legend = _ROW * len(occurring)
    sheet = Image.new("RGB", (2 * width, height + legend), (255, 255, 255))
    sheet.paste(Image.fromarray(shown), (0, 0))
    sheet.paste(Image.fromarray(blended), (width, 0))
    draw = ImageDraw.Draw(sheet)
    for row, place in enumerate(occurring):
        top = height + row * _ROW
        draw.rectangle((2, top + 2, _ROW - 3, top + _ROW - 3), fill=classes.colours[place])
        draw.text((_ROW + 2, top + 2), classes.names[place], fill=(0, 0, 0))
    return sheet


def preview_path(job: Job) -> pathlib.Path:
    """Returns where the preview of a job goes."""
    return job.output.with_name(f"{job.output.stem}{PREVIEW}.png")


def _save(path: pathlib.Path, image: Image.Image, **options: Any) -> None:
    with atomic.atomic_file(path) as temporary:
        image.save(temporary, "PNG", **options)


def solver(name: str) -> Callable:
    raise UserError(f"There is no classical method {name!r} of labelling.")
