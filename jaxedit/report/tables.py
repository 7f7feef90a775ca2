"""Evaluation tables: systems x groups for each metric, as text, HTML or Markdown.

An evaluation is the content of `evaluation.json`: `systems`, `groups`, `metrics`, `counts`
(group -> number of samples), `higher_is_better` (metric -> bool), `absent` (a line for each metric
that could not be computed) and `table[system][group][metric]`, a number or None.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Evaluation = Mapping[str, Any]


def best(values: Iterable[float | None], higher: bool | None) -> float | None:
    """Returns the best of the numbers, or None without any number or without a direction."""
    found = [v for v in values if is_number(v)]
    if not found or higher is None:
        return None
    return max(found) if higher else min(found)


def is_number(value: Any) -> bool:
    """Whether `value` is a number that can be ranked; None and NaN are not, infinity is."""
    return isinstance(value, int | float) and not math.isnan(value)


def figure(value: float | None, spread: float | None = None) -> str:
    """Returns a figure with four significant digits, or a dash where there is none.

    With a `spread`, returns `value ± spread`, both to the same decimal.
    """
    if not is_number(value):
        return "-"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    size = math.floor(math.log10(abs(value))) if value else 0
    decimals = min(max(0, 3 - size), 5)
    text = f"{value:.{decimals}f}" if -4 < size < 7 else f"{value:.3e}"
    return text if spread is None else f"{text} ± {spread:.{decimals}f}"


def arrow(higher: bool | None) -> str:
    """Returns the arrow that points where better values are."""
    return "" if higher is None else "↑" if higher else "↓"


def value_of(evaluation: Evaluation, system: str, group: str, metric: str) -> float | None:
    """Returns one cell, None where it was not measured."""
    return evaluation["table"].get(system, {}).get(group, {}).get(metric)


def present_metrics(evaluation: Evaluation) -> list[str]:
    """Returns the metrics that have at least one number, in the evaluation's order."""
    return [m for m in evaluation["metrics"] if measured_groups(evaluation, m)]


def measured_groups(evaluation: Evaluation, metric: str) -> list[str]:
    """Returns the groups for which some system has a number: FID is not computed per group."""
    return [
        group
        for group in evaluation["groups"]
        if any(is_number(value_of(evaluation, s, group, metric)) for s in evaluation["systems"])
    ]


def title(evaluation: Evaluation) -> str:
    """Returns one line: what was measured, on what, at which step."""
    step = evaluation.get("step")
    at = "" if step is None else f" at step {step}"
    return f"Evaluation{at} on {evaluation['source']}, {evaluation['count']} samples"


def as_text(evaluation: Evaluation) -> str:
    """Returns the tables for a terminal; the best value of each group carries a star."""
    systems = evaluation["systems"]
    lines = [title(evaluation)]
    for metric in present_metrics(evaluation):
        higher = evaluation["higher_is_better"].get(metric)
        groups = measured_groups(evaluation, metric)
        leading = _best_per_group(evaluation, metric)
        rows = [[f"{metric} {arrow(higher)}".strip(), *groups]]
        for system in systems:
            row = [system]
            for group in groups:
                value = value_of(evaluation, system, group, metric)
                mark = "*" if value is not None and value == leading[group] else " "
                row.append(figure(value) + mark)
            rows.append(row)
        rows.append(["samples", *(f"{evaluation['counts'].get(g, '-')} " for g in groups)])
        lines += ["", *align(rows)]
    lines += ["", "* best of its column"] if len(systems) > 1 and len(lines) > 1 else []
    lines += [*evaluation.get("absent", ()), *evaluation.get("notes", ())]
    return "\n".join(lines)


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


def as_html(evaluation: Evaluation) -> str:
    """Returns one `<table>` per metric; the best value of each group has the class `best`."""
    systems = evaluation["systems"]
    parts = []
    for metric in present_metrics(evaluation):
        higher = evaluation["higher_is_better"].get(metric)
        groups = measured_groups(evaluation, metric)
        leading = _best_per_group(evaluation, metric)
        better = "" if higher is None else f"{'higher' if higher else 'lower'} is better"
        head = "".join(
            f"<th>{html.escape(g)}<small>n = {evaluation['counts'].get(g, '-')}</small></th>"
            for g in groups
        )
        body = ""
        for system in systems:
            body += f"<tr><th>{html.escape(system)}</th>"
            for group in groups:
                value = value_of(evaluation, system, group, metric)
                is_best = value is not None and value == leading[group]
                cell = "<td class='best'>" if is_best else "<td>"
                body += f"{cell}{figure(value)}</td>"
            body += "</tr>"
        parts.append(
            f'<table><caption>{html.escape(metric)} <b title="{better}">{arrow(higher)}</b> '
            f"<small>{better}</small></caption><thead><tr><th></th>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>"
        )
    return "".join(parts)


def as_markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table, the first column flush left and the others right."""
    def cells(row: Sequence[str]) -> str:
        return "| " + " | ".join(c.replace("|", "\\|") for c in row) + " |"

    rule = "|" + "|".join([" --- "] + [" ---: "] * (len(head) - 1)) + "|"
    return "\n".join([cells(head), rule, *(cells(row) for row in rows)])


def _best_per_group(evaluation: Evaluation, metric: str) -> dict[str, float | None]:
    higher = evaluation["higher_is_better"].get(metric)
    systems = evaluation["systems"]
    if len(systems) < 2:
        return dict.fromkeys(evaluation["groups"])
    return {
        group: best((value_of(evaluation, s, group, metric) for s in systems), higher)
        for group in evaluation["groups"]
    }
