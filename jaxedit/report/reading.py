"""What a run has written so far, read and checked; the pages and tables are made of it.

A file that is damaged, or holds something else than what a run writes, is named in one message.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from jaxedit.errors import UserError
from jaxedit.host import json_text
from jaxedit.report import tables, wording


@dataclasses.dataclass(frozen=True)
class Run:
    """The files of a run.

    Attributes:
      folder: the run directory.
      name: of the folder; of a run in a sweep, with its variant's.
      config: config.json.
      versions: versions.json.
      summary: summary.json.
      rows: metrics.jsonl.
      timing: timing.jsonl, and what evaluations took.
      evaluations: file -> evaluation; the run's own comes first.
      artifacts: stage -> manifest of what a host stage made.
    """

    folder: pathlib.Path
    name: str
    config: Mapping[str, Any]
    versions: Mapping[str, Any]
    summary: Mapping[str, Any]
    rows: list[dict[str, Any]]
    timing: list[dict[str, Any]]
    evaluations: Mapping[pathlib.Path, tables.Evaluation]
    artifacts: Mapping[str, Mapping[str, Any]]


def read(folder: pathlib.Path) -> Run:
    """Returns what is in a run directory; what is not there yet is empty.

    Raises:
      UserError: it is no run directory, or a file in it is damaged.
    """
    if not (folder / "config.json").is_file():
        raise UserError(
            f"{folder} is no run directory: it has no config.json. Give the folder that "
            "--workdir named (by default runs/<config>-<preset>)."
        )
    place = folder.resolve()
    of_sweep = place.name.startswith("seed-")
    return Run(
        folder=folder,
        name=json_text.shown(f"{place.parent.name}/{place.name}" if of_sweep else place.name),
        config=read_object(folder / "config.json"),
        versions=read_object(folder / "versions.json"),
        summary=read_object(folder / "summary.json"),
        rows=read_rows(folder / "metrics.jsonl"),
        timing=[row for n in ("timing.jsonl", wording.MEASURING) for row in read_rows(folder / n)],
        evaluations=read_evaluations(folder),
        artifacts={
            json_text.shown(path.parent.name): read_object(path)
            for path in sorted(folder.glob("artifacts/*/manifest.json"))
        },
    )


def read_json(path: pathlib.Path) -> Any:
    """Returns the content of a JSON file, None where there is no such file.

    Raises:
      UserError: the file is not JSON, or no file.
    """
    if not path.exists():
        return None
    with understood(path):
        return json_text.loads(path.read_bytes(), printable=True)


def read_object(path: pathlib.Path) -> dict[str, Any]:
    """Returns the content of a JSON file that holds an object, {} where there is no such file."""
    content = read_json(path)
    if content is not None and not isinstance(content, dict):
        raise UserError(f"{path} holds no JSON object. Restore or delete it.")
    return content or {}


def read_rows(path: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the rows of a JSON-lines file; a last line cut short by a kill is left out.

    Raises:
      UserError: another line is not JSON, or no object with a number as its step.
    """
    if not path.exists():
        return []
    with understood(path):
        lines = path.read_text(encoding="utf-8").splitlines()
    rows = []
    for index, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            rows.append(json_text.loads(line, printable=True))
        except ValueError as error:
            if index == len(lines) - 1:
                break
            raise UserError(f"{path}, line {index + 1} is not valid JSON ({error}).") from None
        if not isinstance(rows[-1], dict) or not wording.is_number(rows[-1].get("step", 0)):
            raise UserError(f"{path}, line {index + 1} is no JSON object with a step.")
    return rows


def read_evaluation(path: pathlib.Path) -> tables.Evaluation:
    """Returns an evaluation after a look at its form, {} where there is no such file.

    Raises:
      UserError: it is damaged, or no evaluation.
    """
    content = read_object(path)
    if path.is_file():
        with understood(path):
            tables.check(content)
    return content


def read_evaluations(folder: pathlib.Path) -> dict[pathlib.Path, tables.Evaluation]:
    """Returns file -> evaluation: `evaluation.json`, those of other checkpoints or sources, then
    `evaluations/`, which has those of every stage. What is there twice is given once.
    """
    paths = sorted(folder.glob("evaluation*.json"), key=lambda p: (len(p.name), p.name))
    paths += sorted(folder.glob("evaluations/*.json"))
    found: dict[pathlib.Path, tables.Evaluation] = {}
    for path in paths:
        evaluation = read_evaluation(path)
        if evaluation not in found.values():
            found[path] = evaluation
    return found


@contextlib.contextmanager
def understood(path: pathlib.Path) -> Iterator[None]:
    """Turns what goes wrong with the content of a file into a UserError that names the file."""
    try:
        yield
    except UserError:
        raise
    except ValueError as error:  # json's and UTF-8's own errors are among them
        raise UserError(f"{path} is not valid JSON ({error}). Restore or delete it.") from None
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} does not hold what a run writes there ({type(error).__name__}: {error}). "
            "Restore or delete it."
        ) from None
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from None
