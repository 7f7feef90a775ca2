"""Measuring a run: which stages, which evaluations, and the files in which the figures end up.

The last measured stage's first evaluation is `evaluation.json`; every other one is
`evaluations/<stage>.json`, or `evaluations/<stage>-<name>.json` where it is not its stage's first.
What tells measurements of a stage apart, such as the source, comes behind that (`suffix_of`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import pathlib
from collections.abc import Iterator
from typing import Any

from jaxedit import config as config_lib
from jaxedit.data import sources
from jaxedit.errors import UserError
from jaxedit.host import json_text
from jaxedit.host.names import check_choice
from jaxedit.method import Method, State
from jaxedit.report import wording
from jaxedit.run import checkpoint, evaluate, readers, stages
from jaxedit.run.figures import Result


@dataclasses.dataclass(frozen=True)
class Measured:
    """One evaluation of one stage.

    Attributes:
      stage: its name.
      step: of the state that was measured.
      result: the figures.
      path: the JSON file that holds them.
      is_main: whether it is the first evaluation of the last measured stage.
    """

    stage: str
    step: int
    result: Result
    path: pathlib.Path
    is_main: bool

    @property
    def heading(self) -> str:
        """What stands above its table; nothing for the main one."""
        of = "" if self.stage == wording.SINGLE else f"Stage {self.stage}, "
        return "" if self.is_main else f"\n{of}{self.result.name}:\n"

    def to_json(self) -> dict[str, Any]:
        """Returns the content of the file."""
        return self.result.to_json(self.step, self.stage)


def measure_run(run_dir: pathlib.Path) -> Iterator[Measured]:
    """Measures the last state of every stage that is to be measured, the last stage first.

    Which stages those are: `evaluate.stages`, or, where that is empty, all that have evaluations,
    without those that `evaluate.compare` of the last one names, as they stand in its table.
    """
    config = checkpoint.read_run_config(run_dir)
    names = check_stages(config)
    compared: tuple[str, ...] = ()
    is_main = True
    for name in reversed(names):
        if name in compared:
            continue
        stage_config, method, state = readers.load_run(run_dir, stage=name, trust_code=True)
        if not method.evaluations():
            continue
        yield from measure_state(method, stage_config, state, run_dir, name, is_main=is_main)
        if is_main and not config.evaluate.get("stages"):
            compared = tuple(stage_config.evaluate.compare)
        is_main = False


def measure_state(
    method: Method, config: config_lib.ConfigDict, state: State, run_dir: pathlib.Path,
    stage: str, suffix: str = "", *, is_main: bool = True, beside: bool = False,
) -> Iterator[Measured]:
    """Measures `state` by each of its method's evaluations, and writes what they found.

    Args:
      method: of the stage.
      config: of the stage.
      state: the state.
      run_dir: where the files go.
      stage: its name.
      suffix: what is added to the names of the files, to tell them from those of the run's end.
      is_main: whether the first evaluation is the run's `evaluation.json`.
      beside: as of `Writer.evaluation`: this is not the run itself.

    Raises:
      UserError: the method has no evaluation.
    """
    if not method.evaluations():
        raise UserError(f"Method {config.method!r} defines no evaluation for stage {stage!r}.")
    compare = tuple(n for n in config.evaluate.compare if is_main or n in earlier(run_dir, stage))
    for number, name in enumerate(method.evaluations()):
        first = number == 0 and is_main
        stem = _stem(stage, None if number == 0 else name, is_main) + suffix
        result = evaluate.evaluate(
            method, config, state, run_dir, stem, stage=stage, evaluation=name, compare=compare,
            beside=beside,
        )
        yield Measured(stage, int(state.step), result, result.path, first)


def suffix_of(
    run_dir: pathlib.Path, stage: str, config: config_lib.ConfigDict, start: str, *, is_main: bool
) -> str:
    """Returns what is added to the names of a measurement's files: `start` and the source.

    Of a source its kind and its last name will do, but where a file of that name does not say that
    it is of this source: then a digest of the source's place follows.

    Args:
      run_dir: where the files go.
      stage: its name.
      config: of the stage, as it is to be measured.
      start: of what is added.
      is_main: as of `measure_state`.
    """
    suffix, (source, _) = start, evaluate.evaluation_source(config)
    if config.evaluate.source:
        for part in sources.parts(source):
            kind, _, place = part.name.partition(":")
            suffix += f"-{kind}-{pathlib.PurePath(place).name}".rstrip("-")
    place = sources.place(source)
    file = run_dir / f"{_stem(stage, None, is_main)}{suffix}.json"
    if _measured_on(file, known=not config.evaluate.source) in (None, place):
        return suffix
    digest = hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{suffix}-{digest[:8]}"


def _stem(stage: str, name: str | None, is_main: bool) -> str:
    """Returns the beginning of the names of an evaluation's files; `name` is None of the first."""
    if name is None and is_main:
        return "evaluation"
    return f"evaluations/{stage}" + ("" if name is None else f"-{name}")


def _measured_on(file: pathlib.Path, *, known: bool) -> str | None:
    """Returns the place of an evaluation's source, None where there is none that can be read.

    Evaluations of before there were places have the source's name alone. What a relative path in it
    led to is not known any more: `known` takes it for what it leads to now.
    """
    try:
        found = json_text.loads(file.read_bytes())
        place, source = found.get("place"), found.get("source")
    except (OSError, AttributeError, ValueError):
        return None
    if place is not None or not known or not isinstance(source, str):
        return place or source
    with contextlib.suppress(UserError):
        return sources.place(source)
    return source


def check_stages(config: config_lib.ConfigDict) -> list[str]:
    """Returns the names of the stages that may be measured, in order; none that only builds.

    Raises:
      UserError: `evaluate.stages` names a stage that there is not.
    """
    known = [stage.name for stage in stages.read(config) if not stage.build]
    wanted = config.evaluate.get("stages", ())  # runs of before that key have none
    for name in wanted:
        check_choice("A stage in evaluate.stages", name, known)
    return [name for name in known if not wanted or name in wanted]


def last_saved_stage(run_dir: pathlib.Path) -> str | None:
    """Returns the name of the last stage of a run that has a checkpoint; None where none has."""
    names = [stage.name for stage in stages.read(checkpoint.read_run_config(run_dir))]
    saved = [n for n in names if checkpoint.has_checkpoint(run_dir / "checkpoints" / n)]
    return saved[-1] if saved else None


def earlier(run_dir: pathlib.Path, stage: str) -> tuple[str, ...]:
    """Returns the names of the stages before `stage`, in order."""
    names = [known.name for known in stages.read(checkpoint.read_run_config(run_dir))]
    return tuple(names[: names.index(stage)])
