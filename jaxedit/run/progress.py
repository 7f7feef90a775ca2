"""How far a stage is, for the person who waits: a bar on a terminal, elsewhere a line a minute."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping

from tqdm import tqdm

from jaxedit.report import wording
from jaxedit.run import sharding

_COLUMNS = 100  # of a bar, at most
_BAR = 60  # of which are the bar itself, its counts and its times
_EVERY = 60.0  # seconds between two lines where there is no terminal


class Progress:
    """How far a stage is, with its step time and what is left; only the first process talks.

    On a terminal it is a bar of at most 100 columns; elsewhere a line a minute, and one at the end.
    Time spent in evaluation and saving is counted apart (`pause`), so that the figures are those
    of training steps.
    """

    def __init__(self, total: int, start: int, batch_size: int, title: str):
        """Args:
          total: steps of the stage.
          start: steps that were done before.
          batch_size: samples per step.
          title: what stands in front.
        """
        self._talks = sharding.is_first_process()
        self._has_bar = self._talks and sys.stderr.isatty()
        self._bar = tqdm(
            total=total, initial=start, desc=title, unit="step", ncols=_columns(), mininterval=1.0,
            disable=not self._has_bar,
        )
        self._title, self._total, self._done = title, total, start
        self._start, self._note = start, ""
        self._began = self._told = time.monotonic()
        self._batch_size = batch_size
        self._paused = 0.0
        self._mark()

    def advance(self) -> None:
        """Counts one finished step."""
        self._steps += 1
        self._done += 1
        self._bar.update()
        if self._done == self._start + 1:  # the first step compiles, and tells nothing of the rest
            self._began = time.monotonic()
        if not self._has_bar and time.monotonic() - self._told >= _EVERY:
            self._tell()

    def note(self, values: Mapping[str, float]) -> None:
        """Shows a few figures behind the bar, as many as there is room for."""
        self._note = fitting(values, (_columns() if self._has_bar else _COLUMNS) - _BAR)
        self._bar.ncols = _columns()
        self._bar.set_postfix_str(self._note, refresh=False)

    def say(self, line: str) -> None:
        """Prints a line about the stage, above the bar where there is one."""
        if self._talks:
            tqdm.write(f"{self._title}: {line}", file=sys.stderr)
            sys.stderr.flush()

    def pause(self) -> _Pause:
        """Returns a context whose duration does not count as training time."""
        return _Pause(self)

    def timing(self) -> dict[str, float]:
        """Returns seconds_per_step and images_per_second since the last call; {} if no step."""
        if not self._steps:
            return {}
        seconds = (time.perf_counter() - self._since - self._paused) / self._steps
        self._mark()
        return {
            "seconds_per_step": round(seconds, 6),
            "images_per_second": round(self._batch_size / seconds, 3),
        }

    def close(self) -> None:
        """Ends the bar; elsewhere says how far it came."""
        self._bar.close()
        if not self._has_bar and self._done > self._start:
            self._tell()

    def _tell(self) -> None:
        """Prints how far the stage is."""
        self._told = time.monotonic()
        timed = self._done - self._start - 1
        pace = left = ""
        if timed:
            each = (self._told - self._began) / timed
            pace = f"{each:.3g} s each, all else included"
            left = f"about {wording.duration(each * (self._total - self._done))} left"
        self.say(", ".join(filter(None, (
            f"step {self._done} of {self._total}", pace,
            left if self._done < self._total else "", self._note,
        ))))

    def _mark(self) -> None:
        self._since, self._steps, self._paused = time.perf_counter(), 0, 0.0


class _Pause:
    def __init__(self, progress: Progress):
        self._progress = progress

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._progress._paused += time.perf_counter() - self._started


def fitting(values: Mapping[str, float], room: int) -> str:
    """Returns as many of the figures as fit into `room` columns: `l1=4.525, global_d=1.913`."""
    text = ""
    for name, value in values.items():
        longer = text + (", " if text else "") + f"{name.rpartition('/')[2]}={value:.4g}"
        if len(longer) > room:
            break
        text = longer
    return text


def _columns() -> int:
    return min(_COLUMNS, shutil.get_terminal_size().columns)
