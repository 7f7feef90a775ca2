"""Photographs with a companion file each: which belong together, and where the results go.

What the commands that edit photographs have in common: a photo and its mask (or trimap), or two
folders of them; every input and output is checked before a network is loaded; of several
photographs, one that fails does not stop the others.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jaxedit.apply import photo_folders, photograph
from jaxedit.data import own_files
from jaxedit.errors import UserError
from jaxedit.host import atomic

Path = pathlib.Path
_RESULT = "result"  # what messages call the photograph that a job makes


@dataclasses.dataclass(frozen=True)
class Job:
    """One photograph, its companion (a mask or a trimap), and where the result goes.

    A verb that needs a photograph alone has the photograph as its companion too.

    Attributes:
      name: what the result is called below the output folder, where the photograph is one of a
        folder.
      kept: results of it that are there already and stay as they are.
      marked: the folder of results, where it lies below the photographs and must say what it is.
    """

    photo: Path
    companion: Path
    output: Path
    name: str = ""
    kept: frozenset[Path] = frozenset()
    marked: Path | None = None

    def place(self, path: Path) -> Path:
        """Returns where a file of a kind goes of which the person named `path` for all."""
        return path / self.name if self.name else path


Beside = Callable[[Job], Mapping[str, Path]]  # what is written beside a result -> its place


def named(places: Mapping[str, Path | None]) -> Beside:
    """Returns what options name that is written beside results, from option -> file or folder."""
    return lambda job: {
        option: job.place(path) for option, path in places.items() if path is not None
    }


def nothing(job: Job) -> Mapping[str, Path]:
    """Nothing is written beside a result."""
    return {}


def collect(
    photo: Path,
    companion: Path,
    output: Path,
    *,
    what: str,
    overwrite: bool = False,
    skip: bool = False,
    suffixes: Sequence[str] = (*photograph.EXACT, *photograph.LOSSY),
    others: Sequence[Path] = (),
    variants: int = 1,
    beside: Beside = nothing,
    one_for_all: bool = False,
    say: Callable[[str], None] = print,
) -> list[Job]:
    """Returns what to do for a photo and its companion, or for two folders of them.

    Files of two folders belong together where their places and names agree but for the suffix; the
    results are `STEM.png` in the folder `output`, below the same sub-folders. Files without a
    partner are named and left out.

    Args:
      what: what the companion is called in messages.
      overwrite: results that exist are replaced.
      skip: photographs whose results exist are left out, with all that belongs beside them; where
        some of it is lacking the photograph is to be done, and results that exist are `Job.kept`.
      suffixes: of the results that can be written.
      others: further input files, which no result may replace.
      variants: results of each photograph, see `outputs`.
      beside: what else is written of each; a key is an option, or what a message calls it.
      one_for_all: a companion that is a file will do for a folder of photos.

    Raises:
      UserError: missing inputs, a file with a folder, folders without a pair, or an output that
        exists, cannot be written, or is one of the inputs.
    """
    for path in (photo, companion):
        if not path.exists():
            raise UserError(f"{path} does not exist. Check the path.")
    if one_for_all and photo.is_dir() and not companion.is_dir():
        jobs = [
            Job(p, companion, output / f"{stem}.png", f"{stem}.png")
            for stem, p in photo_folders.pictures_by_stem(photo, (output,), say).items()
            if p.resolve() != companion.resolve()
        ]
    elif photo.is_dir() != companion.is_dir():
        folder, file = (photo, companion) if photo.is_dir() else (companion, photo)
        raise UserError(
            f"{folder} is a folder and {file} is a file: give two files, or two folders whose "
            "files have the same names."
        )
    elif photo.is_dir():
        jobs = _pairs(photo, companion, output, what, say)
    else:
        jobs = [Job(photo, companion, output)]
    check_place(output, of_folder=photo.is_dir())
    folders = [folder for folder in (photo, companion) if folder.is_dir()]
    rules = _Rules(overwrite, skip, suffixes, variants, beside)
    return _to_do(jobs, others, output, folders, rules, say)


def collect_alone(
    photo: Path,
    output: Path,
    *,
    overwrite: bool = False,
    skip: bool = False,
    suffixes: Sequence[str] = (*photograph.EXACT, *photograph.LOSSY),
    variants: int = 1,
    beside: Beside = nothing,
    used: Beside = nothing,
    say: Callable[[str], None] = print,
) -> list[Job]:
    """Returns what to do for a photo that needs no companion, or for a folder of photos.

    Results of a folder are `STEM.png` in the folder `output`. Options as in `collect`; `used` are
    files that are made where they are lacking, and read where they are there.

    Raises:
      UserError: as `collect`.
    """
    if not photo.exists():
        raise UserError(f"{photo} does not exist. Check the path.")
    if photo.is_dir():
        jobs = [
            Job(p, p, output / f"{stem}.png", f"{stem}.png")
            for stem, p in photo_folders.pictures_by_stem(photo, (output,), say).items()
        ]
    else:
        jobs = [Job(photo, photo, output)]
    check_place(output, of_folder=photo.is_dir())
    folders = [photo] if photo.is_dir() else []
    rules = _Rules(overwrite, skip, suffixes, variants, beside, used)
    return _to_do(jobs, (), output, folders, rules, say)


def outputs(job: Job, variants: int = 1) -> tuple[Path, ...]:
    """Returns where the results of a job go: its output, or OUT-1, OUT-2 .. of several."""
    if variants == 1:
        return (job.output,)
    stem = job.output.stem
    return tuple(job.output.with_stem(f"{stem}-{number}") for number in range(1, variants + 1))


def run(
    jobs: Sequence[Job],
    *,
    read: Callable[[Job], Any],
    load: Callable[[], Callable],
    finish: Callable[[Callable, Job, Any], str],
    say: Callable[[str], None],
) -> list[str]:
    """Does all jobs, one after the other; returns a line for each that failed.

    Args:
      jobs: from `collect`.
      read: reads and checks the files of a job.
      load: returns the applier; called when the first job has been read.
      finish: does a job, given the applier and what `read` returned; returns what is said of it.
      say: is told about each result and each failure.

    Raises:
      UserError: the only job failed, or the network could not be loaded.
    """
    applier, failures = None, []
    for job in jobs:
        try:
            content = read(job)
        except Exception as error:
            failures.append(_failed(error, job, jobs, say))
            continue
        applier = applier or load()
        try:
            job.output.parent.mkdir(parents=True, exist_ok=True)
            if job.marked is not None:
                own_files.mark_results(job.marked)
            say(finish(applier, job, content))
        except Exception as error:
            failures.append(_failed(error, job, jobs, say))
    return failures


def told(line: str, beside: Mapping[Path, str]) -> str:
    """Returns the line about a result, and below it one for each file that was written beside it.

    Args:
      line: about the result; begins with its path.
      beside: path -> what is in it.
    """
    return "\n".join((line, *(f"  {path}: {what}" for path, what in beside.items())))


def check_size(
    job: Job, what: str, photo_size: tuple[int, int], companion_size: tuple[int, int],
    otherwise: str = "nothing is resized here",
) -> None:
    """Raises UserError unless both sizes, (height, width), are the same.

    `otherwise` ends the advice to make the companion at the photo's size.
    """
    if photo_size == companion_size:
        return
    height, width = photo_size
    turned = companion_size == (width, height)
    hint = (
        f"The {what} has the photo's sides exchanged: the photo is turned by its EXIF "
        f"orientation, so make the {what} from the upright photo."
        if turned
        else f"Make the {what} at the photo's own size; {otherwise}."
    )
    raise UserError(
        f"The {what} {job.companion} has {companion_size[1]} x {companion_size[0]} pixels and the "
        f"photo {job.photo} has {width} x {height}. {hint}"
    )


def inputs_of(jobs: Sequence[Job], others: Sequence[Path] = ()) -> frozenset[tuple[int, int]]:
    """Returns the identities of all files that jobs read, `others` among them."""
    return identities({*others, *(path for job in jobs for path in (job.photo, job.companion))})


def identities(paths: Iterable[Path]) -> frozenset[tuple[int, int]]:
    """Returns what tells files apart from all others, whatever path leads to them."""
    found = (path.stat() for path in paths if path.exists())
    return frozenset((one.st_dev, one.st_ino) for one in found)


def check_output(
    output: Path, inputs: frozenset[tuple[int, int]], overwrite: bool, suffixes: Sequence[str]
) -> None:
    """Raises UserError where a result may not be written to `output`.

    `inputs` are the `identities` of files that none may replace.
    """
    photograph.check_output_name(output, suffixes)
    if output.exists():
        if identities([output]) & inputs:
            raise UserError(
                f"Output {output} is an input file, which would be lost. Choose another name."
            )
        if not overwrite:
            raise UserError(
                f"Output {output} already exists. Add --overwrite to replace it, or choose "
                "another name."
            )
        if output.is_dir():
            raise UserError(f"Output {output} is a folder. Choose another name.")


def check_place(output: Path, *, of_folder: bool) -> None:
    """Raises UserError where nothing could be written, before anything is computed.

    Args:
      output: a file, or the folder for the results of a folder.
      of_folder: which of the two; a folder is made where it is missing.
    """
    if not of_folder and output.is_dir():
        raise UserError(f"Output {output} is a folder. Name a file in it, ending in .png.")
    folder = output if of_folder else output.parent
    if not of_folder and not folder.exists():
        raise UserError(f"The output folder {folder} does not exist. Make it, or choose another.")
    atomic.check_place(folder)


def _pairs(
    photos: Path, companions: Path, output: Path, what: str, say: Callable[[str], None]
) -> list[Job]:
    left = photo_folders.pictures_by_stem(photos, (companions, output), say)
    # What an earlier command kept, a trimap say, may well be a companion.
    kinds = (own_files.TRIMAP, own_files.MAP)
    right = photo_folders.pictures_by_stem(companions, (photos, output), say, kinds)
    for stem in sorted(left.keys() ^ right.keys()):
        path, lacking = (left[stem], what) if stem in left else (right[stem], "photo")
        say(f"warning: {path} has no {lacking} of the same name; it is left out.")
    stems = sorted(left.keys() & right.keys())
    if not stems:
        raise UserError(
            f"No photo in {photos} has a {what} of the same name in {companions}: "
            f"{next(iter(left.values())).name} would need a {what} "
            f"{next(iter(left))}.png, say."
        )
    return [
        Job(left[stem], right[stem], output / f"{stem}.png", f"{stem}.png") for stem in stems
    ]


@dataclasses.dataclass(frozen=True)
class _Rules:
    """What `_to_do` keeps to; as the arguments of `collect`."""

    overwrite: bool
    skip: bool
    suffixes: Sequence[str]
    variants: int
    beside: Beside
    used: Beside = nothing


def _to_do(
    jobs: list[Job], others: Sequence[Path], output: Path, folders: Sequence[Path], rules: _Rules,
    say: Callable[[str], None],
) -> list[Job]:
    """Returns the jobs that are left to do, the places of all that they write checked.

    Args:
      jobs: of all photographs.
      others: further input files.
      output: where the results go.
      folders: those that the photographs and companions are of.
    """
    _check_apart(jobs, rules)
    results = [path for job in jobs for path in outputs(job, rules.variants)]
    photo_folders.check_apart(output, folders, results)
    marked = output if photo_folders.is_below(output, folders, results) else None
    left = [_left(job, rules) for job in jobs] if rules.skip else jobs
    left = [job for job in left if job is not None]
    if len(left) < len(jobs):
        say(f"{len(jobs) - len(left)} of {len(jobs)} results exist already and are left alone.")
    if partly := sum(bool(job.kept) for job in left):
        say(f"{partly} of {len(jobs)} lack a part of what is asked for; that is made, and their "
            "results that exist stay as they are.")
    for folder in {job.output.parent for job in left}:  # sub-folders of the photos' too
        atomic.check_place(folder)
    inputs = inputs_of(jobs, others)
    for job in left:
        for path in outputs(job, rules.variants):
            check_output(path, inputs, rules.overwrite or path in job.kept, rules.suffixes)
        for path in rules.beside(job).values():
            check_place(path.parent if job.name else path, of_folder=bool(job.name))
            # What is left of a job that was cut short is no reason not to go on.
            ours = rules.skip and path.exists() and own_files.kind_of(path) is not None
            check_output(path, inputs, rules.overwrite or ours, photograph.PNG)
    return [dataclasses.replace(job, marked=marked) for job in left]


def _left(job: Job, rules: _Rules) -> Job | None:
    """Returns a job with the results that it keeps; None where nothing of it is left to do."""
    places = outputs(job, rules.variants)
    kept = frozenset(path for path in places if path.is_file())
    lacking = len(kept) < len(places) or not all(
        path.is_file() for path in (*rules.beside(job).values(), *rules.used(job).values())
    )
    return dataclasses.replace(job, kept=kept) if lacking else None


def _check_apart(jobs: Sequence[Job], rules: _Rules) -> None:
    """Raises UserError where two of all the files that jobs write would be one."""
    planned: dict[Path, tuple[str, Job]] = {}
    for job in jobs:
        files = [(_RESULT, path) for path in outputs(job, rules.variants)]
        for what, path in (*files, *rules.beside(job).items()):
            other, first = planned.setdefault(path.resolve(), (what, job))
            if (other, first) == (what, job):
                continue
            if what.startswith("--") or other.startswith("--"):
                order = [*rules.beside(job), _RESULT].index
                one, two = sorted((other, what), key=order)
                two = "--output" if two == _RESULT else two
                raise UserError(f"{one} and {two} are both {path}. Choose another name.")
            raise UserError(
                f"The {other} of {first.photo} and the {what} of {job.photo} would both be {path}. "
                "Rename one of them."
            )


def _failed(
    error: Exception, job: Job, jobs: Sequence[Job], say: Callable[[str], None]
) -> str:
    """Returns a line about a photograph that failed, and says it; alone, it fails the command."""
    if len(jobs) == 1:
        raise error
    line = str(error)
    if not isinstance(error, UserError):  # one file's fault must not cost the others
        line = f"{job.photo}: {type(error).__name__}: {error}"
    say(f"failed: {line}")
    return line
