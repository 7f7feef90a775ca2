"""Races between ways of computing the same thing: alternated in one run, medians and spread."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import jax

from jaxedit.run import writer

# PyTorch's threads spin for a moment after their work; the next contender must not pay for it.
_PAUSE = 0.05


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds per call.

    Attributes:
      wall: median over rounds of the time on the clock.
      low, high: the fastest and the slowest round.
      cpu: median over rounds of the processor time of all threads.
    """

    wall: float
    low: float
    high: float
    cpu: float


def race(
    contenders: Mapping[str, Callable[[], None]], rounds: int = 7, seconds: float = 0.2
) -> dict[str, Timing]:
    """Times every contender once per round, in an order that rotates from round to round.

    Args:
      contenders: name -> a function that does the work and returns when it is finished.
      rounds: how many times each is timed; one more round comes first and is not counted.
      seconds: each timing repeats a fast function for about this long.
    """
    repeats = {}
    for name, run in contenders.items():
        run()
        started = time.perf_counter()
        run()
        repeats[name] = max(1, round(seconds / (time.perf_counter() - started)))
    samples = {name: [] for name in contenders}
    names = list(contenders)
    for index in range(rounds):
        shift = index % len(names)
        for name in names[shift:] + names[:shift]:
            time.sleep(_PAUSE)
            started, used = time.perf_counter(), time.process_time()
            for _ in range(repeats[name]):
                contenders[name]()
            wall, cpu = time.perf_counter() - started, time.process_time() - used
            samples[name].append((wall / repeats[name], cpu / repeats[name]))
    return {name: _summary(pairs) for name, pairs in samples.items()}


def _summary(pairs: list[tuple[float, float]]) -> Timing:
    walls = [wall for wall, _ in pairs]
    return Timing(
        statistics.median(walls), min(walls), max(walls), statistics.median(c for _, c in pairs)
    )


def row(name: str, timings: Mapping[str, Timing]) -> dict:
    """Returns one contender's figures; `ratio` is PyTorch's time over its own, where there is one.

    `cpu_ratio` is the same of processor time, which suffers less from whatever else is running.
    """
    own = timings[name]
    figures = {
        "name": name,
        "ms": round(own.wall * 1e3, 3),
        "low_ms": round(own.low * 1e3, 3),
        "high_ms": round(own.high * 1e3, 3),
        "cpu_ms": round(own.cpu * 1e3, 3),
    }
    if "torch" in timings:
        figures["ratio"] = round(timings["torch"].wall / own.wall, 2)
        figures["cpu_ratio"] = round(timings["torch"].cpu / own.cpu, 2)
    return figures


def rows(timings: Mapping[str, Timing], ours: Sequence[str] = ("ours",)) -> dict[str, dict]:
    """Returns name -> figures of all contenders; those that are not ours, with both ratios.

    `ratio` is a contender's time over that of the first of ours: above 1 where ours is faster.
    """
    found = {}
    for name, own in timings.items():
        found[name] = row(name, {name: own})
        del found[name]["name"]
        if name not in ours:
            found[name]["ratio"] = round(own.wall / timings[ours[0]].wall, 2)
            found[name]["cpu_ratio"] = round(own.cpu / timings[ours[0]].cpu, 2)
    return found


def prepare_torch() -> bool:
    """Gives PyTorch every core that this process has; returns whether it is installed."""
    try:
        import torch
    except ImportError:
        print('PyTorch is not installed, so it is left out: pip install "jaxedit[bench]".')
        return False
    torch.set_num_threads(cores())
    return True


def cores() -> int:
    """Returns how many cores this process may use: `taskset` binds both sides to fewer."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def write(path: pathlib.Path | None, benchmark: str, arguments: Mapping, rows: list[dict]) -> None:
    """Appends one JSON line with the rows, the machine and the revision to `path`, if there is one.
    """
    if path is None:
        return
    kept = {key: value for key, value in arguments.items() if not isinstance(value, pathlib.Path)}
    _append(path, {"benchmark": benchmark, "arguments": kept, **_circumstances(), "rows": rows})


def report(path: pathlib.Path | None, row: Mapping) -> None:
    """Prints a row with the devices and the revision, and appends it to `path`, if there is one."""
    row = {**row, **_circumstances()}
    print(json.dumps(row, indent=2))
    if path:
        _append(path, row)


def _circumstances() -> dict:
    """Returns what figures depend on beside the program."""
    devices = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    return {
        "machine": f"{platform.machine()}, {cores()} cores, {devices}",
        "jax": jax.__version__,
        "torch": importlib.util.find_spec("torch") and importlib.metadata.version("torch"),
        "revision": writer.git_revision(),
        "glibc_tunables": os.environ.get("GLIBC_TUNABLES", ""),
    }


def _append(path: pathlib.Path, line: Mapping) -> None:
    """Appends one JSON line to a file; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        file.write(json.dumps(line) + "\n")
