"""Programs ready to run: compiled, or read from the persistent cache, and which of the two it was.

Whether the cache has a program shows only when XLA asks it. So what is made ready is watched from
beside: a program that the cache has is quiet, one that is compiled is announced as soon as that is
clear, and for as long as it takes there is a sign of life now and then.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
from jax import monitoring

from jaxedit.host import native_log
from jaxedit.report import wording

PATIENCE = 5.0  # seconds without an answer of the cache: then it is taken not to have the program
ON_A_TERMINAL, ELSEWHERE = 30.0, 60.0  # seconds between two signs of life
_CHANNELS = 4  # of pictures, at most: what has more is no picture, or its channels stand elsewhere
_LOOK = 0.25  # seconds between two looks at the clock

_ASKED = "/jax/compilation_cache/compile_requests_use_cache"
_HIT = "/jax/compilation_cache/cache_hits"
_DONE = "/jax/core/compile/backend_compile_duration"  # from the cache as well
_explained: list[bool] = []  # whether this process has said how long compiling may take
_thread = threading.local()  # JAX tells of its programs in the thread that asked for them


def _listen(event: str, *_: Any, **__: Any) -> None:
    if event == _HIT:
        _thread.hits = getattr(_thread, "hits", 0) + 1
    watch = getattr(_thread, "watch", None)
    if watch is not None and event == _ASKED:
        watch.asked = time.monotonic()
    elif watch is not None and event in (_HIT, _DONE):
        watch.asked = None


monitoring.register_event_listener(_listen)
monitoring.register_event_duration_secs_listener(_listen)


def compiled(lowered: Any) -> tuple[Any, bool]:
    """Returns (the program, whether it was read from the cache) of a lowered function."""
    before = getattr(_thread, "hits", 0)
    _listen(_ASKED)  # JAX tells of it only where there is a cache
    with native_log.without_appeals():
        program = lowered.compile()
    return program, getattr(_thread, "hits", 0) > before


class Watch:
    """What is told of one program while it is made ready.

    Attributes:
      asked: since when XLA has had it to compile, by `time.monotonic`; None: it has not, or is
        done.
    """

    def __init__(self, what: str, now: float, every: float):
        """Args:
          what: such as `the network for 64 x 64 pixels`.
          now: by `time.monotonic`, as everywhere here.
          every: seconds between two signs of life.
        """
        self.asked: float | None = None
        self._what, self._began, self._every = what, now, every
        self._told: float | None = None

    def due(self, now: float) -> str | None:
        """Returns the line that is to be said now, if one is."""
        compiling = self.asked is not None
        if self._told is None:
            if compiling and now - self.asked >= PATIENCE:
                line = before(self._what)
            elif now - self._began >= self._every:
                line = f"preparing {self._what}: {wording.duration(now - self._began)} so far"
            else:
                return None
        elif now - self._told < self._every:
            return None
        else:
            how = "compiling" if compiling else "under way"
            line = f"{self._what}: still {how}, {wording.duration(now - self._began)} so far"
        self._told = now
        return line

    def over(self, seconds: float, from_cache: bool) -> str | None:
        """Returns the line that ends it: None where nothing was said, and so nobody waits."""
        if self._told is None:
            return None
        how = "was in the cache, ready" if from_cache else "compiled"
        return f"{self._what}: {how} in {seconds:.1f} s"


@contextlib.contextmanager
def watched(what: str, say: Callable[[str], None]) -> Iterator[Watch]:
    """Tells of a program that is made ready within the context, in this thread, if it takes long.

    Args:
      what: such as `the network for 64 x 64 pixels`.
      say: is told each line, from another thread.
    """
    every = ON_A_TERMINAL if sys.stderr.isatty() else ELSEWHERE
    watch, over = Watch(what, time.monotonic(), every), threading.Event()

    def look() -> None:
        while not over.wait(_LOOK):
            line = watch.due(time.monotonic())
            if line is not None:
                say(line)

    thread = threading.Thread(target=look, name="watch", daemon=True)
    outer, _thread.watch = getattr(_thread, "watch", None), watch
    thread.start()
    try:
        yield watch
    finally:
        _thread.watch = outer
        over.set()
        thread.join()


def tell(line: str) -> None:
    """Says something on standard error, on the first process."""
    if jax.process_index() == 0:
        print(line, file=sys.stderr, flush=True)


def size_of(shapes: Mapping[str, Any]) -> str:
    """Returns ` for 64 x 48 pixels, batch 8`, of the first pictures of a batch; without any, the
    batch alone.

    Args:
      shapes: name -> what has a shape, samples first.
    """
    every = [tuple(one.shape) for one in shapes.values() if len(getattr(one, "shape", ())) > 0]
    pictures = [shape for shape in every if len(shape) == 4 and shape[-1] <= _CHANNELS]
    if pictures:
        count, height, width, _ = pictures[0]
        return f" for {width} x {height} pixels, batch {count}"
    return f" for batch {every[0][0]}" if every else ""


def before(what: str) -> str:
    """Returns the line that announces that `what` is compiled.

    The first one says how long that may take; it is not said again.
    """
    line = f"compiling {what}"
    if _explained:
        return line
    _explained.append(True)
    slow = "some minutes at worst" if jax.default_backend() == "cpu" else ""
    kept = "kept for later calls" if jax.config.jax_compilation_cache_dir else ""
    about = "; ".join(filter(None, (slow, kept)))
    return f"{line} ({about})" if about else line
