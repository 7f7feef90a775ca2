"""Programs ready to run: compiled, or read from the persistent cache, and which of the two it was.

Whether the cache has a program shows only when XLA asks it. So what is announced beforehand is the
preparation, and what is told afterwards is what it was.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from typing import Any

import jax
from jax import monitoring

from jaxedit.host import native_log

_HIT = "/jax/compilation_cache/cache_hits"
_explained: list[bool] = []  # whether this process has said what preparing means
_hits = threading.local()  # JAX tells of a hit in the thread that asked for the program


def _listen(event: str, **_: Any) -> None:
    if event == _HIT:
        _hits.count = getattr(_hits, "count", 0) + 1


monitoring.register_event_listener(_listen)


def compiled(lowered: Any) -> tuple[Any, bool]:
    """Returns (the program, whether it was read from the cache) of a lowered function."""
    before = getattr(_hits, "count", 0)
    with native_log.without_appeals():
        program = lowered.compile()
    return program, getattr(_hits, "count", 0) > before


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
    pictures = [shape for shape in every if len(shape) == 4]
    if pictures:
        count, height, width, _ = pictures[0]
        return f" for {width} x {height} pixels, batch {count}"
    return f" for batch {every[0][0]}" if every else ""


def before(what: str) -> str:
    """Returns the line that announces `what`, such as `the network for 64 x 64 pixels`.

    The first one says what preparing means; that is not said again.
    """
    line = f"preparing {what}"
    if _explained:
        return line
    _explained.append(True)
    slow = " (some minutes at worst)" if jax.default_backend() == "cpu" else ""
    return f"{line}: compiled now{slow}, unless the cache has it"


def after(what: str, seconds: float, from_cache: bool) -> str:
    """Returns the line that says what became of it."""
    how = "was in the cache, ready" if from_cache else "compiled"
    return f"{what}: {how} in {seconds:.1f} s"
