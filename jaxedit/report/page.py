"""One self-contained HTML page per run: curves, tables, picture grids, set-up. Loads nothing.

`write` makes the page of one run; `compare` sets several runs side by side, with mean and spread
over seeds; `text_table` is the evaluation for a terminal.
"""

from __future__ import annotations

import base64
import html
import json
import math
import os
import pathlib
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from jaxedit.errors import UserError
from jaxedit.report import curves, tables
from jaxedit.report.comparison import compare
from jaxedit.report.tables import as_text as text_table

__all__ = ["compare", "text_table", "write"]

Lines = dict[str, list[tuple[float, float]]]
_NOT_VALUES = ("stage", "step", "split")
_MOST_PICTURES = 12

_STYLE = """
:root{color-scheme:light}
*{box-sizing:border-box}
body{margin:0 auto;padding:32px 24px 64px;max-width:1320px;background:#fff;color:#24292f;
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
h1{font-size:26px;margin:0}
h2{font-size:19px;margin:40px 0 12px;padding-bottom:6px;border-bottom:1px solid #e3e7ec}
h3{font-size:15px;margin:20px 0 8px;color:#57606a}
p.lead{margin:4px 0 20px;color:#57606a}
small{color:#6b7480;font-weight:400}
.tiles{display:flex;flex-wrap:wrap;gap:12px}
.tile{background:#f6f8fa;border-radius:8px;padding:10px 16px;min-width:130px}
.tile b{display:block;font-size:20px;font-weight:600}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(380px,1fr));gap:12px}
.chart{width:100%;background:#fff;border:1px solid #e3e7ec;border-radius:8px}
.chart text{font:11px system-ui,sans-serif;fill:#6b7480}
.chart text.title{font-size:13px;font-weight:600;fill:#24292f}
.chart .grid{stroke:#eceff3;fill:none}.chart .axis{stroke:#b9c1cb;fill:none}
.chart .line{fill:none;stroke-width:1.8;stroke-linejoin:round}
.chart .pale{stroke-opacity:.22;stroke-width:1}
table{border-collapse:collapse;margin:0 0 24px;font-variant-numeric:tabular-nums}
.tables{display:flex;flex-wrap:wrap;gap:0 48px;overflow-x:auto}
.scroll{overflow-x:auto}
caption{text-align:left;font-weight:600;padding:4px 0}
th,td{padding:5px 14px;text-align:right;border-bottom:1px solid #eceff3;vertical-align:bottom}
th:first-child,td:first-child{text-align:left}
thead th{border-bottom:1px solid #b9c1cb;font-weight:600}
th small{display:block}
tbody th{font-weight:500}
td.best{background:#e6f4ea;font-weight:700;border-radius:3px}
ul.absent{color:#8a4b08;background:#fff8ec;border-radius:8px;padding:10px 12px 10px 32px}
figure{margin:0 0 28px}
figure img{max-width:100%;border:1px solid #e3e7ec;border-radius:4px}
figcaption{color:#57606a;margin-bottom:4px}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(440px,1fr));gap:24px}
details{margin:16px 0}summary{margin-bottom:8px}summary{cursor:pointer;font-weight:600}
td.key{font-family:ui-monospace,Consolas,monospace;font-size:13px}
td.value{text-align:left;font-family:ui-monospace,Consolas,monospace;font-size:13px;
overflow-wrap:anywhere}
"""


