"""`jaxedit invert`: makes a picture again with a generator, and edits it there.

The picture is inverted once (SDIC: codes, and what they miss), and can be kept so in a file; edits
move the codes along named directions, which `jaxedit directions` finds.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import re
from typing import Any

import numpy as np

from jaxedit.apply import batch_files, contact_sheet, photograph
from jaxedit.apply.batch_files import Job
from jaxedit.apply.photograph import Photograph
from jaxedit.commands import align, command, counting, network
from jaxedit.data import own_files
from jaxedit.errors import UserError
from jaxedit.host import levels

KEPT = ".safetensors"
MOST_STEPS = 100_000  # of a refinement
_RANGE = re.compile(r"(?P<low>[^:]+):(?P<high>[^:]+)(:\s*(?P<count>\d{1,9})\s*)?")
_FINE = 4  # faces are cut out so many times as fine as the network sees them, then scaled [C]
_PLACES = {"discrepancy": ".discrepancy.png", "strip": ".strip.png"}  # beside OUT
_CONTENTS = {"discrepancy": "what the encoder missed", "strip": "the direction at each strength"}


def add(commands) -> None:
    """Adds the parser of `jaxedit invert`."""
    parser = command.add(
        commands, "invert", main, "invert a face into a generator and edit it there",
        "FACE is an aligned picture (see `jaxedit align`), or an inversion that --keep wrote.\n"
        "Without --edit the result is the picture as the generator makes it again.\n\n"
        "  jaxedit invert face.png --run runs/sdic-chain --output again.png\n"
        "  jaxedit invert face.png --run runs/sdic-chain --keep face.safetensors \\\n"
        "      --edit smile=+2 --edit pose=-1 --output smiling.png\n"
        "  jaxedit invert face.safetensors --run runs/sdic-chain --strip smile=-3:3:7 \\\n"
        "      --output strip.png\n"
        "  jaxedit invert photo.jpg --weights sdic-ffhq --align --paste-back \\\n"
        "      --directions ffhq.safetensors --edit smile=+2 --output smiling.png",
    )
    parser.add_argument("face", type=pathlib.Path, metavar="FACE",
                        help="a picture, a folder of pictures, or an inversion (.safetensors)")
    network.add_options(parser, ())
    parser.add_argument("--stage", metavar="NAME",
                        help="with --run: the stage whose networks invert (default: the last one "
                        "that has a checkpoint)")
    parser.add_argument("--edit", action="append", default=[], metavar="NAME=STRENGTH",
                        help="move along a direction; may be given several times. "
                        "NAME@FIRST-END=STRENGTH moves the codes of these layers alone (the end "
                        "not included), NAME=toTARGET brings a principal component to a target")
    parser.add_argument("--strip", metavar="NAME=FROM:TO[:COUNT]",
                        help="write OUT.strip.png too: the picture at several strengths of a "
                        "direction (default: 7), beside what is edited otherwise")
    parser.add_argument("--directions", type=pathlib.Path, metavar="FILE",
                        help="of `jaxedit directions` (default: those that the run has found)")
    parser.add_argument("--refine", type=int, default=0, metavar="N",
                        help="bring the codes closer to the picture by N steps of optimisation "
                        "(default: 0): more alike, less editable")
    parser.add_argument("--keep", type=pathlib.Path, metavar="FILE",
                        help="keep the inversion in FILE (.safetensors), and use it if it is there "
                        "already and is that of this picture; a folder where FACE is one")
    parser.add_argument("--save-discrepancy", action="store_true",
                        help="write OUT.discrepancy.png too: what the encoder missed, as the "
                        "network predicts it; grey is nothing")
    parser.add_argument("--align", action="store_true",
                        help="find the face in a photograph and cut it out first, as "
                        "`jaxedit align` does")
    align.add_options(parser)
    parser.add_argument("--paste-back", action="store_true",
                        help="with --align: the result is the photograph with the edited face in "
                        "its place")
    command.add_output(parser, "the result; a folder where FACE is one")
    parser.add_argument("--overwrite", action="store_true", help="replace results that exist")
    parser.add_argument("--skip-existing", action="store_true",
                        help="leave pictures alone whose results exist, to go on with a folder")
    network.only_of_existing(parser)
    counting.only(parser, "--stage", lambda a: a.run is not None,
                  "is one of a run: name that, --run DIRECTORY.")
    counting.only(parser, "--paste-back --landmarks --predictor --face", lambda a: a.align,
                  "is for photographs that are to be aligned: add --align.")
    counting.only(parser, "--refine --keep --align", lambda a: not is_inversion(a.face),
                  "is for pictures, and FACE is an inversion.")
    counting.only(parser, "--directions", lambda a: a.edit or a.strip is not None,
                  "is for --edit or --strip, and none is asked for.")


@dataclasses.dataclass(frozen=True)
class Strip:
    """A direction at several strengths."""

    name: str
    strengths: tuple[float, ...]

    @property
    def words(self) -> list[str]:
        """A request for each."""
        return [f"{self.name}={strength:g}" for strength in self.strengths]


def main(arguments: argparse.Namespace) -> int:
    """`jaxedit invert`."""
    command.need_output(arguments)
    arguments.bucket = 1
    strip = check(arguments)
    network.check(arguments, "invert")
    jobs = collect(arguments)

    def finish(tools: Tools, job: Job, photo: Photograph | None) -> str:
        return _finish(tools, job, photo, arguments, strip)

    failures = batch_files.run(
        jobs, read=_read, load=lambda: load(arguments), finish=finish, say=command.tell
    )
    return network.exit_code(failures, jobs)


def check(arguments: argparse.Namespace) -> Strip | None:
    """Returns the strip that is asked for; finds mistakes before anything is read.

    Raises:
      UserError: options that contradict each other or are out of range.
    """
    steps = arguments.refine
    if not 0 <= steps <= MOST_STEPS:
        raise UserError(f"--refine is {steps}; it must be from 0 to {MOST_STEPS} steps.")
    if arguments.keep is not None and not arguments.face.is_dir() and not is_inversion(
        arguments.keep
    ):
        raise UserError(f"--keep {arguments.keep} must end in {KEPT}.")
    return None if arguments.strip is None else strip_of(arguments.strip)


def strip_of(text: str) -> Strip:
    """Returns what NAME=FROM:TO[:COUNT] asks for.

    Raises:
      UserError: it is written otherwise.
    """
    from jaxedit.methods.sdic import directions

    name, sign, rest = text.rpartition("=")
    name = name.strip()
    found = _RANGE.fullmatch(rest)
    if not sign or not name or found is None:
        raise UserError(
            f"--strip {text!r} is not NAME=FROM:TO or NAME=FROM:TO:COUNT, such as smile=-3:3 or "
            "smile=-3:3:7."
        )
    low, high = (directions.number(found[key], text) for key in ("low", "high"))
    count = int(found["count"] or 7)
    if not 2 <= count <= 32:
        raise UserError(f"--strip {text}: a strip has 2 to 32 pictures.")
    return Strip(name, tuple(float(x) for x in np.linspace(low, high, count)))


def is_inversion(path: pathlib.Path) -> bool:
    """Whether a name is that of a kept inversion."""
    return path.suffix.lower() == KEPT


def collect(arguments: argparse.Namespace) -> list[Job]:
    """Returns what to do; every input and output is looked at.

    Raises:
      UserError: there is nothing, or an output exists or cannot be written.
    """
    jobs = batch_files.collect_alone(
        arguments.face, arguments.output, overwrite=arguments.overwrite,
        skip=arguments.skip_existing, beside=lambda job: _beside(job, arguments),
        used=lambda job: {} if arguments.keep is None else {"--keep": _kept(job, arguments)},
        say=command.tell,
    )
    if arguments.keep is not None:
        batch_files.check_place(arguments.keep, of_folder=arguments.face.is_dir())
        for job in jobs:
            _check_kept(_kept(job, arguments), arguments)
    return jobs


def _kept(job: Job, arguments: argparse.Namespace) -> pathlib.Path:
    """Returns where --keep keeps the inversion of a job."""
    if arguments.face.is_dir():
        return (arguments.keep / job.name).with_suffix(KEPT)
    return arguments.keep


def _check_kept(path: pathlib.Path, arguments: argparse.Namespace) -> None:
    """Raises UserError where --keep would use or replace a file that is no inversion."""
    from jaxedit.methods.sdic import inversion_file

    if not path.exists():
        return
    directions = arguments.directions
    if directions is not None and directions.exists() and path.samefile(directions):
        raise UserError(f"--keep {path} is the file of --directions. Choose another name.")
    if not inversion_file.is_one(path):
        raise UserError(f"--keep {path} is there and holds no inversion. Choose another name.")


def _beside(job: Job, arguments: argparse.Namespace) -> dict[str, pathlib.Path]:
    """Returns what is written beside the result -> its place."""
    wanted = {"discrepancy": arguments.save_discrepancy, "strip": arguments.strip is not None}
    return {
        name: job.output.with_name(job.output.stem + _PLACES[name])
        for name, given in wanted.items() if given
    }


def inverter_of(arguments: argparse.Namespace) -> Any:
    """Returns the networks that `arguments` name, as an `Inverter`.

    Raises:
      UserError: there are none, or they cannot invert.
    """
    from jaxedit.apply import applier
    from jaxedit.methods.sdic import inverter
    from jaxedit.run import sharding

    sharding.enable_compilation_cache()
    options = {"bucket": 1, "say": command.tell}
    if arguments.run is None:
        return inverter.Inverter(applier.from_weights(arguments.weights, "invert", **options))
    return inverter.Inverter(applier.from_run(
        arguments.run, "invert", step=arguments.step, stage=arguments.stage,
        trust_code=arguments.trust_run_code, **options,
    ))


@dataclasses.dataclass(frozen=True)
class Tools:
    """What a job needs: networks, directions (None: none) and what finds faces (None: nothing)."""

    inverter: Any
    directions: Any
    finder: align.Finder | None


def load(arguments: argparse.Namespace) -> Tools:
    """Returns what does the work.

    Raises:
      UserError: there are no such networks or directions, an edit that is not understood, or
        nothing to find faces with.
    """
    finder = align.Finder(arguments, arguments.face.is_dir()) if arguments.align else None
    inverter = inverter_of(arguments)
    if finder is not None and inverter.size[0] != inverter.size[1]:
        raise UserError("These networks invert no faces: leave out --align.")
    if arguments.save_discrepancy and not inverter.method.predicts_discrepancy:
        raise UserError("These networks predict no discrepancy: leave out --save-discrepancy.")
    requests = list(arguments.edit)
    requests += [] if arguments.strip is None else strip_of(arguments.strip).words
    directions = None
    if requests or arguments.directions is not None:
        directions = directions_of(inverter, arguments.directions, arguments.run)
        for text in requests:
            directions.request(text)  # all are understood before the first picture is inverted
    return Tools(inverter, directions, finder)


def directions_of(
    inverter: Any, file: pathlib.Path | None, run: pathlib.Path | None
) -> Any:
    """Returns the directions in a file, or those that a run has found.

    Raises:
      UserError: there are none, or they are another generator's.
    """
    from jaxedit.methods.sdic import directions

    if file is None:
        found = sorted(run.glob(f"artifacts/*/{directions.FILE}")) if run is not None else []
        if not found:
            raise UserError(
                "An edit needs directions: find those of this generator with `jaxedit directions`, "
                "and name the file, --directions FILE."
            )
        file = found[-1]
    read = directions.read(file, inverter.codes, inverter.method.style_widths)
    if read.generator != inverter.generator:
        command.tell(
            f"warning: the directions in {file} were found on another generator of this shape."
        )
    return read


def _read(job: Job) -> Photograph | None:
    """Returns the picture of a job; None where it is an inversion."""
    if is_inversion(job.photo):
        return None
    return photograph.read_opaque(job.photo, command.tell)


def _finish(
    tools: Tools, job: Job, photo: Photograph | None, arguments: argparse.Namespace,
    strip: Strip | None,
) -> str:
    inverter, directions = tools.inverter, tools.directions
    square = None
    if tools.finder is not None:
        square = tools.finder.square(job, align.pixels_of(photo))
    inverted = _inversion(inverter, job, photo, square, arguments)
    words = list(arguments.edit)
    edited = lambda words: inverter.edit(inverted, directions, [
        directions.request(one) for one in words
    ])
    again = inverter.shown(inverted.arrays["image"])
    result = edited(words) if words else again
    beside = _beside(job, arguments)
    if strip is not None:
        shown = {"picture": [inverted.picture], "inverted": [again]}
        shown |= {one: [edited([*words, one])] for one in strip.words}
        contact_sheet.write_grid(beside["strip"], shown)
    if arguments.save_discrepancy:
        found = np.clip(inverted.arrays["discrepancy"], -1, 1)
        photograph.write(
            beside["discrepancy"], Photograph(levels.of_picture(found)), own_files.MAP
        )
    if job.output in job.kept:
        pass  # what belongs beside it was lacking
    elif arguments.paste_back:
        from jaxedit.apply import alignment

        result = alignment.paste(align.pixels_of(photo), square, result)
        photograph.write(job.output, dataclasses.replace(photo, pixels=result))
    else:
        photograph.write(job.output, Photograph(result))
    what = f"edited by {', '.join(words)}" if words else "inverted"
    line = (f"{job.output}: {what}; the inversion's mean error is "
            f"{_error(again, inverted.picture):.1f} of 255")
    others = {path: _CONTENTS[name] for name, path in beside.items()}
    if arguments.keep is not None:
        others[_kept(job, arguments)] = "the inversion, for other edits"
    return batch_files.told(line, others)


def _inversion(
    inverter: Any, job: Job, photo: Photograph | None, square: Any, arguments: argparse.Namespace
) -> Any:
    """Returns the inversion of a job, kept or made; of the square in the photograph, if any."""
    from jaxedit.methods.sdic import inversion_file

    if photo is None:
        return inversion_file.read(job.photo, inverter.shapes, inverter.fingerprint)
    pixels = align.pixels_of(photo)
    if square is not None:
        from jaxedit.apply import alignment

        pixels = alignment.cut(pixels, square, _FINE * inverter.size[1])
    picture, doubts = inverter.fitted(pixels, str(job.photo))
    for line in doubts:
        command.tell(f"warning: {line}")
    kept = None if arguments.keep is None else _kept(job, arguments)
    if kept is not None and kept.exists() and not arguments.overwrite:
        found = inversion_file.read(kept, inverter.shapes, inverter.fingerprint)
        same = np.array_equal(found.picture, picture) and found.steps == arguments.refine
        if not same:
            raise UserError(
                f"{kept} keeps the inversion of another picture, or another --refine. Name another "
                "file, or add --overwrite."
            )
        command.tell(f"using the inversion in {kept}")
        return found
    inverted = inverter.invert(picture, arguments.refine)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        inversion_file.write(kept, inverted)
    return inverted


def _error(made: np.ndarray, picture: np.ndarray) -> float:
    """Returns the mean absolute difference of inversion and picture, in levels."""
    from jaxedit.data import transforms

    made = transforms.resize(made, *picture.shape[:2])
    return float(np.abs(made.astype(np.float32) - picture).mean())
