"""Stopping on request: SIGTERM on this machine, or on any process of a cluster job."""

from __future__ import annotations

import signal
import threading

import jax
from jax.experimental import multihost_utils


class Preempted(Exception):
    """The run was asked to stop (SIGTERM); its state is saved."""


class StopRequest:
    """Whether the run was asked to stop: SIGTERM here, or on any process of a cluster job."""

    def __init__(self):
        self._asked = False
        self._previous = None

    def __enter__(self) -> StopRequest:
        # With several processes JAX's own preemption service listens for SIGTERM and agrees
        # on one step for all of them.
        if jax.process_count() == 1 and threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGTERM, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)

    def requested(self, step: int) -> bool:
        """Returns whether to save after `step` and stop."""
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(step)
        return self._asked

    def _on_signal(self, *_: object) -> None:
        self._asked = True
