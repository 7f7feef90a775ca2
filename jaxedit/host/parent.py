"""A process that ends with its parent, also where the parent is killed without a chance to say so.

A run whose sweep was killed, or a data worker whose run was killed, would otherwise live on and
write into the folder that the next start uses. A thread looks whether the parent is still the same
one; on Linux asking the kernel for a signal would do too, but it comes when the *thread* that
started the process ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from multiprocessing import resource_tracker

VARIABLE = "JAXEDIT_PARENT"
_SECONDS = 0.5
# Elsewhere, as on macOS, a worker cannot tell whose SIGTERM it got, and every one ends it.
_TELLS_SENDERS = hasattr(signal, "sigwaitinfo")


def follow(parent: int) -> None:
    """Kills this process within a second of the death of process `parent`, which started it."""
    threading.Thread(target=_watch, args=(parent,), name="jaxedit-parent", daemon=True).start()


def follow_announced() -> None:
    """Calls `follow` where the parent has asked for it by `environment`."""
    announced = os.environ.pop(VARIABLE, "")
    if announced.isdigit():
        follow(int(announced))


def environment(inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Returns the environment for a child that is to end with this process."""
    return {**inherited, VARIABLE: str(os.getpid())}


@contextlib.contextmanager
def starting_workers() -> Iterator[None]:
    """Starts processes that no request to stop can reach before `start_worker` has prepared them.

    A new process imports for a second or more before it runs `start_worker`, and a Ctrl-C or a
    SIGTERM in that time would end it. It inherits from the thread that starts it that the signals
    are held back, and that from this one, if it began within the block. This process gets a signal
    that came meanwhile when the block ends.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Starting this helper of the standard library later would let the signal through again.
    resource_tracker.ensure_running()
    held = {signal.SIGINT, signal.SIGTERM} if _TELLS_SENDERS else {signal.SIGINT}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_worker(parent: int, index: int = 0, count: int = 1) -> None:
    """Prepares a data worker: it ends with its parent and leaves requests to stop to it.

    A terminal sends Ctrl-C to every process of a run, and a job scheduler SIGTERM; the run still
    needs its data then, to finish its step and save. A SIGTERM of the parent's own ends the worker.
    """
    del index, count  # as Grain calls it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if _TELLS_SENDERS:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(
            target=_obey, args=(parent,), name="jaxedit-terminate", daemon=True
        ).start()
    follow(parent)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_SECONDS)
    _end()


def _obey(parent: int) -> None:
    """Ends the process at a SIGTERM that `parent` has sent; others are of no concern to it."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    _end()


def _end() -> None:
    # At once and for good: what a run leaves behind then is what any kill leaves behind.
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
