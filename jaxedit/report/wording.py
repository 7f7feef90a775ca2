"""Numbers as a person reads them: figures, sizes, time spans."""

from __future__ import annotations

import math
from typing import Any

# Which part of a source was measured, as a table and a picture say it.
SPLITS = {"eval": "held-out", "train": "training"}
SINGLE = "train"  # the name of the stage of a run that has only one
MEASURING = "evaluations/timing.jsonl"  # what evaluations took, below a run directory


def measured(stage: str, split: str, what: str) -> str:
    """Returns the name of pictures that are made in the course of a stage: `held-out-samples`.

    The single stage of a run is called like a part of the data, and so it is left out.
    """
    return "-".join(filter(None, ("" if stage == SINGLE else stage, SPLITS.get(split), what)))


def caption(name: str) -> str:
    """Returns what stands above a picture of a run: its file's name in words."""
    if name == f"{SINGLE}-samples":  # so runs of before `measured` called what they had held out
        return "samples measured in the course of training"
    of_samples = name.removesuffix("-samples")
    return (name if of_samples == name else f"{of_samples} samples").replace("_", " ")


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
    return f"{text} ± {spread:.{decimals}f}" if is_number(spread) else text


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


def bytes_of(count: float) -> str:
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


def thousands(count: float) -> str:
    """Returns a whole number in groups of three digits: 1 200."""
    return f"{count:,}".replace(",", " ")