def write(run_dir: str | os.PathLike) -> pathlib.Path:
    """Writes `report.html` into a run directory and returns its path.

    Whatever the run has written so far is shown; a running run gives a partial page.

    Raises:
      UserError: `run_dir` is no run directory, or a file in it cannot be read.
    """
    run_dir = pathlib.Path(run_dir)
    if not (run_dir / "config.json").is_file():
        raise UserError(
            f"{run_dir} is no run directory: it has no config.json. Give the folder that "
            "--workdir named (by default runs/<config>-<preset>)."
        )
    path = run_dir / "report.html"
    part = path.with_name(f".report.{os.getpid()}.part")
    try:
        part.write_text(page(run_dir), encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def page(run_dir: pathlib.Path) -> str:
    """Returns the HTML page of a run."""
    summary = read_json(run_dir / "summary.json") or {}
    versions = read_json(run_dir / "versions.json") or {}
    config = read_json(run_dir / "config.json") or {}
    rows = read_rows(run_dir / "metrics.jsonl")
    timing = read_rows(run_dir / "timing.jsonl")
    name = html.escape(run_dir.resolve().name)
    about = [str(config[key]) for key in ("method", "preset") if config.get(key)]
    stages = list(dict.fromkeys(str(row.get("stage", "")) for row in rows))
    sections = [
        f"<h1>{name}</h1>",
        f"<p class='lead'>{html.escape(' · '.join(about))}</p>",
        _tiles(summary, rows, timing, _planned_steps(config)),
    ]
    # `evaluation.json` is the run's own; others are of other checkpoints or sources.
    for path in sorted(run_dir.glob("evaluation*.json"), key=lambda p: (len(p.name), p.name)):
        evaluation = read_json(path)
        sections += [
            f"<h2>{html.escape(tables.title(evaluation))}</h2>",
            f"<div class='tables'>{tables.as_html(evaluation)}</div>",
            _lines("Not measured", evaluation.get("absent", ())),
            _lines("Notes", evaluation.get("notes", ())),
        ]
    sections.append(_pictures(run_dir / "pictures"))
    for stage in stages:
        mine = [row for row in rows if str(row.get("stage", "")) == stage]
        heading = "Curves" if len(stages) == 1 else f"Curves: {stage}"
        sections.append(f"<h2>{html.escape(heading)}</h2>{_curves(mine)}")
    if timing:
        sections.append(f"<h2>Speed</h2>{_curves(timing)}")
    sections.append(
        "<h2>Set-up</h2><div class='pair'>"
        f"<div><h3>Versions and machine</h3>{_facts(flatten(versions))}"
        f"<h3>Compilation and memory</h3>{_facts(_costs(summary))}</div>"
        f"<div><h3>Configuration</h3>{_facts(flatten(config))}</div></div>"
    )
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>{name}</title><style>{_STYLE}</style></head><body>{''.join(sections)}"
        "</body></html>\n"
    )


def read_json(path: pathlib.Path) -> Any:
    """Returns the content of a JSON file, None where there is no such file.

    Raises:
      UserError: the file is not JSON.
    """
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}). Restore or delete it.") from None


