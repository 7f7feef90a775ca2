"""One self-contained HTML page per run: curves, tables, picture grids, set-up. Loads nothing.

`write` makes the page of one run, or of two side by side. The page is `templates/page.html`, which
Jinja2 fills and escapes; what fills it is made here. `compare` sets several runs side by side, with
mean and spread over seeds; `text_table` is the evaluation for a terminal.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from jaxedit.host import json_text
from jaxedit.host.atomic import atomic_file
from jaxedit.host.nested import flatten
from jaxedit.report import course, curves, lead, reading, tables, trends, wording
from jaxedit.report.comparison import compare
from jaxedit.report.filling import filled
from jaxedit.report.reading import read_json
from jaxedit.report.tables import as_text as text_table

__all__ = ["compare", "read_json", "text_table", "write"]

# Where the time of a stage goes, as manifests and summary.json have it.
_PARTS = {
    "build": "building", "train": "training", "compile": "preparing programs",
    "evaluate": "measuring in between", "save": "saving",
}


def write(
    run_dir: str | os.PathLike,
    beside: str | os.PathLike | None = None,
    output: str | os.PathLike | None = None,
) -> pathlib.Path:
    """Writes the page of a run and returns its path.

    Whatever the run has written so far is shown; a running run gives a partial page.

    Args:
      run_dir: the run directory.
      beside: another run, to be shown beside it.
      output: the folder to write into, by default the run directory. The file is `report.html`,
        with another run `report-beside-<its name>.html`. A name that ends in `.html` and is no
        folder is that of the file itself.

    Raises:
      UserError: one is no run directory, or a file in it cannot be read.
    """
    runs = [reading.read(pathlib.Path(run_dir))]
    name = "report.html"
    if beside is not None:
        other = reading.read(pathlib.Path(beside))
        if other.name == runs[0].name:  # lines are told apart by the names of their runs
            above = json_text.shown(other.folder.resolve().parent.name)
            other = dataclasses.replace(other, name=f"{above}/{other.name}")
        runs.append(other)
        name = "report-beside-" + re.sub(r"[^\w.+-]", "-", runs[1].name) + ".html"
    path = pathlib.Path(output or run_dir)
    path = path if is_page(output) else path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    text = page(runs)
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def is_page(output: str | os.PathLike | None) -> bool:
    """Whether `output` names a page instead of the folder for one."""
    if output is None or pathlib.Path(output).is_dir():
        return False
    return pathlib.Path(output).suffix.lower() in (".html", ".htm")


def page(runs: Sequence[reading.Run]) -> str:
    """Returns the HTML page of one or two runs."""
    sections = trends.sections(runs)
    evaluations = _evaluations(runs)
    courses, left_out = course.of_runs([run.folder / "pictures" for run in runs])
    charts = [
        *(c for e in evaluations for c in e["charts"]),
        *(c for s in sections for c in (*s["charts"], *s["per_group"])),
    ]
    for number, chart in enumerate(charts):
        chart["number"] = number
    return filled(
        "page.html",
        title=" beside ".join(run.name for run in runs),
        runs=[_facts_of(run) for run in runs],
        differences=_differences(runs),
        evaluations=evaluations,
        courses=courses,
        left_out=left_out,
        sections=sections,
        figures=[{"data": c["data"], "layout": c["layout"]} for c in charts],
        plotly=curves.library() if charts else "",
    )


def _facts_of(run: reading.Run) -> dict[str, Any]:
    """Returns what the template shows of each run: headings, tiles and lists of facts."""
    with reading.understood(run.folder / "summary.json"):
        costs = _costs(run.summary)
        tiles = _tiles(run)
    artifacts = []
    for stage, manifest in run.artifacts.items():
        with reading.understood(run.folder / "artifacts" / stage / "manifest.json"):
            artifacts.append(_artifact(stage, manifest))
    with reading.understood(run.folder / "summary.json"):
        times = _times(run)
    return {
        "name": run.name,
        "lead": _unbroken(lead.paragraph(run)),
        "tiles": tiles,
        "artifacts": artifacts,
        "times": times,
        "networks": _networks(run.summary),
        "versions": flatten(run.versions).items(),
        "costs": costs,
        "config": flatten(run.config).items(),
    }


def _unbroken(text: str) -> str:
    """Returns a text in which no line ends within a number's groups of three digits."""
    return re.sub(r"(?<=\d) (?=\d{3}(?!\d))", "\u00a0", text)


def _tiles(run: reading.Run) -> list[tuple[str, str]]:
    """Returns (value, label) of the figures that head the page."""
    summary, tiles = run.summary, []
    last = {
        str(row.get("stage")): row.get("step", 0) for row in run.rows if row.get("split") == "train"
    }
    steps, planned = sum(last.values()), _planned_steps(run)
    if steps:
        label = "steps" if steps >= planned else f"of {wording.thousands(planned)} steps"
        tiles.append((wording.thousands(steps), label))
    if summary.get("parameters"):
        tiles.append((wording.number(_of_last_stage(summary["parameters"])), "parameters"))
    if summary.get("train_seconds"):
        tiles.append((wording.duration(_total(summary["train_seconds"])), "training time"))
    for key, label, form in (
        ("seconds_per_step", "time per step", lambda v: f"{v * 1e3:.0f} ms"),
        ("images_per_second", "images per second", lambda v: wording.number(float(f"{v:.3g}"))),
    ):
        values = [row[key] for row in run.timing if tables.is_number(row.get(key))]
        if values:
            tiles.append((form(statistics.median(values)), f"{label} (median)"))
    if summary.get("compile_seconds"):
        known = list((summary.get("from_cache") or {"": False}).values())
        label = "reading compiled programs" if all(known) else "compiling"
        tiles.append((wording.duration(_total(summary["compile_seconds"])), label))
    if summary.get("peak_memory_bytes"):
        tiles.append((wording.bytes_of(summary["peak_memory_bytes"]), "peak memory"))
    if summary.get("flops_per_step"):
        tiles.append((wording.number(_of_last_stage(summary["flops_per_step"])), "FLOPs per step"))
    return tiles


