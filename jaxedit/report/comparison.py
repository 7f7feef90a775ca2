"""Runs side by side: mean and spread over seeds per variant, as Markdown, CSV and a plot.

Spread is the sample standard deviation (N - 1) over the runs of a variant; a variant of one run
has none. A run of a sweep lies in `<sweep>/<variant>/seed-<n>`; any other run is a variant of its
own.
"""

from __future__ import annotations

import dataclasses
import io
import math
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import pandas

from jaxedit.errors import UserError
from jaxedit.host import json_text
from jaxedit.host.atomic import atomic_file
from jaxedit.report import reading, tables

OVERALL = "all"  # the group of every sample


@dataclasses.dataclass(frozen=True)
class Compared:
    """A finished run: where it is, what it was, and its evaluation.

    `group` is the folder of all runs of its variant; of a run of no sweep, its own.
    """

    path: pathlib.Path
    variant: str
    seed: int
    evaluation: dict[str, Any]
    summary: dict[str, Any]
    group: pathlib.Path


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
        about = reading.read_object(folders[0] / "sweep.json")
        candidates = sorted(p.parent for p in folders[0].glob("*/seed-*/config.json"))
        output = pathlib.Path(output or folders[0])
    else:
        candidates = folders
        output = pathlib.Path(output or folders[0].resolve().parent)
    runs, lacking = [], []
    if len(folders) > 1 and (sweep := next(filter(is_sweep, folders), None)) is not None:
        raise UserError(f"{sweep} is a sweep. Compare it alone, or name runs of it.")
    for folder in _once(candidates):
        run = read_run(folder)
        if run is None:
            lacking.append(json_text.shown(str(folder)))
        else:
            runs.append(run)
    runs = _told_apart(runs)
    if not runs:
        raise UserError(
            f"Nothing to compare in {', '.join(map(str, folders))}: no run there has an "
            "evaluation.json. Let the runs finish, or evaluate them with --mode=evaluate."
        )
    order = about.get("variants") or list(dict.fromkeys(run.variant for run in runs))
    if not isinstance(order, list):
        raise UserError(f"{folders[0] / 'sweep.json'}: variants is no list. Restore or delete it.")
    runs.sort(key=lambda r: (order.index(r.variant) if r.variant in order else len(order), r.seed))
    output.mkdir(parents=True, exist_ok=True)
    figures = frame(runs)
    text = markdown(runs, about, lacking)
    files = {
        "comparison.csv": means(figures).reset_index().to_csv(index=False).encode("utf-8"),
        "runs.csv": figures.to_csv(index=False).encode("utf-8"),
    }
    try:
        files["comparison.png"] = plot(runs)
    except ImportError:
        text += "\nNo plot: matplotlib is not installed (pip install matplotlib).\n"
        (output / "comparison.png").unlink(missing_ok=True)
    files = {"comparison.md": text.encode("utf-8"), **files}
    for name, data in files.items():
        with atomic_file(output / name) as temporary:
            temporary.write_bytes(data)
    return Comparison(text, tuple(output / name for name in files))


def is_sweep(folder: pathlib.Path) -> bool:
    """Whether `folder` was written by `jaxedit sweep`."""
    return (folder / "sweep.json").is_file()


def read_run(folder: pathlib.Path) -> Compared | None:
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

    place = folder.resolve()
    of_sweep = place.name.startswith("seed-") and is_sweep(place.parent.parent)
    config = reading.read_object(folder / "config.json")
    with reading.understood(folder / "config.json"):
        seed = int(config.get("train", {}).get("seed", 0))
    return Compared(
        path=folder,
        variant=json_text.shown(place.parent.name if of_sweep else place.name),
        group=place.parent if of_sweep else place,
        seed=seed,
        evaluation=reading.read_evaluation(folder / "evaluation.json"),
        summary=reading.read_object(folder / "summary.json"),
    )


def _once(folders: Sequence[pathlib.Path]) -> list[pathlib.Path]:
    """Returns the folders without those that an earlier one is under another path."""
    found: dict[tuple[int, int] | pathlib.Path, pathlib.Path] = {}
    for folder in folders:
        facts = folder.stat() if folder.exists() else None
        found.setdefault(folder if facts is None else (facts.st_dev, facts.st_ino), folder)
    return list(found.values())


def _told_apart(runs: Sequence[Compared]) -> list[Compared]:
    """Returns the runs; variants of one name that lie in different folders get these before it."""
    places: dict[str, set[pathlib.Path]] = {}
    for run in runs:
        places.setdefault(run.variant, set()).add(run.group)
    found = []
    for run in runs:
        same = [place.parts for place in places[run.variant]]
        names = next(
            run.group.parts[-length:] for length in range(1, len(run.group.parts) + 1)
            if len({parts[-length:] for parts in same}) == len(same)
        )
        found.append(dataclasses.replace(run, variant=json_text.shown("/".join(names))))
    return found