def read_rows(path: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the rows of a JSON-lines file; a last line cut short by a kill is left out.

    Raises:
      UserError: another line is not JSON.
    """
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = []
    for index, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            if index == len(lines) - 1:
                break
            raise UserError(f"{path}, line {index + 1} is not valid JSON ({error}).") from None
    return rows


def flatten(tree: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Returns (dotted key, value) of every leaf of nested dicts."""
    if not isinstance(tree, Mapping):
        return [(prefix, tree)]
    return [
        pair
        for key, value in tree.items()
        for pair in flatten(value, f"{prefix}.{key}" if prefix else str(key))
    ]


def size(count: float) -> str:
    """Returns a number of bytes with a fitting unit."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def duration(seconds: float) -> str:
    """Returns a time span in words: 42.1 s, 3 min 05 s, 2 h 07 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _planned_steps(config: Mapping[str, Any]) -> int:
    """Returns the steps of all stages together, 0 where the configuration does not say."""
    base = config.get("train", {}).get("steps", 0)
    overrides = [stage.get("overrides", {}) for stage in config.get("stages") or [{}]]
    return sum(stage.get("train", {}).get("steps", base) for stage in overrides)


def _tiles(summary: Mapping[str, Any], rows: list[dict], timing: list[dict], planned: int) -> str:
    tiles = []
    last = {row.get("stage"): row.get("step", 0) for row in rows if row.get("split") == "train"}
    steps = sum(last.values())
    if steps:
        label = "steps" if steps >= planned else f"of {planned:,} steps".replace(",", " ")
        tiles.append((label, f"{steps:,}".replace(",", " ")))
    if summary.get("parameters"):
        tiles.append(("parameters", curves.number(_of_last_stage(summary["parameters"]))))
    if summary.get("train_seconds"):
        tiles.append(("training time", duration(summary["train_seconds"])))
    for key, label, form in (
        ("seconds_per_step", "time per step", lambda v: f"{v * 1e3:.0f} ms"),
        ("images_per_second", "images per second", lambda v: f"{v:.3g}"),
    ):
        values = [row[key] for row in timing if tables.is_number(row.get(key))]
        if values:
            tiles.append((f"{label} (median)", form(statistics.median(values))))
    if summary.get("compile_seconds"):
        tiles.append(("compiling", duration(_total(summary["compile_seconds"]))))
    if summary.get("peak_memory_bytes"):
        tiles.append(("peak memory", size(summary["peak_memory_bytes"])))
    if summary.get("flops_per_step"):
        tiles.append(("FLOPs per step", curves.number(_of_last_stage(summary["flops_per_step"]))))
    body = "".join(
        f"<div class='tile'><b>{html.escape(value)}</b>{html.escape(label)}</div>"
        for label, value in tiles
    )
    return f"<div class='tiles'>{body}</div>"


def _costs(summary: Mapping[str, Any]) -> list[tuple[str, Any]]:
    facts = []
    for key, value in flatten(summary):
        kind = key.partition(".")[0]
        if kind.endswith("_seconds") and tables.is_number(value):
            facts.append((key, duration(value)))
        elif kind.endswith("_bytes") and tables.is_number(value):
            facts.append((key, size(value)))
        elif kind.startswith("flops") and tables.is_number(value):
            facts.append((key, curves.number(value)))
        else:
            facts.append((key, value))
    return facts


def _total(value: Any) -> float:
    return sum(v for _, v in flatten(value) if tables.is_number(v))


def _of_last_stage(values: Mapping[str, float]) -> float:
    """Returns the sum over the phases of the stage that was measured: keys are `stage/phase`."""
    stages = {key: key.partition("/")[0] for key in values}
    last = list(stages.values())[-1]
    return _total({key: values[key] for key, stage in stages.items() if stage == last})


def _curves(rows: list[dict[str, Any]]) -> str:
    """Returns one chart per value name, the splits together; evaluations first, then losses.

    Figures per group, named `metric/group` beside a `metric` of the same row, fold away below.
    """
    charts: dict[str, Lines] = defaultdict(lambda: defaultdict(list))
    per_group: dict[str, Lines] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        split = str(row.get("split", ""))
        for name, value in row.items():
            if name in _NOT_VALUES or isinstance(value, str | bool | list | dict):
                continue
            metric, _, group = name.partition("/")
            line = per_group[metric][group] if group and metric in row else charts[name][split]
            line.append((float(row.get("step", len(line))), math.nan if value is None else value))
    ordered = sorted(
        charts.items(), key=lambda item: ("eval" not in item[1], not item[0].startswith("loss"))
    )
    body = f"<div class='charts'>{_charts(ordered)}</div>"
    if per_group:
        body += (
            "<details><summary>Evaluations per group</summary>"
            f"<div class='charts'>{_charts(per_group.items())}</div></details>"
        )
    return body


def _charts(charts: Iterable[tuple[str, Lines]]) -> str:
    return "".join(curves.chart(name, lines) for name, lines in charts)


def _lines(heading: str, lines: Iterable[str]) -> str:
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"<h3>{heading}</h3><ul class='absent'>{items}</ul>" if items else ""


def _pictures(folder: pathlib.Path) -> str:
    """Returns the picture grids, newest first, as data inside the page."""
    files = [f for f in folder.glob("*.png") if f.is_file()] if folder.is_dir() else []
    if not files:
        return ""
    files.sort(key=lambda file: (-file.stat().st_mtime, file.name))
    figures = ""
    for file in files[:_MOST_PICTURES]:
        data = base64.b64encode(file.read_bytes()).decode("ascii")
        caption = html.escape(file.stem.replace("_", " "))
        image = f"<img alt='{caption}' src='data:image/png;base64,{data}'>"
        figures += f"<figure><figcaption>{caption}</figcaption>{image}</figure>"
    left_out = len(files) - _MOST_PICTURES
    if left_out > 0:
        figures += f"<p><small>{left_out} more are in {html.escape(folder.name)}/.</small></p>"
    return f"<h2>Pictures</h2>{figures}"


def _facts(pairs: Iterable[tuple[str, Any]]) -> str:
    body = "".join(
        f"<tr><td class='key'>{html.escape(key)}</td>"
        f"<td class='value'>{html.escape(str(value))}</td></tr>"
        for key, value in pairs
    )
    return f"<div class='scroll'><table><tbody>{body}</tbody></table></div>"
