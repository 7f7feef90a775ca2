"""Charts as Plotly figures, plain dicts that `templates/page.js` draws: hover values, zoom, log.

Plotly is chosen for what its figures are: JSON, so nothing of the library runs here, and a chart
changes to a log scale where it is shown. Its one file of JavaScript is packed into the page.
"""

from __future__ import annotations

import base64
import functools
import gzip
import html
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas

Points = Sequence[tuple[float, float]]

COLOURS = (
    "#2563a8", "#c2571a", "#2f855a", "#7c4da0", "#8a6d1f", "#b23a5b", "#3b8ea5", "#5c6670"
)  # fmt: skip
_MOST_POINTS = 1000
_FEW = 60  # a line of at most so many points is drawn as measured, with a mark at each


@functools.cache
def library() -> str:
    """Returns plotly.js as gzip in base64: 2.0 MB of a page where the file itself would be 4.8."""
    from plotly.offline import get_plotlyjs

    return base64.b64encode(gzip.compress(get_plotlyjs().encode("utf-8"), mtime=0)).decode("ascii")


def chart(
    title: str, lines: Mapping[str, Points], x_label: str = "step", dashed: Collection[str] = ()
) -> dict[str, Any]:
    """Returns the figure of some lines: `title`, `data` and `layout`.

    A line of more than 60 points is drawn twice: pale as measured, and strong as a moving average.
    Long lines are averaged down to 1,000 points. Values that are not finite leave a gap; a few far
    outliers lie outside of the first view rather than flatten the rest.

    Args:
      title: the heading.
      lines: name -> (x, y) points in order of x.
      x_label: what x counts.
      dashed: the names of lines that are drawn dashed.
    """
    data = []
    for index, (name, points) in enumerate(lines.items()):
        colour = COLOURS[index % len(COLOURS)]
        data += _line(name, thin(_series(points)), colour, "dash" if name in dashed else "solid")
    finite = [y for points in lines.values() for _, y in points if math.isfinite(y)]
    layout = _layout(x_label, "", list(lines), view(finite))
    places = {x for points in lines.values() for x, _ in points}
    if len(places) == 1 and (only := places.pop()) > 0:
        layout["xaxis"]["range"] = [0, 1.1 * only]  # Plotly's own would show a unit around it
    return {"title": title, "data": data, "layout": layout}


