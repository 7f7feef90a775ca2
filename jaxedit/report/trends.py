"""The curves of a run's page: every figure over the steps, and on how many samples each rests."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxedit.report import curves, reading, tables, wording

Lines = dict[str, list[tuple[float, float]]]
Rows = Iterable[Mapping[str, Any]]
_NOT_VALUES = ("stage", "step", "split")


def sections(runs: Sequence[reading.Run]) -> list[dict[str, Any]]:
    """Returns the curves of each stage, and those of speed; of two runs in the same charts.

    A section has a `title`, `notes` on what its lines rest on, `charts` and those `per_group`.
    """
    stages = list(dict.fromkeys(_stage_of(row) for run in runs for row in run.rows))
    found = []
    for stage in stages:
        rows = {run.name: [row for row in run.rows if _stage_of(row) == stage] for run in runs}
        notes = [
            (f"{run.name}: " if len(runs) > 1 else "") + note
            for run in runs for note in _notes(run, stage, rows[run.name])
        ]
        title = "Curves" if len(stages) == 1 else f"Curves: {stage}"
        named = {name: _with_labels(own) for name, own in rows.items()}
        found.append({"title": title, "notes": notes, **_charts(named)})
    if any(run.timing for run in runs):
        # Each stage counts its steps from the first, so it has a line of its own.
        named = {
            run.name: [{**row, "split": row.get("stage", "")} for row in run.timing] for run in runs
        }
        found.append({"title": "Speed", "notes": [], **_charts(named)})
    return found


def _stage_of(row: Mapping[str, Any]) -> str:
    return str(row.get("stage", ""))


def _notes(run: reading.Run, stage: str, rows: Rows) -> list[str]:
    """Returns on how many samples the points of a stage's lines rest, as far as it is known."""
    notes = []
    with reading.understood(run.folder / "config.json"):
        entries = {str(s.get("name")): s for s in run.config.get("stages") or ()}
        changed = entries.get(stage, {}).get("overrides", {}).get("train", {})
        train = {**run.config.get("train", {}), **changed}
        every, size = train.get("log_every"), train.get("batch_size")
        if tables.is_number(every) and tables.is_number(size):
            notes.append(
                f"Training: each point is the mean over {wording.thousands(every * size)} samples, "
                f"those of the {every} steps up to it; the last may have fewer."
            )
    measured = _counts(rows)
    if measured:
        of_table = next(
            (e for e in run.evaluations.values() if str(e.get("stage", "")) == stage), None
        )
        what = f"In between, {_span(measured)} samples are measured"
        if of_table is None:
            notes.append(f"{what}.")
        elif measured == {of_table["count"]}:
            notes.append(f"{what}, those of the table.")
        else:
            notes.append(
                f"{what}, the first of the table's {of_table['count']}: "
                "the lines need not end at the table's figures."
            )
    return notes


def _with_labels(rows: Rows) -> list[dict[str, Any]]:
    """Returns rows whose split is the name of a line: what was measured, and how many samples."""
    rows = list(rows)
    span = _span(_counts(rows))
    found = []
    for row in rows:
        split = str(row.get("split", ""))
        if split == "train":
            label = wording.SPLITS["train"]
        elif split == "eval":
            label = wording.SPLITS.get(str(row.get("measured_on", "eval")), "measured")
            label += f" (n = {span})" if span else ""
        else:
            label = split
        found.append({**row, "split": label, "measured": split == "eval"})
    return found


def _counts(rows: Rows) -> set[int]:
    """Returns on how many samples in all the evaluations in between rest."""
    return {n for row in rows if (n := _samples(row).get("all")) is not None}


def _samples(row: Mapping[str, Any]) -> Mapping[str, int]:
    samples = row.get("samples")
    return samples if isinstance(samples, Mapping) else {}


def _span(counts: set[int]) -> str:
    return "-".join(map(str, sorted({min(counts), max(counts)}))) if counts else ""


def _charts(rows: Mapping[str, Rows]) -> dict[str, list[dict]]:
    """Returns a chart per value name, the splits together; evaluations first, then losses.

    Figures per group, named `metric/group` beside a `metric` of the same row, stand apart.

    Args:
      rows: name of the run -> its rows. With two runs, the second's lines are dashed.
    """
    charts: dict[str, Lines] = defaultdict(lambda: defaultdict(list))
    per_group: dict[str, Lines] = defaultdict(lambda: defaultdict(list))
    measured, dashed = set(), set()
    for position, (run, lines) in enumerate(rows.items()):
        for row in lines:
            for name, value in row.items():
                if name in _NOT_VALUES or isinstance(value, str | bool | list | dict):
                    continue
                metric, _, group = name.partition("/")
                of_group = bool(group) and metric in row
                label = str(row.get("split", ""))
                if of_group:
                    count = _samples(row).get(group)
                    label = group if count is None else f"{group} (n = {count})"
                if len(rows) > 1:
                    label = " · ".join(filter(None, (label, run)))
                    dashed |= {label} if position else set()
                line = (per_group[metric] if of_group else charts[name])[label]
                step = float(row.get("step", len(line)))
                line.append((step, math.nan if value is None else float(value)))
                if row.get("measured"):
                    measured.add(name)
    ordered = sorted(
        charts.items(), key=lambda item: (item[0] not in measured, not item[0].startswith("loss"))
    )
    return {
        key: [curves.chart(name, lines, dashed=dashed) for name, lines in items]
        for key, items in (("charts", ordered), ("per_group", per_group.items()))
    }
