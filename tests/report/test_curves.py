"""Charts: what Plotly is told to draw."""

import json
import math

import plotly.graph_objects
import pytest

from jaxedit.report import curves


def check(chart):
    """Lets Plotly's own schema look at a figure, and the page's JSON carry it."""
    plotly.graph_objects.Figure(data=chart["data"], layout=chart["layout"])
    json.dumps(chart, allow_nan=False)
    return chart


def test_a_short_line_is_drawn_as_it_is():
    chart = check(curves.chart("loss", {"train": [(0, 0.0), (50, 5.0), (100, 10.0)], "eval": []}))
    train, evaluation = chart["data"]
    assert (train["x"], train["y"]) == ([0, 50, 100], [0, 5, 10])
    assert train["mode"] == "lines+markers" and evaluation["y"] == []
    assert train["line"]["color"] != evaluation["line"]["color"]


def test_gaps_outliers_constants_and_nothing():
    line = [(0, 1.0), (1, math.nan), (2, math.inf), (3, 3.0), (math.nan, 4.0)]
    gaps = check(curves.chart("a", {"": line}))
    assert gaps["data"][0]["y"] == [1, None, None, 3]
    points = [(i, 1.0 + 0.01 * (i % 3)) for i in range(200)] + [(200, 1e6)]
    low, high = check(curves.chart("b", {"": points}))["layout"]["yaxis"]["range"]
    assert low < 1 and high < 2  # no axis up to a million, but the value is there
    assert max(check(curves.chart("b", {"": points}))["data"][0]["y"]) == 1e6
    assert check(curves.chart("c", {"": [(0, 1e-4), (1, 1e-4)]}))["layout"]["yaxis"]["range"] == [
        pytest.approx(0.9e-4), pytest.approx(1.1e-4)
    ]
    check(curves.chart("d", {"": [(0, math.nan)]}))


def test_long_lines_are_thinned_without_losing_their_course():
    points = [(i, math.sin(i / 500)) for i in range(5000)]
    pale, strong = check(curves.chart("a", {"x": points}))["data"]
    assert 500 < len(pale["x"]) == len(strong["x"]) <= 1000
    assert pale["x"][-1] == 4999
    for x, y in zip(pale["x"], pale["y"], strict=True):
        assert math.isclose(y, math.sin(x / 500), abs_tol=0.01)


def test_the_strong_line_is_a_moving_average():
    points = [(i, float(i % 2)) for i in range(200)]
    pale, strong = check(curves.chart("a", {"x": points}))["data"]
    assert set(pale["y"]) == {0, 1} and all(0.4 < y < 0.6 for y in strong["y"][10:-10])
    assert strong["hoverinfo"] == "skip" and pale["legendgroup"] == strong["legendgroup"]


def test_the_lines_of_another_run_are_dashed():
    lines = {name: [(0, 1.0), (1, 2.0)] for name in ("a", "b")}
    first, second = check(curves.chart("x", lines, dashed={"b"}))["data"]
    assert (first["line"]["dash"], second["line"]["dash"]) == ("solid", "dash")


def test_a_chart_grows_with_its_legend():
    heights = [
        curves.chart("x", {f"({i},{i + 1}] of a run": [(0, 1.0)] for i in range(n)})["layout"]
        for n in (1, 12)
    ]
    assert heights[1]["height"] > heights[0]["height"] + 60


def test_curves_of_an_evaluation_carry_their_parameter():
    chart = check(curves.labelled({
        "title": "Trade-off", "parameter": "strength", "x": "lpips", "y": "clip",
        "systems": {"model": [[0.5, 0.1, 0.2], ["most", 0.3, None]]},
    }))
    trace = chart["data"][0]
    assert trace["text"] == ["0.5", "most"] and trace["x"] == [0.1, 0.3]
    assert trace["y"] == [0.2, None] and "strength" in trace["hovertemplate"]
    assert chart["layout"]["xaxis"]["title"]["text"] == "lpips"


def test_names_hold_no_markup_and_no_template():
    name = "<a href='http://x'>%{y}</a>"
    chart = curves.chart("x", {name: [(0, 1.0)]}, x_label=name)
    assert "<" not in json.dumps([chart["data"], chart["layout"]])
    chart = curves.labelled({"parameter": name, "x": name, "systems": {name: [[name, 1, 2]]}})
    text = json.dumps([chart["data"], chart["layout"]]).replace("<br>", "")
    assert "<" not in text and "%{y}" not in chart["data"][0]["hovertemplate"].split("<br>")[0]


def test_a_single_point_stands_on_an_axis_from_zero():
    layout = curves.chart("time", {"train": [(7000, 0.03)]})["layout"]
    assert layout["xaxis"]["range"] == pytest.approx([0, 7700])
    for lines in ({"a": [(0, 1.0)]}, {"a": [(1, 1.0), (2, 1.0)]}, {"a": []}):
        assert "range" not in curves.chart("time", lines)["layout"]["xaxis"]