def frame(runs: Sequence[Compared]) -> pandas.DataFrame:
    """Returns one row per finite figure of a trained system: variant, seed, metric, group, value.

    The trained system comes first in an evaluation; the others are baselines. Variants stand in
    the order of `runs`, metrics and groups in that of the evaluations, all samples first.
    """
    parts = []
    for run in runs:
        part = tables.frame(run.evaluation)
        part = part[(part["system"] == run.evaluation["systems"][0])
                    & part["value"].map(math.isfinite)]
        parts.append(part.assign(variant=run.variant, seed=run.seed))
    found = pandas.concat(parts, ignore_index=True)
    orders = {
        "variant": [run.variant for run in runs],
        "metric": [m for run in runs for m in run.evaluation["metrics"]],
        "group": [OVERALL, *(g for run in runs for g in run.evaluation["groups"])],
    }
    for column, order in orders.items():
        found[column] = pandas.Categorical(found[column], list(dict.fromkeys(order)), ordered=True)
    found = found[["variant", "seed", "metric", "group", "value"]]
    return found.sort_values(["variant", "seed", "metric", "group"], ignore_index=True)


def means(figures: pandas.DataFrame) -> pandas.DataFrame:
    """Returns (variant, metric, group) -> mean, standard_deviation, seeds; NaN for no spread."""
    by_seed = figures.groupby(["variant", "metric", "group"], observed=True)["value"]
    return by_seed.agg(mean="mean", standard_deviation="std", seeds="count")


def winner(mean: pandas.Series, deviation: pandas.Series, higher: bool | None) -> float | None:
    """Returns the best mean where the seeds tell that it is the best, else None.

    It must be ahead of that of every other variant by more than both standard deviations together;
    variants of one seed have none, and so there is no winner among them.

    Args:
      mean: of each variant.
      deviation: of each variant, NaN where there is none.
      higher: whether higher is better; None where that is not known.
    """
    best = tables.best(mean, higher)
    others = mean.dropna() if best is None else mean[mean != best].dropna()
    if best is None or others.empty or (mean == best).sum() > 1:
        return None
    room = deviation[mean == best].iloc[0] + deviation[others.index]
    return best if bool(((others - best).abs() > room).all()) else None  # no room is never less


def markdown(runs: Sequence[Compared], about: dict[str, Any], lacking: Sequence[str]) -> str:
    """Returns the comparison as Markdown: a table per metric, cost, and what is missing."""
    first = runs[0].evaluation
    figures = frame(runs)
    seeds = _seeds(runs)
    lines = [f"# {about.get('name', 'Comparison')}", ""]
    if about.get("table"):
        lines += [str(about["table"]), ""]
    lines += [
        f"Measured on {first['source']}, {first['count']} samples. Mean ± sample standard "
        "deviation over the seeds. A mean is bold where it is ahead of that of every other variant "
        "by more than the two spreads together; a column without one tells no winner.", "",
    ]
    groups = list(figures["group"].cat.categories)
    baselines = tables.frame(first)
    for metric, part in means(figures).groupby(level="metric", observed=True):
        higher = first["higher_is_better"].get(metric)
        lines += [f"## {metric} {tables.arrow(higher)}".rstrip(), ""]
        said = (first.get("titles") or {}).get(metric, metric)
        lines += [said, ""] if said != metric else []
        wide = part.droplevel("metric").unstack("group")
        wide = wide.reindex(index=list(seeds), columns=[
            (kind, group) for kind in ("mean", "standard_deviation") for group in groups
        ])
        leading = {
            group: winner(wide["mean"][group], wide["standard_deviation"][group], higher)
            for group in groups
        }
        rows = [
            [name, str(seeds[name]), *(
                _cell(row["mean"][g], row["standard_deviation"][g], leading[g]) for g in groups
            )]
            for name, row in wide.iterrows()
        ]
        for system in first["systems"][1:]:
            own = baselines[(baselines["system"] == system) & (baselines["metric"] == metric)]
            values = own.set_index("group")["value"]
            if len(values):
                rows.append([f"*{system}*", "", *(tables.figure(values.get(g)) for g in groups)])
        lines += [tables.as_markdown(["variant", "seeds", *groups], rows), ""]
    lines += _cost(runs)
    lines += _warnings(runs, lacking)
    return "\n".join(lines).rstrip() + "\n"


