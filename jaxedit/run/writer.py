"""What a run leaves behind: JSON lines, TensorBoard events, pictures, versions.

`metrics.jsonl` holds only what the run computes, so that a run that was killed and resumed ends
with the same bytes as one that never stopped; wall-clock figures of training go to `timing.jsonl`.
Only the first process writes.

Evaluations may be written beside a run that goes on, by another process: their files are replaced
whole, and what measuring took is appended to `evaluations/timing.jsonl`, which no resumption cuts
back.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import pathlib
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

import jax
import numpy as np

from jaxedit.host import atomic, json_text
from jaxedit.report import pictures, wording
from jaxedit.run import rows, sharding
from jaxedit.run.figures import Result

_NUMBERS = itertools.count(1)  # of the files of events of this process


class Writer:
    """Writes the rows, events and pictures of a run; silent on every process but the first.

    Args:
      run_dir: the run directory.
      active: whether to write; by default on the first process.
      stages: the names of the stages, in order.
    """

    def __init__(
        self, run_dir: pathlib.Path, active: bool | None = None, stages: Sequence[str] = ()
    ):
        self.run_dir = run_dir
        self._stages = stages
        self.active = sharding.is_first_process() if active is None else active
        self._events = None
        self._purge_step = None

    def row(
        self, stage: str, step: int, split: str, values: Mapping[str, float],
        about: Mapping[str, Any] | None = None,
    ) -> None:
        """Appends one row to metrics.jsonl and the events; `about` says what the values rest on."""
        row = {"stage": stage, "step": step, "split": split, **(about or {})}
        row |= {k: (v if math.isfinite(v) else None) for k, v in values.items()}
        self._append("metrics.jsonl", row)
        self._scalars(f"{stage}/{split}", step, values)

    def timing(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Appends one row to timing.jsonl and the events."""
        self._append("timing.jsonl", {"stage": stage, "step": step, **values})
        self._scalars(f"{stage}/timing", step, values)

    def picture(self, name: str, step: int, image: np.ndarray) -> None:
        """Writes `pictures/<name>.png`, keeps some earlier ones, and adds it to the events.

        Args:
          name: file name without suffix.
          step: the training step.
          image: uint8 (H, W, 3).
        """
        if self.active:
            pictures.record(self.run_dir / "pictures", name, step, image)
            self._open_events().add_image(name, image, step, dataformats="HWC")

    def evaluation(
        self, result: Result, name: str, step: int, stage: str, beside: bool = False
    ) -> pathlib.Path:
        """Writes `<name>.json`, its pictures and what measuring took; returns the path of the file.

        Args:
          result: the figures.
          name: of the file, without suffix.
          step: that was measured.
          stage: its name.
          beside: a run may have come to its end meanwhile. Figures of a later step of the same
            stage stay then: the name of this file gets its step. The run's own replace any.
        """
        content = result.to_json(step, stage)
        # The look and the file are next to one another, so that the run gets no time in between.
        if beside and _holds_later(self.run_dir / f"{name}.json", stage, step):
            name += f"-step{step}"
        self.file(f"{name}.json", content)
        for grid, image in result.grids.items():
            self.picture(f"{name.replace('/', '-')}-{grid}", step, image)
        if result.seconds:
            seconds = {f"seconds_per_sample/{result.name}/{system}": value
                       for system, value in result.seconds.items()}
            stage = stage or "evaluation"
            self._append(wording.MEASURING, {"stage": stage, "step": step, **seconds})
            self._scalars(f"{stage}/timing", step, seconds)
        return self.run_dir / f"{name}.json"

    def file(self, name: str, value: Any) -> None:
        """Writes a JSON file into the run directory, whole or not at all."""
        if self.active:
            (self.run_dir / name).parent.mkdir(parents=True, exist_ok=True)
            atomic.write_text(self.run_dir / name, json.dumps(value, indent=2) + "\n")

    def rewind(self, stage: str, step: int, known: Mapping[str, Any]) -> None:
        """Drops what a stage wrote after the checkpoint that it resumes from, see `rows.rewind`."""
        if self.active:
            rows.rewind(self.run_dir, stage, step, known, self._stages)

    def purge_events_after(self, step: int) -> None:
        """Tells TensorBoard to hide events after `step`, which will be written again."""
        self._purge_step = step + 1

    def close(self) -> None:
        """Flushes and closes the events file."""
        if self._events is not None:
            self._events.close()

    def _append(self, name: str, row: Mapping[str, Any]) -> None:
        if self.active:
            (self.run_dir / name).parent.mkdir(parents=True, exist_ok=True)
            with open(self.run_dir / name, "a") as file:
                file.write(json.dumps(row) + "\n")

    def _scalars(self, prefix: str, step: int, values: Mapping[str, float]) -> None:
        if self.active:
            for key, value in values.items():
                self._open_events().add_scalar(f"{prefix}/{key}", value, step)

    def _open_events(self):
        if self._events is None:
            with _hidden("torch"):  # tensorboardX imports torch wherever it is installed
                from tensorboardX import SummaryWriter

            # Files of the same second would have the same name, and the later would replace the
            # earlier.
            self._events = SummaryWriter(
                str(self.run_dir / "events"), purge_step=self._purge_step, flush_secs=30,
                filename_suffix=f".{os.getpid()}-{next(_NUMBERS)}",
            )
        return self._events


def _holds_later(path: pathlib.Path, stage: str, step: int) -> bool:
    """Whether a file holds the figures of a later step of a stage."""
    try:
        found = json_text.loads(path.read_bytes())
        return found["stage"] == stage and found["step"] > step
    except (OSError, ValueError, KeyError, TypeError):
        return False


@contextlib.contextmanager
def _hidden(module: str) -> Iterator[None]:
    """Makes `import module` fail as if it were not installed, unless it is imported already."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # the import system's own mark for "not to be found"
    try:
        yield
    finally:
        del sys.modules[module]


def versions() -> dict[str, Any]:
    """Returns what a reader needs to know of the software and the machine of a run."""
    packages = ["jaxedit", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy"]
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _package_version(name) for name in packages},
        "backend": jax.default_backend(),
        "devices": [d.device_kind for d in jax.devices()][:1],
        "device_count": jax.device_count(),
        "process_count": jax.process_count(),
        "git_revision": git_revision(),
    }


def git_revision() -> str | None:
    """Returns the revision of the checkout jaxedit runs from ("+changes" if dirty), or None."""
    folder = pathlib.Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        run = lambda *words: subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10,
            check=True,
        ).stdout.strip()
        return run("rev-parse", "HEAD") + ("+changes" if run("status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def peak_memory_bytes() -> int | None:
    """Returns the largest memory in use so far: of the first device, or of this process on CPU."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in statistics:
        return int(statistics["peak_bytes_in_use"])
    try:
        import resource
    except ImportError:  # Windows has no resource module.
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _package_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
