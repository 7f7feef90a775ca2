"""`jaxedit align`: cuts faces out of photographs as FFHQ's are, for `jaxedit invert`."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from jaxedit.apply import batch_files, photograph
from jaxedit.apply.batch_files import Job
from jaxedit.apply.photograph import Photograph
from jaxedit.commands import command, counting, network
from jaxedit.errors import UserError
from jaxedit.host import levels

_SMALLEST, _LARGEST = 16, 8192  # pixels of a side
_REACH = 10  # times the photograph's sides: how far away landmarks may lie [C]


def add(commands) -> None:
    """Adds the parser of `jaxedit align`."""
    parser = command.add(
        commands, "align", main, "cut faces out of photographs, upright and to scale",
        "The square that FFHQ's pictures are: around eyes and mouth, turned upright. Landmarks\n"
        "are found by dlib (pip install \"jaxedit[align]\"), or given as JSON: 68 pairs [x, y] in\n"
        "pixels, in the order of iBUG 300-W.\n\n"
        "  jaxedit align photo.jpg --output face.png\n"
        "  jaxedit align photo.jpg --landmarks points.json --size 256 --output face.png\n"
        "  jaxedit align photos/ --output faces/",
    )
    parser.add_argument("photo", type=pathlib.Path, metavar="PHOTO",
                        help="an image, or a folder of images")
    add_options(parser)
    parser.add_argument("--size", type=int, default=1024, metavar="PIXELS",
                        help="side of the result (default: 1024)")
    command.add_output(parser, "the face; a folder where PHOTO is one")
    parser.add_argument("--overwrite", action="store_true", help="replace results that exist")
    parser.add_argument("--skip-existing", action="store_true",
                        help="leave photographs alone whose results exist")
    network.only_of_existing(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds what says where the face is; `jaxedit invert --align` has it too."""
    parser.add_argument("--landmarks", type=pathlib.Path, metavar="FILE",
                        help="JSON of 68 points, or of several faces of them; a folder of such "
                        "files with the photographs' names, below the same sub-folders, where "
                        "PHOTO is a folder")
    parser.add_argument("--predictor", type=pathlib.Path, metavar="FILE",
                        help="dlib's shape_predictor_68_face_landmarks.dat (default: the one in "
                        "the folder of weights)")
    parser.add_argument("--face", type=int, metavar="N", dest="number",
                        help="which of several faces, the largest first (default: 1)")
    counting.only(parser, "--predictor", lambda a: a.landmarks is None,
                  "finds landmarks, and --landmarks gives them: leave one of them out.")


def main(arguments: argparse.Namespace) -> int:
    """`jaxedit align`."""
    command.need_output(arguments)
    from jaxedit.apply import alignment

    if not _SMALLEST <= arguments.size <= _LARGEST:
        raise UserError(
            f"--size is {arguments.size}; it must be from {_SMALLEST} to {_LARGEST} pixels."
        )
    jobs = batch_files.collect_alone(
        arguments.photo, arguments.output, overwrite=arguments.overwrite,
        skip=arguments.skip_existing, say=command.tell,
    )

    def finish(finder: Finder, job: Job, photo: Photograph) -> str:
        square = finder.square(job, pixels_of(photo))
        face = alignment.cut(pixels_of(photo), square, arguments.size)
        metadata = dataclasses.replace(photo.metadata, exif=None)
        photograph.write(job.output, Photograph(face, metadata=metadata))
        return f"{job.output}: the face is {square.side:.0f} pixels wide in {job.photo.name}"

    failures = batch_files.run(
        jobs, read=lambda job: photograph.read_opaque(job.photo, command.tell),
        load=lambda: Finder(arguments, arguments.photo.is_dir()), finish=finish, say=command.tell,
    )
    return network.exit_code(failures, jobs)


def pixels_of(photo: Photograph) -> np.ndarray:
    """Returns a photograph's pixels as uint8 (H, W, 3)."""
    return levels.of_picture(photo.for_network())


class Finder:
    """Finds the square of the face in photographs.

    Args:
      arguments: of a verb that has called `add_options`.
      of_folder: whether there are several photographs, each with landmarks of its own.

    Raises:
      UserError: no landmarks are given, and none can be found here.
    """

    def __init__(self, arguments: argparse.Namespace, of_folder: bool):
        from jaxedit.apply import alignment

        self._alignment = alignment
        self._landmarks = arguments.landmarks
        self._number = 1 if arguments.number is None else arguments.number
        self._of_folder = of_folder
        self._find: Callable[[np.ndarray], Sequence[np.ndarray]] | None = None
        if self._landmarks is None:
            self._find = alignment.find_landmarks(arguments.predictor)

    def square(self, job: Job, pixels: np.ndarray):
        """Returns the square of the face in a photograph, uint8 (H, W, 3).

        Raises:
          UserError: there is no face, or its landmarks are none.
        """
        if self._find is not None:
            faces = self._find(pixels)
        else:
            path = self._landmarks
            if self._of_folder:
                path = path / pathlib.Path(job.name).parent / f"{job.photo.stem}.json"
            faces = self._alignment.read_landmarks(path)
        points = self._alignment.choose(faces, str(job.photo), self._number)
        height, width = pixels.shape[:2]
        low, high = points.min(0), points.max(0)
        # A face may leave the photograph, but not by so much that it fills memory.
        far = _REACH * np.asarray([width, height])
        outside = (high < 0).any() or (low > [width, height]).any()
        if outside or (low < -far).any() or (high > far).any():
            raise UserError(
                f"The landmarks lie outside of {job.photo}, which has {width} x {height} pixels. "
                "They count from the upper left of the upright photograph."
            )
        return self._alignment.square_of(points)
