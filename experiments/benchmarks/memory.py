"""What a process holds, from Linux's own figures; imports neither JAX nor PyTorch."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

_KIB_OF_MIB = 1024


def status(key: str) -> float:
    """Returns a line of /proc/self/status in MiB: `VmRSS` now, `VmHWM` the most so far."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return round(int(line.split()[1]) / _KIB_OF_MIB, 1)
    raise KeyError(key)


def running(work: Callable[[], object], repeats: int) -> float:
    """Does the work `repeats` times; returns the most that the process held meanwhile, in MiB."""
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    for _ in range(repeats):
        work()
    return status("VmHWM")