def labelled(curve: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the figure of one quantity against another, each point labelled with the parameter.

    Args:
      curve: `title`, `parameter`, `x`, `y` (names) and `systems`, name -> [[parameter, x, y], ...];
        an x or y that is None has no point.
    """
    parameter = plain(str(curve.get("parameter") or "parameter")).replace("%{", "% {")
    data = []
    for index, (name, points) in enumerate(curve["systems"].items()):
        colour = COLOURS[index % len(COLOURS)]
        data.append({
            "type": "scatter", "mode": "lines+markers+text", "name": plain(name),
            "x": [_value(x) for _, x, _ in points], "y": [_value(y) for _, _, y in points],
            "text": [plain(_label(p)) for p, _, _ in points],
            "textposition": "top center", "textfont": {"size": 10, "color": colour},
            "line": {"color": colour, "width": 1.5}, "marker": {"size": 6}, "cliponaxis": False,
            "hovertemplate": f"{parameter} %{{text}}<br>%{{x}}, %{{y}}",
        })
    names = [str(curve.get(key) or "") for key in ("x", "y")]
    layout = _layout(*names, list(curve["systems"]))
    layout["hovermode"] = "closest"
    return {"title": str(curve.get("title") or "Curve"), "data": data, "layout": layout}


def thin(series: pandas.Series) -> pandas.Series:
    """Returns at most 1,000 values, each the mean of its neighbours' finite ones at the last x."""
    if len(series) <= _MOST_POINTS:
        return series
    parts = np.arange(len(series)) // math.ceil(len(series) / _MOST_POINTS)
    means = series.groupby(parts).mean()
    means.index = series.index.to_series().groupby(parts).last()
    return means


def smooth(series: pandas.Series, share: float = 0.05) -> pandas.Series:
    """Returns the centred moving average over `share` of the values. Gaps are skipped."""
    width = 2 * max(1, round(len(series) * share / 2)) + 1
    return series.rolling(width, center=True, min_periods=1).mean()


def view(values: Sequence[float]) -> tuple[float, float] | None:
    """Returns the range of y to show at first; None is all of it, as Plotly chooses.

    All of it is shown unless a few far outliers would flatten the rest. A constant has a tenth of
    itself around it.
    """
    if len(set(values)) == 1 and values[0]:
        room = 0.1 * abs(values[0])
        return values[0] - room, values[0] + room
    if len(values) < 20:
        return None
    ordered = sorted(values)
    inner_low, inner_high = ordered[len(ordered) // 50], ordered[-1 - len(ordered) // 50]
    room = 2 * (inner_high - inner_low)
    low, high = max(ordered[0], inner_low - room), min(ordered[-1], inner_high + room)
    if (low, high) == (ordered[0], ordered[-1]) or low == high:  # or almost all of it constant
        return None
    edge = 0.05 * (high - low)
    return low - edge, high + edge


def plain(text: str) -> str:
    """Returns text in which Plotly, which knows some HTML, finds none."""
    return html.escape(text, quote=False)


def _series(points: Points) -> pandas.Series:
    x, y = [x for x, _ in points], [y for _, y in points]
    series = pandas.Series(y, index=x, dtype=float)
    return series.where(np.isfinite(series))[np.isfinite(series.index.to_numpy(float))]


def _line(name: str, series: pandas.Series, colour: str, dash: str) -> list[dict[str, Any]]:
    trace = {
        "type": "scatter", "mode": "lines", "name": plain(name), "legendgroup": plain(name),
        "x": _values(series.index), "y": _values(series), "line": {"color": colour, "dash": dash},
    }
    if len(series) <= _FEW:
        return [{**trace, "mode": "lines+markers", "marker": {"size": 5},
                 "line": {"color": colour, "width": 1.8, "dash": dash}}]
    # The pale line has the values; the strong one stands for it in the legend.
    pale = {**trace, "opacity": 0.3, "showlegend": False,
            "line": {"color": colour, "width": 1}}
    strong = {**trace, "y": _values(smooth(series)), "hoverinfo": "skip",
              "line": {"color": colour, "width": 1.8, "dash": dash}}
    return [pale, strong]


def _layout(
    x_label: str, y_label: str, legend: Sequence[str], y_range: tuple[float, float] | None = None
) -> dict[str, Any]:
    """Returns the layout of a chart; it grows with its legend, which lies under it."""
    per_row = max(1, 360 // (40 + 7 * max(map(len, legend), default=0)))
    rows = math.ceil(len(legend) / per_row)
    axis = {"gridcolor": "#eceff3", "linecolor": "#b9c1cb", "zeroline": False, "automargin": True,
            "exponentformat": "e", "tickfont": {"size": 11}}
    font = {"size": 11, "color": "#57606a"}
    y_axis = {**axis, "title": {"text": plain(y_label), "font": font}}
    if y_range is not None:
        y_axis |= {"range": [_value(bound) for bound in y_range]}
    return {
        "height": 240 + 20 * rows, "margin": {"l": 48, "r": 12, "t": 28, "b": 36 + 20 * rows},
        "hovermode": "x unified", "showlegend": any(legend),
        "paper_bgcolor": "#fff", "plot_bgcolor": "#fff",
        "font": {"family": "system-ui, sans-serif", "color": "#24292f", "size": 12},
        "hoverlabel": {"namelength": -1}, "modebar": {"bgcolor": "rgba(0, 0, 0, 0)"},
        "legend": {"orientation": "h", "y": -44 / 176, "yanchor": "top", "font": font,
                   "maxheight": 1000},  # pixels; the default cuts a legend off and scrolls
        "xaxis": {**axis, "title": {"text": plain(x_label), "font": font, "standoff": 4}},
        "yaxis": y_axis,
    }


def _values(numbers: Any) -> list[float | None]:
    return [_value(number) for number in numbers]


def _value(number: Any) -> float | None:
    """Returns six digits of a number; JSON knows neither NaN nor infinity."""
    number = float(number) if number is not None else math.nan
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else float(f"{number:.6g}")


def _label(parameter: Any) -> str:
    return f"{parameter:g}" if isinstance(parameter, int | float) else str(parameter)
