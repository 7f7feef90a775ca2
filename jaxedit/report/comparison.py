"""Runs side by side: mean and spread over seeds per variant, as Markdown, CSV and a plot.

Spread is the sample standard deviation (N - 1) over the runs of a variant; a variant of one run
has none. A run of a sweep lies in `<sweep>/<variant>/seed-<n>`; any other run is a variant of its
own.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import os
import pathlib
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from jaxedit.errors import UserError
from jaxedit.report import tables

OVERALL = "all"  # the group of every sample


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run: where it is, what it was, and its evaluation."""

    path: pathlib.Path
    variant: str
    seed: int
    evaluation: dict[str, Any]
    summary: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What `compare` made: the Markdown text and the files it wrote."""

    markdown: str
    files: tuple[pathlib.Path, ...]


def compare(
    paths: str | os.PathLike | Sequence[str | os.PathLike],
    output: str | os.PathLike | None = None,
) -> Comparison:
    """Sets runs side by side and writes `comparison.md`, `.csv`, `.png` and `runs.csv`.

    The plot is left out, and a line says so, where matplotlib is not installed.

    Args:
      paths: a sweep directory, or several run directories.
      output: the folder to write into; by default the sweep directory, or the runs' parent.

    Raises:
      UserError: a path is neither, or no run among them has been evaluated.
    """
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    folders = [pathlib.Path(path) for path in paths]
    about: dict[str, Any] = {}
    if len(folders) == 1 and is_sweep(folders[0]):
        about = json.loads((folders[0] / "sweep.json").read_text(encoding="utf-8"))
        candidates = sorted(p.parent for p in folders[0].glob("*/seed-*/config.json"))
        output = pathlib.Path(output or folders[0])
    else:
        candidates = folders
        output = pathlib.Path(output or folders[0].resolve().parent)
    runs, lacking = [], []
    for folder in candidates:
        run = read_run(folder)
        if run is None:
            lacking.append(str(folder))
        else:
            runs.append(run)
    if not runs:
        raise UserError(
            f"Nothing to compare in {', '.join(map(str, folders))}: no run there has an "
            "evaluation.json. Let the runs finish, or evaluate them with --mode=evaluate."
        )
    order = about.get("variants") or list(dict.fromkeys(run.variant for run in runs))
    runs.sort(key=lambda r: (order.index(r.variant) if r.variant in order else len(order), r.seed))
    output.mkdir(parents=True, exist_ok=True)
    text = markdown(runs, about, lacking)
    files = {
        "comparison.md": text.encode("utf-8"),
        "comparison.csv": _csv_of_means(runs).encode("utf-8"),
        "runs.csv": _csv_of_runs(runs).encode("utf-8"),
    }
    try:
        files["comparison.png"] = plot(runs)
    except ImportError:
        text += "\nNo plot: matplotlib is not installed (pip install matplotlib).\n"
        files["comparison.md"] = text.encode("utf-8")
        (output / "comparison.png").unlink(missing_ok=True)
    for name, data in files.items():
        part = output / f".{name}.{os.getpid()}.part"
        try:
            part.write_bytes(data)
            os.replace(part, output / name)
        finally:
            part.unlink(missing_ok=True)
    return Comparison(text, tuple(output / name for name in files))


def is_sweep(folder: pathlib.Path) -> bool:
    """Whether `folder` was written by `jaxedit sweep`."""
    return (folder / "sweep.json").is_file()


def read_run(folder: pathlib.Path) -> Run | None:
    """Returns the run in `folder`, or None if it has not been evaluated.

    Raises:
      UserError: `folder` is no run directory.
    """
    if not (folder / "config.json").is_file():
        raise UserError(
            f"{folder} is neither a run (no config.json) nor a sweep (no sweep.json)."
        )
    if not (folder / "evaluation.json").is_file():
        return None

    def read(name: str) -> dict[str, Any]:
        path = folder / name
        try:
            return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        except ValueError as error:
            raise UserError(f"{path} is not valid JSON ({error}).") from None

    place = folder.resolve()
    of_sweep = place.name.startswith("seed-") and is_sweep(place.parent.parent)
    return Run(
        path=folder,
        variant=place.parent.name if of_sweep else place.name,
        seed=read("config.json").get("train", {}).get("seed", 0),
        evaluation=read("evaluation.json"),
        summary=read("summary.json"),
    )


def model_of(evaluation: dict[str, Any]) -> str:
    """Returns the system that was trained, which comes first; the others are baselines."""
    return evaluation["systems"][0]


def values(runs: Iterable[Run], metric: str, group: str) -> list[float]:
    """Returns the trained system's figures over `runs`, without those that were not measured."""
    found = (
        tables.value_of(run.evaluation, model_of(run.evaluation), group, metric) for run in runs
    )
    return [value for value in found if tables.is_number(value) and math.isfinite(value)]


