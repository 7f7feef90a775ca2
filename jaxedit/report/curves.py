"""Line charts as SVG text, drawn without any plotting library, for pages that load nothing."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

Points = Sequence[tuple[float, float]]

COLOURS = (
    "#2563a8", "#c2571a", "#2f855a", "#7c4da0", "#8a6d1f", "#b23a5b", "#3b8ea5", "#5c6670"
)  # fmt: skip
_WIDTH, _HEIGHT = 400, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 30, 30
_MOST_POINTS = 400


def chart(title: str, lines: Mapping[str, Points], x_label: str = "step") -> str:
    """Returns one chart as an `<svg>` element.

    A line of more than 60 points is drawn twice: pale as measured, and strong as a moving average.
    Long lines are averaged down to 400 points. Values that are not finite leave a gap; a few far
    outliers are cut off rather than let them flatten the rest.

    Args:
      title: the heading.
      lines: name -> (x, y) points in order of x.
      x_label: what x counts.
    """
    finite = {
        name: [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
        for name, points in lines.items()
    }
    values = [point for points in finite.values() for point in points]
    if not values:
        return _svg(title, [_text(_WIDTH / 2, _HEIGHT / 2, "no finite value", "middle")])
    x_low, x_high = _spread(min(x for x, _ in values), max(x for x, _ in values))
    y_low, y_high = _spread(*_range([y for _, y in values]))
    y_ticks = ticks(y_low, y_high)
    y_low, y_high = min(y_low, y_ticks[0]), max(y_high, y_ticks[-1])

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            _LEFT + (x - x_low) / (x_high - x_low) * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - (y - y_low) / (y_high - y_low) * (_HEIGHT - _TOP - _BOTTOM),
        )

    body = []
    for value in y_ticks:
        _, y = place(x_low, value)
        body.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        body.append(_text(_LEFT - 6, y + 4, number(value), "end"))
    for value in ticks(x_low, x_high, 4):
        if x_low <= value <= x_high:
            x, _ = place(value, y_low)
            body.append(_text(x, _HEIGHT - _BOTTOM + 15, number(value), "middle"))
    body.append(_text(_WIDTH - _RIGHT, _HEIGHT - 3, x_label, "end"))
    body.append(f'<path class="axis" d="M{_LEFT} {_HEIGHT - _BOTTOM}H{_WIDTH - _RIGHT}"/>')
    drawn = []
    for index, (name, points) in enumerate(finite.items()):
        if points:
            colour = COLOURS[index % len(COLOURS)]
            drawn += _line(name, _thin(lines[name]), place, colour)
    body.append(f'<g clip-path="url(#plot)">{"".join(drawn)}</g>')
    if list(lines) == [""]:
        return _svg(title, body)
    # Two names fit beside the heading; more go below, in as many rows as they need.
    legend, rows = _legend(list(lines), below=len(lines) > 2)
    return _svg(title, [*body, legend], 17 * rows)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Returns round numbers (1, 2, 2.5 or 5 times a power of ten) that span [low, high]."""
    rough = (high - low) / max(about, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def number(value: float) -> str:
    """Returns a number as short as it stays readable: 12000 -> 12k, 0.00031 -> 3.1e-4."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e9 or size < 1e-3:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    if size >= 1e6:
        return f"{value / 1e6:.3g}M"
    if size >= 1e4:
        return f"{value / 1e3:.3g}k"
    return f"{value:.4g}"


def smooth(points: Points, share: float = 0.05) -> list[tuple[float, float]]:
    """Returns the centred moving average over `share` of the points. Gaps are skipped."""
    half = max(1, round(len(points) * share / 2))
    result = []
    for i, (x, _) in enumerate(points):
        near = [y for _, y in points[max(0, i - half) : i + half + 1] if math.isfinite(y)]
        if near:
            result.append((x, sum(near) / len(near)))
    return result


def _range(values: list[float]) -> tuple[float, float]:
    """Returns the range to show: all of it, unless a few far outliers would flatten the rest."""
    values = sorted(values)
    low, high = values[0], values[-1]
    if len(values) < 20:
        return low, high
    inner_low, inner_high = values[len(values) // 50], values[-1 - len(values) // 50]
    room = 2 * (inner_high - inner_low)
    return max(low, inner_low - room), min(high, inner_high + room)


def _spread(low: float, high: float) -> tuple[float, float]:
    if high > low:
        return low, high
    room = abs(low) * 0.1 or 1.0
    return low - room, high + room


def _thin(points: Points) -> list[tuple[float, float]]:
    """Returns at most `_MOST_POINTS` points, each the mean of its neighbours' finite values."""
    if len(points) <= _MOST_POINTS:
        return list(points)
    size = math.ceil(len(points) / _MOST_POINTS)
    result = []
    for start in range(0, len(points), size):
        part = points[start : start + size]
        near = [y for _, y in part if math.isfinite(y)]
        result.append((part[-1][0], sum(near) / len(near) if near else math.nan))
    return result


def _line(name: str, points: list[tuple[float, float]], place, colour: str) -> list[str]:
    if len(points) > 60:
        return [
            f'<path class="line pale" stroke="{colour}" d="{_path(points, place)}"/>',
            f'<path class="line" stroke="{colour}" d="{_path(smooth(points), place)}"/>',
        ]
    body = [f'<path class="line" stroke="{colour}" d="{_path(points, place)}"/>']
    for x, y in points:
        if math.isfinite(y):
            left, top = place(x, y)
            what = html.escape(f"{name} {x:g}: {y:.6g}".strip())
            body.append(
                f'<circle cx="{left:.1f}" cy="{top:.1f}" r="2.4" fill="{colour}">'
                f"<title>{what}</title></circle>"
            )
    return body


def _path(points: Points, place) -> str:
    words, pen = [], "M"
    for x, y in points:
        if not math.isfinite(y):
            pen = "M"
            continue
        left, top = place(x, y)
        words.append(f"{pen}{left:.1f} {top:.1f}")
        pen = "L"
    return "".join(words)


def _legend(names: list[str], below: bool) -> tuple[str, int]:
    """Returns the names with their colours, and how many rows they take under the chart."""
    widths = [32 + 6.6 * len(name) for name in names]
    x, y, rows = _LEFT, _HEIGHT + 10, 1
    if not below:
        x, y, rows = _WIDTH - _RIGHT - sum(widths) + 10, 18, 0
    body = []
    for index, (name, width) in enumerate(zip(names, widths, strict=True)):
        if below and x + width > _WIDTH and x > _LEFT:
            x, y, rows = _LEFT, y + 17, rows + 1
        colour = COLOURS[index % len(COLOURS)]
        body.append(f'<path class="line" stroke="{colour}" d="M{x:.0f} {y - 4}h14"/>')
        body.append(_text(x + 18, y, name, "start"))
        x += width
    return "".join(body), rows


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'


def _svg(title: str, body: list[str], extra_height: int = 0) -> str:
    plot = f'x="{_LEFT}" y="{_TOP - 4}" width="{_WIDTH - _LEFT - _RIGHT}"'
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT + extra_height}" role="img" '
        f'aria-label="{html.escape(title)}"><defs><clipPath id="plot"><rect {plot} '
        f'height="{_HEIGHT - _TOP - _BOTTOM + 8}"/></clipPath></defs>'
        f'<text class="title" x="8" y="18">{html.escape(title)}</text>{"".join(body)}</svg>'
    )