def plot(runs: Sequence[Compared]) -> bytes:
    """Returns a PNG: per metric, each variant's mean, spread and runs, over all and per group.

    Raises:
      ImportError: matplotlib is not installed.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figures = frame(runs)
    summary = means(figures)
    variants = list(_seeds(runs))
    metrics = list(summary.index.unique("metric"))
    # More lines than this in one panel cannot be told apart.
    by_group = len(figures["group"].cat.categories) > 1 and 1 < len(variants) <= 8
    higher = runs[0].evaluation["higher_is_better"]
    height = 1.1 + 0.32 * len(variants)
    sheet, axes = pyplot.subplots(
        len(metrics), 1 + by_group, squeeze=False, layout="constrained",
        figsize=(6.4 * (1 + by_group), max(2.6, height) * len(metrics)),
    )
    for metric, row in zip(metrics, axes, strict=True):
        title = f"{metric} {tables.arrow(higher.get(metric))}"
        overall = figures[(figures["metric"] == metric) & (figures["group"] == OVERALL)]
        for place, name in enumerate(variants):
            numbers = overall[overall["variant"] == name]["value"]
            if len(numbers):
                row[0].plot(numbers, [place] * len(numbers), ".", color="#9aa5b1", ms=5, zorder=2)
                spread = numbers.std() if len(numbers) > 1 else 0
                row[0].errorbar(numbers.mean(), place, xerr=spread, fmt="o",
                                color=f"C{place % 10}", capsize=3, zorder=3)
        row[0].set(title=title, yticks=range(len(variants)), yticklabels=variants,
                   ylim=(len(variants) - 0.5, -0.5))
        row[0].grid(axis="x", alpha=0.3)
        # The names in their colours are the legend of the panel beside them.
        for place, label in enumerate(row[0].get_yticklabels()):
            label.set_color(f"C{place % 10}")
        if by_group:
            _plot_differences(row[1], variants, metric, summary.xs(metric, level="metric"))
    buffer = io.BytesIO()
    sheet.savefig(buffer, format="png", dpi=110)
    pyplot.close(sheet)
    return buffer.getvalue()


def _plot_differences(axis, variants: list[str], metric: str, summary: pandas.DataFrame) -> None:
    """Draws each variant's mean minus the first variant's, per group, with its spread."""
    mean, deviation = (summary[key].unstack("group") for key in ("mean", "standard_deviation"))
    mean = mean.drop(columns=OVERALL, errors="ignore")
    if variants[0] not in mean.index or mean.loc[variants[0]].dropna().empty:
        axis.set_axis_off()
        return
    reference = mean.loc[variants[0]].dropna()
    axis.axhline(0, color="#9aa5b1", lw=1)
    for place, name in enumerate(variants[1:], 1):
        if name not in mean.index:
            continue
        shift = 0.08 * (place - len(variants) / 2)
        axis.errorbar(
            [position + shift for position in range(len(reference))],
            mean.loc[name, reference.index] - reference,
            yerr=deviation.loc[name, reference.index].fillna(0),
            color=f"C{place % 10}", marker="o", ms=3, lw=1, capsize=2,
        )
    axis.set(title=f"{metric}: mean minus {variants[0]}'s", xticks=range(len(reference)),
             xticklabels=list(reference.index))
    axis.grid(alpha=0.3)


def _seeds(runs: Sequence[Compared]) -> dict[str, int]:
    """Returns variant -> number of its runs."""
    found: dict[str, int] = {}
    for run in runs:
        found[run.variant] = found.get(run.variant, 0) + 1
    return found


def _cell(mean: float, deviation: float, leading: float | None = None) -> str:
    text = tables.figure(mean, deviation)
    return f"**{text}**" if mean == leading else text


def _cost(runs: Sequence[Compared]) -> list[str]:
    keys = (("train_seconds", "training s", 1.0), ("peak_memory_bytes", "peak memory MiB", 2**20))
    found = pandas.DataFrame([
        {"variant": run.variant} | {
            label: run.summary[key] / unit for key, label, unit in keys
            if tables.is_number(run.summary.get(key)) and run.summary[key]
        }
        for run in runs
    ]).reindex(columns=["variant", *(label for _, label, _ in keys)])
    by_variant = found.groupby("variant", sort=False)
    mean, deviation = by_variant.mean(), by_variant.std()
    rows = [
        [name, *(_cell(row[label], deviation.loc[name, label]) for label in mean.columns)]
        for name, row in mean.iterrows()
    ]
    return ["## Cost", "", tables.as_markdown(["variant", *mean.columns], rows), ""]


def _warnings(runs: Sequence[Compared], lacking: Sequence[str]) -> list[str]:
    lines = []
    measured = {(str(r.evaluation["source"]), str(r.evaluation["count"])) for r in runs}
    # One name may be of two folders; evaluations of before there were places do not say.
    places = {str(r.evaluation["place"]) for r in runs if r.evaluation.get("place")}
    if len(measured) == 1 < len(places):
        measured = {(place, str(runs[0].evaluation["count"])) for place in places}
    if len(measured) > 1:
        what = "; ".join(f"{source} ({count})" for source, count in sorted(measured))
        lines.append(f"- The runs were not measured on the same samples: {what}.")
    if len(set(_seeds(runs).values())) > 1:
        lines.append("- The variants have different numbers of seeds.")
    lines += [f"- Not evaluated: {folder}." for folder in lacking]
    for line in dict.fromkeys(a for run in runs for a in run.evaluation.get("absent") or ()):
        lines.append(f"- {line}")
    return ["## Notes", "", *lines, ""] if lines else []
