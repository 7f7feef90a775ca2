"""Folders of what every system of an evaluation makes of the same inputs, for people to compare.

`write` fills `<folder>/<system>/<number>.png` and, where the method shows it, what all of them were
made from, `<folder>/reference/<number>.png`: what `jaxedit preference sheet` asks for.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator

import numpy as np

from jaxedit.errors import UserError
from jaxedit.host import atomic
from jaxedit.report import pictures
from jaxedit.run import evaluate, measure, readers

REFERENCE = "reference"


def write(
    run_dir: pathlib.Path, folder: pathlib.Path, *, stage: str | None = None,
    step: str | None = None, count: int = 0, trust_code: bool = False,
) -> tuple[dict[str, pathlib.Path], pathlib.Path | None, int]:
    """Writes the pictures of a stage's first evaluation, whole or not at all.

    Args:
      run_dir: the run directory.
      folder: a new or empty folder.
      stage: of the run; the last one that has a checkpoint by default.
      step: of the stage: a number, "last" or "best"; the last one by default.
      count: samples, the first of the evaluation's source; 0 takes as many as are measured.
      trust_code: see `readers.load_run`.

    Returns:
      System -> its folder, in the order of the evaluation's table; the folder of what was given,
      None where the method shows nothing; and the number of samples.

    Raises:
      UserError: there is no such run, stage, step or evaluation, nothing to measure on, or the
        folder has something in it.
    """
    made: dict[str, str] = {}
    seen, has_reference = 0, False
    with atomic.atomic_folder(folder) as temporary:
        for number, given, shown in _samples(run_dir, stage, step, count, trust_code):
            seen += 1
            made = made or _names(list(shown))
            for system, picture in shown.items():
                _write(temporary / made[system], number, picture)
            if given is not None:
                has_reference = True
                _write(temporary / REFERENCE, number, given)
        if not seen:
            raise UserError(f"The evaluation of {run_dir} has no samples: nothing to look at.")
    systems = {system: folder / name for system, name in made.items()}
    return systems, folder / REFERENCE if has_reference else None, seen


def _samples(
    run_dir: pathlib.Path, stage: str | None, step: str | None, count: int, trust_code: bool
) -> Iterator[tuple[int, np.ndarray | None, dict[str, np.ndarray]]]:
    config, method, state = readers.load_run(run_dir, step, stage, trust_code)
    before = measure.earlier(run_dir, stage or measure.last_saved_stage(run_dir))
    others = {
        name: readers.load_run(run_dir, stage=name, trust_code=trust_code)[2]
        for name in config.evaluate.compare if name in before
    }
    limit = count or config.evaluate.limit
    return evaluate.Evaluator(method, config).pictures(state, limit, others)


def _names(systems: list[str]) -> dict[str, str]:
    """Returns system -> the name of its folder, which a shell takes without quotes."""
    names = {system: re.sub(r"[^\w.+-]+", "-", system) for system in systems}
    if len({*names.values(), REFERENCE}) <= len(names):
        raise UserError(
            f"The systems {', '.join(systems)} do not all have a folder name of their own, other "
            f"than {REFERENCE!r}: rename the stage that evaluate.compare names."
        )
    return names


def _write(folder: pathlib.Path, number: int, picture: np.ndarray) -> None:
    if picture.shape[-1] == 1:
        picture = np.repeat(picture, 3, axis=-1)
    pictures.write(folder / f"{number:05}.png", picture)
