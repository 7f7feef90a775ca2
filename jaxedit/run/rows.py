"""The rows of a run, metrics.jsonl and timing.jsonl: what a resumed run keeps of them.

A kill can leave an unfinished last line, and rows of after the last checkpoint: both are dropped
without a word, since they are written again. Anything else is damage: a line that is no row, or
fewer rows than the checkpoint knew of, or other ones. Training goes on with what is whole, the
damaged file stays beside it under another name, and stderr says what is lost. A row in which a
number has become another one cannot be told from a whole one: it stays, and is told.
"""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from jaxedit.errors import UserError
from jaxedit.host import atomic, json_text, names

FILES = ("metrics.jsonl", "timing.jsonl")


@dataclasses.dataclass(frozen=True)
class Row:
    """One row: its line, without the end of it, and what it says of stage and step."""

    line: bytes
    stage: str
    step: int


def read(path: pathlib.Path) -> tuple[list[Row], list[int]]:
    """Returns (the rows of a file, the numbers of the lines that are none, from 1 on).

    A last line that a kill has left unfinished is neither. No file has no rows.

    Raises:
      UserError: the file cannot be read.
    """
    try:
        *lines, last = path.read_bytes().split(b"\n") if path.exists() else [b""]
    except OSError as error:
        raise UserError(
            f"Cannot read {path}: {error.strerror or error}. Nothing was changed. See to it that "
            "it is a file that can be read, and start the same command again."
        ) from error
    found = [_parse(line) for line in lines]
    damaged = [n for n, row in enumerate(found, 1) if row is None and lines[n - 1].strip()]
    unfinished = _parse(last)  # a kill can also fall between a row and the end of its line
    return [row for row in (*found, unfinished) if row is not None], damaged


def describe(run_dir: pathlib.Path, stage: str) -> dict[str, Any]:
    """Returns what a checkpoint keeps of a stage's rows: file name -> their number and SHA-256."""
    found = {}
    for name in FILES:
        own = [row for row in read(run_dir / name)[0] if row.stage == stage]
        found[name] = {"count": len(own), "sha256": _digest(own)}
    return found


def rewind(
    run_dir: pathlib.Path, stage: str, step: int, known: Mapping[str, Any],
    order: Sequence[str] = (),
) -> None:
    """Drops what a stage wrote after the checkpoint that it resumes from; tells of damage.

    Args:
      run_dir: the run directory.
      stage: the stage; the rows of other stages stay.
      step: of the checkpoint.
      known: what `describe` said when the checkpoint was made, or, in those of before digests, the
        number of rows alone; {} at a fresh start.
      order: the stages of the run. Rows are put in their order, since a stage whose newest
        checkpoints were damaged writes rows again when later stages have written theirs.
    """
    position = {name: number for number, name in enumerate(order)}
    for name in FILES:
        path = run_dir / name
        found, damaged = read(path)
        every = [row for row in found if row.stage == stage]
        facts = known.get(name, 0)
        count, digest = (
            (facts, None) if isinstance(facts, int) else (facts["count"], facts["sha256"])
        )
        own = [row for row in every if row.step <= step][:count]
        missing = count - len(own)
        reasons = _reasons(damaged, missing, stage, step)
        if not missing and digest not in (None, _digest(own)):
            reasons.append(
                f"a row of stage {stage!r} is not as it was at step {step}, so that its figures "
                "and curves may be wrong"
            )
        if reasons:
            _tell(path, reasons, keep=bool(damaged) or len(own) < len(every))
        chosen = set(map(id, own))
        kept = [row for row in found if row.stage != stage or id(row) in chosen]
        kept.sort(key=lambda row: position.get(row.stage, len(position)))  # stable
        content = b"".join(row.line + b"\n" for row in kept)
        if path.exists() and path.read_bytes() != content:
            atomic.write_bytes(path, content)


def _parse(line: bytes) -> Row | None:
    try:
        found = json_text.loads(line)
        stage, step = found["stage"], found["step"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(stage, str) or not isinstance(step, int):
        return None
    return Row(line, stage, step)


def _digest(own: Sequence[Row]) -> str:
    return hashlib.sha256(b"".join(row.line + b"\n" for row in own)).hexdigest()


def _reasons(damaged: list[int], missing: int, stage: str, step: int) -> list[str]:
    reasons = []
    if damaged:
        numbers = ", ".join(map(str, damaged[:5])) + (", ..." if damaged[5:] else "")
        reasons.append(f"no row stands in line {numbers}")
    if missing:
        reasons.append(
            f"{missing} row(s) of stage {stage!r} are missing that were there at step {step}"
        )
    return reasons


def _tell(path: pathlib.Path, reasons: list[str], keep: bool) -> None:
    """Says what is wrong with a file, of which a copy is kept if `keep`."""
    where = ""
    if keep:
        aside = names.first_free(
            lambda n: path.with_name(f"{path.stem}.damaged-{n}{path.suffix}")
        )
        atomic.write_bytes(aside, path.read_bytes())
        where = f" It is kept as {aside.name}."
    print(
        f"{path} is {'damaged' if path.exists() else 'gone'}: {'; '.join(reasons)}.{where} The run "
        "goes on with the rows that are whole; only its report is concerned.",
        file=sys.stderr, flush=True,
    )
