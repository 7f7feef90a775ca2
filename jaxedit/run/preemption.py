"""Stopping on request: SIGTERM or Ctrl-C here, or SIGTERM on any process of a cluster job."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

import jax
from jax.experimental import multihost_utils

# Seconds that the second Ctrl-C leaves for what Python cannot interrupt: a compilation, a save.
_PATIENCE = 1.0


class Preempted(Exception):
    """The run was asked to stop; its state is saved.

    Attributes:
      exit_code: 130 after Ctrl-C, 0 after SIGTERM.
    """

    def __init__(self, message: str, exit_code: int = 0):
        super().__init__(message)
        self.exit_code = exit_code


class Abandoned(BaseException):
    """What was done `at_once` was given up for a request to stop; no error to be handled."""


class StopRequest:
    """Whether the run was asked to stop: by a signal here, or on any process of a cluster job.

    A first Ctrl-C is a request like SIGTERM: what is under way, be it a step, a restoration or a
    save, is finished, an evaluation is put off until the run goes on, and the run saves and ends.
    A second one stops it at once.
    """

    def __init__(self):
        self.interrupts = 0
        self._asked = self._agreed = self._at_once = self._gave_up = False
        self._previous: dict[int, object] = {}
        self._pipe: tuple[int, int] | None = None
        self._over = threading.Event()
        self._answering: threading.Thread | None = None
        self._previous_wakeup = -1

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is not threading.main_thread():
            return self
        # With several processes JAX's own preemption service listens for SIGTERM and agrees
        # on one step for all of them.
        if jax.process_count() == 1:
            self._previous[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._on_terminate)
        # Where Ctrl-C is ignored, as behind nohup, it stays so.
        if signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, None):
            self._previous[signal.SIGINT] = signal.signal(signal.SIGINT, self._on_interrupt)
        if self._previous:
            with contextlib.suppress(AttributeError, OSError, ValueError):  # not on Windows
                self._watch()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
        if self._pipe is not None:
            signal.set_wakeup_fd(self._previous_wakeup, warn_on_full_buffer=False)
            os.close(self._pipe[1])  # which ends the thread
            self._over.set()
            if self._answering is not None:  # a request of just now is answered before the end
                self._answering.join(_PATIENCE)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Within it a request raises `Abandoned`: for work that can be done again another time.

        With several processes, which would have to agree, it changes nothing.
        """
        self._at_once = jax.process_count() == 1
        try:
            if self._at_once and self._asked:
                raise Abandoned
            yield
        finally:
            self._at_once = False

    @property
    def asked(self) -> bool:
        """Whether a signal has come; with several processes, whether `requested` has said so."""
        return self._agreed or (self._asked and jax.process_count() == 1)

    @property
    def exit_code(self) -> int:
        """Returns what the program should exit with after stopping."""
        return 130 if self.interrupts else 0

    def requested(self, step: int) -> bool:
        """Returns whether to save after `step` and stop; all processes give the same answer."""
        if jax.process_count() > 1:
            self._agreed = self._agreed or multihost_utils.reached_preemption_sync_point(step)
            return self._agreed
        return self._asked

    def end(self, done: str) -> None:
        """Raises `Preempted` if the run was asked to stop; `done` says what is saved, and where."""
        if self.asked:
            raise Preempted(f"Asked to stop: {done}.", self.exit_code)

    def _on_terminate(self, *_: object) -> None:
        if not self._asked:
            self._gave_up = self._at_once
        self._asked = True
        if self._at_once:
            raise Abandoned

    def _on_interrupt(self, *_: object) -> None:
        self.interrupts += 1
        if self.interrupts > 1:
            raise KeyboardInterrupt
        if jax.process_count() > 1:
            os.kill(os.getpid(), signal.SIGTERM)
        self._on_terminate()

    def _line(self) -> str:
        """Returns what becomes of what is under way, also before Python's own handler has run."""
        if self._gave_up if self._asked else self._at_once:
            return "Stopping: the evaluation under way is put off, and what is trained is saved."
        return "Stopping: the step under way, with what it compiles, is finished and saved."

    def _watch(self) -> None:
        """Answers signals from a thread: Python's own handlers wait while XLA compiles."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        self._previous_wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        self._pipe = reading, writing
        self._answering = threading.Thread(
            target=_answer, args=(reading, self._over, self._line), name="jaxedit-interrupt",
            daemon=True,
        )
        self._answering.start()


def _answer(reading: int, over: threading.Event, line: Callable[[], str]) -> None:
    interrupts, said = 0, False
    # Each signal writes its number; nothing more comes once the writing end is closed.
    while number := os.read(reading, 1):
        if number[0] not in (signal.SIGINT, signal.SIGTERM):
            continue
        interrupts += number[0] == signal.SIGINT
        if not said:
            _say(line() + (" Ctrl-C again stops at once." if interrupts else ""))
            said = True
        if interrupts == 2:
            threading.Thread(target=_end_unless, args=(over,), daemon=True).start()
    os.close(reading)


def _end_unless(over: threading.Event) -> None:
    if over.wait(_PATIENCE):
        return
    _say("Interrupted; start the same command again to resume.")
    os._exit(130)


def _say(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)