def spread(numbers: Sequence[float]) -> float | None:
    """Returns the sample standard deviation, None of fewer than two numbers."""
    return statistics.stdev(numbers) if len(numbers) > 1 else None


def markdown(runs: Sequence[Run], about: dict[str, Any], lacking: Sequence[str]) -> str:
    """Returns the comparison as Markdown: a table per metric, cost, and what is missing."""
    variants = _by_variant(runs)
    first = runs[0].evaluation
    lines = [f"# {about.get('name', 'Comparison')}", ""]
    if about.get("table"):
        lines += [about["table"], ""]
    lines += [
        f"Measured on {first['source']}, {first['count']} samples. Mean ± sample standard "
        "deviation over the seeds; the best mean of each column is bold.", "",
    ]
    for metric in _metrics(runs):
        higher = first["higher_is_better"].get(metric)
        lines += [f"## {metric} {tables.arrow(higher)}".rstrip(), ""]
        groups = _groups(runs)
        leading = {
            g: tables.best([_mean(values(v, metric, g)) for v in variants.values()], higher)
            for g in groups
        }
        rows = [
            [name, str(len(members)), *(_cell(values(members, metric, g), leading[g])
                                        for g in groups)]
            for name, members in variants.items()
        ]
        for system in first["systems"][1:]:
            figures = [tables.value_of(first, system, g, metric) for g in groups]
            if any(map(tables.is_number, figures)):
                rows.append([f"*{system}*", "", *map(tables.figure, figures)])
        lines += [tables.as_markdown(["variant", "seeds", *groups], rows), ""]
    lines += _cost(variants)
    lines += _warnings(runs, lacking)
    return "\n".join(lines).rstrip() + "\n"


