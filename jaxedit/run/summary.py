"""summary.json: where the time of a run went, how large its programs are, what it skipped.

What is known of a stage is kept in its checkpoints, so that it adds up over resumptions and is
still there when a later stage is resumed. What a killed run did after its last checkpoint is done
again, and counts once.
"""

from __future__ import annotations

import contextlib
import pathlib
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jaxedit.data import skipped
from jaxedit.host import json_text
from jaxedit.run import writer

# Where the time goes; what is none of the others is training.
TRAIN, COMPILE, EVALUATE, SAVE = "train", "compile", "evaluate", "save"


class StageRecord:
    """What summary.json tells of one stage, counted on from what a checkpoint kept.

    Attributes:
      ran: whether anything was trained since the start of this process.
      skipped: the records that could not be read, of this process's share.
    """

    def __init__(
        self, steps: int, networks: Mapping[str, int], records: int,
        begins: str, kept: Mapping[str, Any] | None = None,
    ):
        """Starts the clock.

        Args:
          steps: of the whole stage.
          networks: name -> the number of its trained parameters.
          records: that are trained on.
          begins: which weights it begins with, in words.
          kept: what `to_json` returned when the checkpoint was saved.
        """
        kept = kept or {}
        self.ran = False
        self.skipped: skipped.Skipped = {}
        skipped.add(self.skipped, kept.get("skipped", {}))
        self._fixed = {
            "steps": steps, "parameters": sum(networks.values()), "networks": dict(networks),
            "records": records, "begins": begins,
        }
        self._kept_phases: dict[str, dict[str, float]] = kept.get("phases", {})
        self._seconds = dict.fromkeys((TRAIN, COMPILE, EVALUATE, SAVE), 0.0)
        self._seconds |= kept.get("seconds", {})
        self._peak = kept.get("peak_memory_bytes") or 0
        self._new_phases: Mapping[str, Mapping[str, float]] = {}
        self._started: float | None = None
        self._elsewhere = 0.0

    def start(self, phases: Mapping[str, Mapping[str, float]]) -> None:
        """Counts from now on as training, `phases` being filled with what compiling finds out."""
        self.ran = True
        self._new_phases = phases
        self._started = time.perf_counter()

    @contextlib.contextmanager
    def measure(self, what: str) -> Iterator[None]:
        """Counts the time within as `what` instead of training."""
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - started
            self._seconds[what] += seconds
            self._elsewhere += seconds

    def to_json(self) -> dict[str, Any]:
        """Returns everything up to now, as a checkpoint keeps it."""
        phases = {name: dict(facts) for name, facts in self._kept_phases.items()}
        compiling = 0.0
        for name, facts in self._new_phases.items():
            compiling += facts.get("compile_seconds", 0.0)
            before = self._kept_phases.get(name, {}).get("compile_seconds", 0.0)
            phases[name] = {**facts, "compile_seconds": before + facts.get("compile_seconds", 0.0)}
        seconds = dict(self._seconds)
        seconds[COMPILE] += compiling
        if self._started is not None:
            passed = time.perf_counter() - self._started - self._elsewhere - compiling
            seconds[TRAIN] += max(0.0, passed)
        return {
            **self._fixed,
            "phases": phases,
            "seconds": {name: round(value, 3) for name, value in seconds.items()},
            "peak_memory_bytes": max(self._peak, writer.peak_memory_bytes() or 0) or None,
            "skipped": {name: dict(bad) for name, bad in self.skipped.items()},
        }


def tells_of(run_dir: pathlib.Path, stages: Iterable[str]) -> bool:
    """Whether summary.json has all of `stages`; a kill may have come before the last was written.
    """
    try:
        told = json_text.loads((run_dir / "summary.json").read_bytes())
    except (OSError, ValueError):
        return False
    # An older version told of no steps, and what it told cannot be had again.
    return set(stages) <= set(told.get("steps", stages))


def write(output: writer.Writer, stages: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes summary.json.

    Args:
      output: the writer of the run.
      stages: stage -> `StageRecord.to_json`, in order.
    """
    phases = {
        f"{stage}/{phase}": facts
        for stage, record in stages.items()
        for phase, facts in record["phases"].items()
    }
    output.file("summary.json", {
        "compile_seconds": {k: round(f.get("compile_seconds", 0.0), 2) for k, f in phases.items()},
        "from_cache": {k: f["from_cache"] for k, f in phases.items() if "from_cache" in f},
        "flops_per_step": {k: f["flops"] for k, f in phases.items() if "flops" in f},
        "temporary_bytes": {
            k: f["temporary_bytes"] for k, f in phases.items() if "temporary_bytes" in f
        },
        "peak_memory_bytes": max(
            (r["peak_memory_bytes"] for r in stages.values() if r["peak_memory_bytes"]),
            default=None,
        ),
        "parameters": {stage: record["parameters"] for stage, record in stages.items()},
        "networks": {stage: record["networks"] for stage, record in stages.items()},
        "records": {stage: record["records"] for stage, record in stages.items()},
        "begins": {stage: record["begins"] for stage, record in stages.items()},
        "steps": {stage: record["steps"] for stage, record in stages.items()},
        "stage_seconds": {stage: record["seconds"] for stage, record in stages.items()},
        "skipped": {stage: record["skipped"] for stage, record in stages.items()},
        "train_seconds": round(sum(r["seconds"][TRAIN] for r in stages.values()), 3),
    })
