"""The run directory: to whom it belongs, and what may be replaced in it."""

from __future__ import annotations

import pathlib
import shutil

from jaxedit import config as config_lib
from jaxedit.errors import UserError
from jaxedit.host import atomic, json_text, locks, origin
from jaxedit.report import wording
from jaxedit.run import artifacts, checkpoint, rows, sharding, stages

_FILES = (
    "config.json", "versions.json", "metrics.jsonl", "timing.jsonl", "summary.json",
    "evaluation.json", "report.html", "DONE", wording.MEASURING,
)


def check(config: config_lib.ConfigDict, run_dir: pathlib.Path) -> bool:
    """Returns whether the run directory is there and belongs to `config`; changes nothing.

    Raises:
      UserError: the directory holds a run of another configuration, or other files.
    """
    if run_dir.exists() and not run_dir.is_dir():
        raise UserError(f"{run_dir} is a file, not a folder. Choose another --workdir.")
    check_path(run_dir)
    if (run_dir / "config.json").exists():
        lines = differences(config, run_dir)
        # A run that never reached a checkpoint holds nothing to protect: a first try with a
        # mistake in it may be repeated in the same place.
        if lines and _holds_results(run_dir):
            shown = "\n  ".join(lines[:12])
            raise UserError(
                f"{run_dir} holds a run of another configuration:\n  {shown}\n"
                "Choose another --workdir, or start with the configuration of that run."
            )
        return not lines
    if run_dir.exists() and not locks.is_empty(run_dir):
        raise UserError(
            f"{run_dir} is not empty and holds no run (no config.json). Choose another --workdir."
        )
    return False


def check_path(run_dir: pathlib.Path) -> None:
    """Raises UserError where no checkpoint could be written or read, for the folder's path."""
    path = str(run_dir.resolve())
    reason = ""
    if patterns := sorted(set("*?[") & set(path)):
        reason = f"has {' '.join(patterns)} in its path, which Orbax takes for a pattern"
    elif json_text.shown(path) != path:
        reason = "has bytes in its path that are no UTF-8, which Orbax cannot name"
    if reason:
        raise UserError(
            f"The run directory {path} {reason}: its checkpoints could not be read back. Choose "
            "another --workdir, or give the folder another name."
        )


def check_places(config: config_lib.ConfigDict, run_dir: pathlib.Path) -> None:
    """Finds what stands in the way in a run directory: files for folders, and the reverse.

    Raises:
      UserError: the message names the path.
    """
    for path in _folders(config, run_dir):
        if path.exists() and not path.is_dir():
            raise UserError(
                f"{path} is a file where a run keeps a folder. Move it away, and start the same "
                "command again."
            )
    for path in (run_dir / name for name in _FILES):
        if path.is_dir():
            raise UserError(
                f"{path} is a folder where a run keeps a file. Move it away, and start the same "
                "command again."
            )


def _folders(config: config_lib.ConfigDict, run_dir: pathlib.Path) -> list[pathlib.Path]:
    """Returns the folders that a run writes into, whether or not they are there."""
    names = [stage.name for stage in stages.read(config)]
    folders = ["pictures", "events", "evaluations", "checkpoints", "frozen", "artifacts"]
    folders += [f"{folder}/{name}" for folder in folders[-3:] for name in names]
    return [run_dir / f for f in (*folders, *(f"artifacts/{n}{stages.WORK}" for n in names))]


def differences(config: config_lib.ConfigDict, run_dir: pathlib.Path) -> list[str]:
    """Returns a line for each key in which the run in `run_dir` has another value than `config`."""
    known = checkpoint.read_run_config(run_dir)
    if "stages" not in known.evaluate and "stages" in config.evaluate:
        # A run of before that key goes on: which stages are measured changes no step of it.
        with known.unlocked():
            known.evaluate.stages = config.evaluate.stages
    return config_lib.differences(known, config)


def prepare(config: config_lib.ConfigDict, run_dir: pathlib.Path) -> None:
    """Creates the run directory, or checks that it belongs to `config`.

    Temporary files of writers that were killed are removed.

    Raises:
      UserError: the directory holds a run of another configuration, or other files, or cannot be
        written to.
    """
    known = check(config, run_dir)
    check_places(config, run_dir)
    finished = {run_dir / "artifacts" / stage.name for stage in stages.read(config)}
    for path in (run_dir, *_folders(config, run_dir), *(run_dir / name for name in _FILES)):
        if path not in finished:  # which nothing writes to any more
            atomic.check_writable(path)
    if sharding.is_first_process():
        atomic.remove_leftovers(run_dir)
    if known:
        if sharding.is_first_process() and not origin.is_own(run_dir / "config.json"):
            origin.sign(run_dir / "config.json")  # equal to the one that the user has named
        return
    sharding.barrier("before_run_dir")
    if sharding.is_first_process():
        try:
            run_dir.mkdir(parents=True, exist_ok=True)
            atomic.write_text(run_dir / "config.json", config_lib.to_json(config))
            origin.sign(run_dir / "config.json")
        except OSError as error:
            raise UserError(f"Cannot write to the run directory {run_dir}: {error}.") from error
    sharding.barrier("after_run_dir")


def remove_if_empty(run_dir: pathlib.Path) -> None:
    """Removes a directory that this run made and in which it came to nothing."""
    begun = any(True for _ in run_dir.glob("artifacts/*/part-*/*"))
    if not begun and not (run_dir / "metrics.jsonl").exists() and not _holds_results(run_dir):
        shutil.rmtree(run_dir, ignore_errors=True)


def _holds_results(run_dir: pathlib.Path) -> bool:
    """Whether there is, or was, what belongs to one configuration: checkpoints, artefacts."""
    if not (run_dir / "checkpoints").is_dir() and rows.read(run_dir / "metrics.jsonl")[0]:
        return True  # they were there: a run makes that folder before its first row
    patterns = ("checkpoints/*/[0-9]*", "artifacts/*/" + artifacts.MANIFEST)
    return any(True for pattern in patterns for _ in run_dir.glob(pattern))