def plot(runs: Sequence[Run]) -> bytes:
    """Returns a PNG: per metric, each variant's mean, spread and runs, over all and per group.

    Raises:
      ImportError: matplotlib is not installed.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    variants, metrics = _by_variant(runs), _metrics(runs)
    # More lines than this in one panel cannot be told apart.
    by_group = len(_groups(runs)) > 1 and 1 < len(variants) <= 8
    higher = runs[0].evaluation["higher_is_better"]
    height = 1.1 + 0.32 * len(variants)
    figure, axes = pyplot.subplots(
        len(metrics), 1 + by_group, squeeze=False, layout="constrained",
        figsize=(6.4 * (1 + by_group), max(2.6, height) * len(metrics)),
    )
    for metric, row in zip(metrics, axes, strict=True):
        title = f"{metric} {tables.arrow(higher.get(metric))}"
        for place, members in enumerate(variants.values()):
            numbers = values(members, metric, OVERALL)
            if numbers:
                row[0].plot(numbers, [place] * len(numbers), ".", color="#9aa5b1", ms=5, zorder=2)
                row[0].errorbar(_mean(numbers), place, xerr=spread(numbers) or 0, fmt="o",
                                color=f"C{place % 10}", capsize=3, zorder=3)
        row[0].set(title=title, yticks=range(len(variants)), yticklabels=list(variants),
                   ylim=(len(variants) - 0.5, -0.5))
        row[0].grid(axis="x", alpha=0.3)
        # The names in their colours are the legend of the panel beside them.
        for place, label in enumerate(row[0].get_yticklabels()):
            label.set_color(f"C{place % 10}")
        if by_group:
            _plot_differences(row[1], variants, metric, _groups(runs))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    pyplot.close(figure)
    return buffer.getvalue()


def _plot_differences(axis, variants: dict[str, list[Run]], metric: str, groups: list[str]) -> None:
    """Draws each variant's mean minus the first variant's, per group, with its spread."""
    first, *others = variants
    groups = [g for g in groups if g != OVERALL and values(variants[first], metric, g)]
    if not groups:
        axis.set_axis_off()
        return
    axis.axhline(0, color="#9aa5b1", lw=1)
    for place, name in enumerate(others, 1):
        found = [(i, g, values(variants[name], metric, g)) for i, g in enumerate(groups)]
        found = [(i, g, numbers) for i, g, numbers in found if numbers]
        shift = 0.08 * (place - len(variants) / 2)
        axis.errorbar(
            [i + shift for i, _, _ in found],
            [_mean(numbers) - _mean(values(variants[first], metric, g)) for _, g, numbers in found],
            yerr=[spread(numbers) or 0 for _, _, numbers in found],
            color=f"C{place % 10}", marker="o", ms=3, lw=1, capsize=2,
        )
    axis.set(title=f"{metric}: mean minus {first}'s", xticks=range(len(groups)), xticklabels=groups)
    axis.grid(alpha=0.3)


def _by_variant(runs: Sequence[Run]) -> dict[str, list[Run]]:
    result: dict[str, list[Run]] = {}
    for run in runs:
        result.setdefault(run.variant, []).append(run)
    return result


def _metrics(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(m for run in runs for m in tables.present_metrics(run.evaluation)))


def _groups(runs: Sequence[Run]) -> list[str]:
    groups = dict.fromkeys(g for run in runs for g in run.evaluation["groups"])
    return [OVERALL, *(g for g in groups if g != OVERALL)]


def _mean(numbers: Sequence[float]) -> float | None:
    return statistics.fmean(numbers) if numbers else None


def _cell(numbers: Sequence[float], leading: float | None) -> str:
    mean, deviation = _mean(numbers), spread(numbers)
    if mean is None:
        return "-"
    text = tables.figure(mean, deviation)
    return f"**{text}**" if mean == leading else text


def _cost(variants: dict[str, list[Run]]) -> list[str]:
    keys = (("train_seconds", "training s", 1.0), ("peak_memory_bytes", "peak memory MiB", 2**20))
    rows = []
    for name, members in variants.items():
        row = [name]
        for key, _, unit in keys:
            found = [run.summary[key] / unit for run in members if run.summary.get(key)]
            row.append(_cell(found, None))
        rows.append(row)
    head = ["variant", *(label for _, label, _ in keys)]
    return ["## Cost", "", tables.as_markdown(head, rows), ""]


def _warnings(runs: Sequence[Run], lacking: Sequence[str]) -> list[str]:
    lines = []
    measured = {(str(r.evaluation["source"]), r.evaluation["count"]) for r in runs}
    if len(measured) > 1:
        what = "; ".join(f"{source} ({count})" for source, count in sorted(measured))
        lines.append(f"- The runs were not measured on the same samples: {what}.")
    sizes = {len(members) for members in _by_variant(runs).values()}
    if len(sizes) > 1:
        lines.append("- The variants have different numbers of seeds.")
    lines += [f"- Not evaluated: {folder}." for folder in lacking]
    for line in dict.fromkeys(a for run in runs for a in run.evaluation.get("absent", ())):
        lines.append(f"- {line}")
    return ["## Notes", "", *lines, ""] if lines else []


def _csv_of_means(runs: Sequence[Run]) -> str:
    rows = []
    for name, members in _by_variant(runs).items():
        for metric in _metrics(runs):
            for group in _groups(runs):
                numbers = values(members, metric, group)
                if numbers:
                    rows.append([name, metric, group, _mean(numbers), spread(numbers),
                                 len(numbers)])
    return _csv(["variant", "metric", "group", "mean", "standard_deviation", "seeds"], rows)


def _csv_of_runs(runs: Sequence[Run]) -> str:
    rows = [
        [run.variant, run.seed, metric, group, values([run], metric, group)[0]]
        for run in runs
        for metric in _metrics(runs)
        for group in _groups(runs)
        if values([run], metric, group)
    ]
    return _csv(["variant", "seed", "metric", "group", "value"], rows)


def _csv(head: list[str], rows: Iterable[list[Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return buffer.getvalue()