def _planned_steps(run: reading.Run) -> int:
    """Returns the steps of all stages together, 0 where the configuration does not say.

    A stage that builds an artefact has none.
    """
    with reading.understood(run.folder / "config.json"):
        base = run.config.get("train", {}).get("steps", 0)
        stages = [s for s in run.config.get("stages") or [{}] if not s.get("build")]
        overrides = [stage.get("overrides", {}).get("train", {}) for stage in stages]
        return sum(int(one.get("steps", base)) for one in overrides)


def _costs(summary: Mapping[str, Any]) -> list[tuple[str, Any]]:
    forms = (("_seconds", wording.duration), ("_bytes", wording.bytes_of))
    facts = []
    shown_elsewhere = ("stage_seconds", "networks")
    shown = {key: value for key, value in summary.items() if key not in shown_elsewhere}
    for key, value in flatten(shown).items():
        kind = key.partition(".")[0]
        form = next((form for end, form in forms if kind.endswith(end)), None)
        form = wording.number if kind.startswith("flops") else form
        facts.append((key, form(value) if form and tables.is_number(value) else value))
    return facts


def _networks(summary: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Returns (stage, network, number of trained parameters) of each; none for older runs."""
    return [
        (stage, name, wording.thousands(count))
        for stage, by_name in (summary.get("networks") or {}).items()
        for name, count in by_name.items()
    ]


def _times(run: reading.Run) -> tuple[list[str], list[list[str]]] | None:
    """Returns (heads, rows) of what each stage took; None where nothing is known yet."""
    spent = {
        stage: {"build": manifest["seconds"]} for stage, manifest in run.artifacts.items()
        if manifest.get("seconds") is not None
    }
    spent |= run.summary.get("stage_seconds") or {}
    if not spent:
        return None
    stages = run.config.get("stages") or ()
    order = {str(stage.get("name")): place for place, stage in enumerate(stages)}
    rows = sorted(spent.items(), key=lambda row: order.get(row[0], len(order)))
    if len(rows) > 1:
        rows.append(("in all", {
            part: sum(seconds.get(part, 0.0) for seconds in spent.values()) for part in _PARTS
        }))
    parts = [part for part in _PARTS if any(part in seconds for seconds in spent.values())]
    shown = lambda seconds: [
        wording.duration(seconds[part]) if part in seconds else "" for part in parts
    ]
    return ["stage", *(_PARTS[part] for part in parts), "in all"], [
        [name, *shown(seconds), wording.duration(sum(seconds.get(part, 0.0) for part in parts))]
        for name, seconds in rows
    ]


def _total(value: Any) -> float:
    return sum(v for v in flatten(value).values() if tables.is_number(v))


def _of_last_stage(values: Mapping[str, float]) -> float:
    """Returns the sum over the phases of the stage that was measured: keys are `stage/phase`."""
    stages = {key: key.partition("/")[0] for key in values}
    last = list(stages.values())[-1]
    return _total({key: values[key] for key, stage in stages.items() if stage == last})


def _artifact(stage: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a host stage made: its facts, its files with sizes and digests."""
    files = [
        (name, wording.bytes_of(facts["bytes"]), str(facts.get("sha256", "")))
        for name, facts in manifest.get("files", {}).items()
    ]
    about = [("method", manifest["method"])] if manifest.get("method") else []
    if manifest.get("seconds") is not None:
        about.append(("time", wording.duration(manifest["seconds"])))
    total = sum(facts["bytes"] for facts in manifest.get("files", {}).values())
    many = "file" if len(files) == 1 else "files"
    about.append(("size", f"{wording.bytes_of(total)} in {len(files)} {many}"))
    about += flatten(manifest.get("facts") or {}).items()
    return {"stage": stage, "facts": about, "files": files}


def _evaluations(runs: Sequence[reading.Run]) -> list[dict[str, Any]]:
    """Returns the evaluations, those of two runs that have the same file name together."""
    names = dict.fromkeys(
        path.relative_to(run.folder) for run in runs for path in run.evaluations
    )
    found = []
    said: set[str] = set()
    for name in names:
        shown, charts = [], []
        for run in runs:
            evaluation = run.evaluations.get(run.folder / name)
            if evaluation is None:
                continue
            shown.append({
                "run": run.name, "title": tables.title(evaluation),
                "panels": tables.panels(evaluation),
                "absent": tables.remarks(evaluation, "absent", said),
                "notes": tables.remarks(evaluation, "notes", said),
            })
            with reading.understood(run.folder / name):
                for curve in evaluation.get("curves") or ():
                    chart = curves.labelled(curve)
                    of_run = [] if len(runs) == 1 else [run.name]
                    chart["title"] = " · ".join(
                        [chart["title"], *of_run, tables.samples(evaluation)]
                    )
                    charts.append(chart)
        found.append({"shown": shown, "charts": charts})
    return found


def _differences(runs: Sequence[reading.Run]) -> list[tuple[str, Any, Any]]:
    """Returns (key, value, other value) of every setting that two runs differ in."""
    if len(runs) < 2:
        return []
    ours, theirs = (flatten(run.config) for run in runs)
    return [
        (key, ours.get(key, "-"), theirs.get(key, "-"))
        for key in dict.fromkeys([*ours, *theirs])
        if ours.get(key, "-") != theirs.get(key, "-")
    ]
