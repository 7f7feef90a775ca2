"""Evaluation tables: systems x groups for each metric, as a panel of cells, text or Markdown.

An evaluation is the content of `evaluation.json`: `systems`, `groups`, `metrics`, `counts`
(group -> number of samples), `higher_is_better` (metric -> bool), `absent` (a line for each metric
that could not be computed) and `table[system][group][metric]`, a number or None. Newer ones say
`stage` and `name`, have `curves`, see `jaxedit.report.curves`, `titles` (metric -> what it is) and
`samples[system][group][metric]`, the number of samples that the figure rests on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas

from jaxedit.report import wording
from jaxedit.report.wording import figure, is_number

Evaluation = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Panel:
    """The table of one metric, ready to be shown.

    Attributes:
      metric: its name.
      title: what it is, with its scale; "" where that is not known.
      arrow: where better values are, "" where that is not known.
      better: the same in words.
      groups: (group, number of samples behind the figures) of each column, see `_count`.
      rows: system -> (figure, whether it is the best of its column) of each cell.
    """

    metric: str
    title: str
    arrow: str
    better: str
    groups: list[tuple[str, str]]
    rows: dict[str, list[tuple[str, bool]]]


def check(evaluation: Evaluation) -> None:
    """Raises TypeError, KeyError or AttributeError where it is no evaluation, and says why."""
    for key in ("systems", "groups", "metrics"):
        _check_words(key, evaluation[key])
        if len(set(evaluation[key])) < len(evaluation[key]):
            raise TypeError(f"{key!r} names one twice")
    for key in ("absent", "notes", "ceilings"):
        _check_words(key, evaluation.get(key) or [])
    if not evaluation["systems"]:
        raise TypeError("'systems' is empty")
    if missing := {"source", "count"} - evaluation.keys():
        raise KeyError(*missing)
    for key in ("counts", "higher_is_better", "table"):
        _check_mapping(key, evaluation[key])
    for groups in evaluation["table"].values():
        _check_mapping("table", groups)
        for figures in groups.values():
            _check_mapping("table", figures)
    if evaluation.get("best") is not None:
        _check_words("best", evaluation["best"])
        if len(evaluation["best"]) != 2:
            raise TypeError("'best' is no figure with its direction")
    titles = evaluation.get("titles") or {}
    _check_mapping("titles", titles)
    _check_words("titles", list(titles.values()))
    for groups in (evaluation.get("samples") or {}).values():
        for counts in groups.values():
            _check_mapping("samples", counts)
            _check_numbers("samples", counts)
    for curve in evaluation.get("curves") or ():
        _check_mapping("systems", curve["systems"])
        for points in curve["systems"].values():
            for _, *place in points:
                if len(place) != 2 or not all(v is None or is_number(v) for v in place):
                    raise TypeError("a curve has a point that is not [parameter, x, y]")


def _check_words(key: str, value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise TypeError(f"{key!r} is no list of words")


def _check_numbers(key: str, values: Mapping[str, Any]) -> None:
    if not all(value is None or is_number(value) for value in values.values()):
        raise TypeError(f"{key!r} holds what is no number")


def _check_mapping(key: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(f"{key!r} holds no object")


def best(values: Iterable[float | None], higher: bool | None) -> float | None:
    """Returns the best of the numbers, or None without any number or without a direction."""
    found = [v for v in values if is_number(v)]
    if not found or higher is None:
        return None
    return max(found) if higher else min(found)


def arrow(higher: bool | None) -> str:
    """Returns the arrow that points where better values are."""
    return "" if higher is None else "↑" if higher else "↓"


def frame(evaluation: Evaluation) -> pandas.DataFrame:
    """Returns one row per number that was measured: system, metric, group, value, in their order.
    """
    rows = [
        (system, metric, group, evaluation["table"].get(system, {}).get(group, {}).get(metric))
        for system in evaluation["systems"]
        for metric in evaluation["metrics"]
        for group in evaluation["groups"]
    ]
    rows = [(*names, float(value)) for *names, value in rows if is_number(value)]
    return pandas.DataFrame(rows, columns=["system", "metric", "group", "value"])


def panels(evaluation: Evaluation) -> list[Panel]:
    """Returns a panel for each metric that has a number, with the groups and systems that have one.

    The best of a column is marked where more than one system has a figure in it.
    """
    measured = frame(evaluation)
    found = []
    for metric in measured["metric"].unique():
        wide = measured[measured["metric"] == metric].pivot(
            index="system", columns="group", values="value"
        )
        # FID, for one, is not computed per group.
        groups = [g for g in evaluation["groups"] if g in wide.columns]
        wide = wide.reindex(index=evaluation["systems"], columns=groups)
        higher = evaluation["higher_is_better"].get(metric)
        leading = {
            group: best(wide[group], higher) if wide[group].count() > 1 else None
            for group in groups
        }
        found.append(Panel(
            metric=metric,
            title=(evaluation.get("titles") or {}).get(metric, ""),
            arrow=arrow(higher),
            better="" if higher is None else f"{'higher' if higher else 'lower'} is better",
            groups=[(group, _count(evaluation, group, metric)) for group in groups],
            rows={
                system: [(figure(row[g]), bool(row[g] == leading[g])) for g in groups]
                for system, row in wide.iterrows()
            },
        ))
    return found


def _count(evaluation: Evaluation, group: str, metric: str) -> str:
    """Returns the number of samples behind a column's figures: `97`, `90 of 97`, `90 to 97 of 97`.

    A system that has no figure in the column does not count, nor does what it lacks.
    """
    samples, table = evaluation.get("samples") or {}, evaluation["table"]
    measured = [s for s in samples if is_number(table.get(s, {}).get(group, {}).get(metric))]
    found = {samples[system].get(group, {}).get(metric) for system in measured} - {None}
    whole = evaluation["counts"].get(group)
    if not found or found == {whole}:
        return str(whole if whole is not None else "-")
    spread = " to ".join(map(str, sorted({min(found), max(found)})))
    return spread if whole is None else f"{spread} of {whole}"


def title(evaluation: Evaluation) -> str:
    """Returns one line: what was measured, of which stage, on what, at which step."""
    name, stage, step = (evaluation.get(key) for key in ("name", "stage", "step"))
    of = f" of {stage}" if stage and stage != wording.SINGLE else ""
    what = f"Evaluation{of}" + (f" ({name})" if name else "")
    at = "" if step is None else f" at step {step}"
    return f"{what}{at} on {evaluation['source']}, {samples(evaluation)}"


def samples(evaluation: Evaluation) -> str:
    """Returns how many samples were measured, and which: `97 held-out samples`."""
    count = evaluation["count"]
    noun = "sample" if count == 1 else "samples"
    words = [str(count), wording.SPLITS.get(evaluation.get("split", "")), noun]
    return " ".join(filter(None, words))


def as_text(evaluation: Evaluation, said: set[str] | None = None) -> str:
    """Returns the tables for a terminal; the best value of each group carries a star.

    Args:
      evaluation: the figures.
      said: remarks that a reader has seen already and gets no more; those of this table are added.
    """
    lines, starred = [title(evaluation)], False
    for panel in panels(evaluation):
        starred |= any(is_best for cells in panel.rows.values() for _, is_best in cells)
        rows = [[f"{panel.metric} {panel.arrow}".strip(), *(group for group, _ in panel.groups)]]
        for system, cells in panel.rows.items():
            rows.append([system, *(text + ("*" if is_best else " ") for text, is_best in cells)])
        rows.append(["samples", *(f"{count} " for _, count in panel.groups)])
        lines += ["", *([panel.title] if panel.title not in ("", panel.metric) else [])]
        lines += align(rows)
    lines += ["", "* best of its column"] if starred else []
    lines += remarks(evaluation, "absent", said) + remarks(evaluation, "notes", said)
    return "\n".join(lines)


def remarks(evaluation: Evaluation, key: str, said: set[str] | None = None) -> list[str]:
    """Returns the lines of `absent` or `notes`, each once; what is in `said` is left out, and what
    is returned is added to it.
    """
    said = set() if said is None else said
    lines = [line for line in dict.fromkeys(evaluation.get(key) or ()) if line not in said]
    said.update(lines)
    return lines


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns one line per row: the first column flush left, the others right, a rule below row 0.
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        first, *others = (
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *others]).rstrip())
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def as_markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table, the first column flush left and the others right."""
    def cells(row: Sequence[str]) -> str:
        return "| " + " | ".join(c.replace("|", "\\|") for c in row) + " |"

    rule = "|" + "|".join([" --- "] + [" ---: "] * (len(head) - 1)) + "|"
    return "\n".join([cells(head), rule, *(cells(row) for row in rows)])
