"""What this machine has: memory, processors, disk. Standard library only; host side."""

from __future__ import annotations

import ctypes
import os
import pathlib


def total_memory_bytes() -> int | None:
    """Returns the main memory that this process may use, None where the system does not say."""
    limits = [_cgroup("memory.max"), _meminfo("MemTotal"), _sysconf("SC_PHYS_PAGES")]
    return min((v for v in limits if v), default=None)


def available_memory_bytes() -> int | None:
    """Returns the main memory that is free or can be freed, None where the system does not say."""
    free = _meminfo("MemAvailable") or _sysconf("SC_AVPHYS_PAGES")
    limit, used = _cgroup("memory.max"), _cgroup("memory.current")
    if limit and used:
        free = min(free or limit, limit - used)
    return free


def release_memory() -> None:
    """Hands memory that this process has freed, and glibc keeps for later, back to the system.

    What compiling a program for CPU took, often a gigabyte, would else count as this process's to
    its end. Does nothing where the C library is another one.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, TypeError, AttributeError):  # TypeError: Windows
        return
    trim(0)


def processor_count() -> int:
    """Returns the number of processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_name() -> str:
    """Returns the processor's name, or the empty string."""
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    import platform

    return platform.processor()


def folder_size_bytes(folder: str | os.PathLike) -> tuple[int, int]:
    """Returns (number of files, bytes) below `folder`; (0, 0) if there is no such folder."""
    count = size = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.stat(os.path.join(root, name)).st_size
                count += 1
            except OSError:
                continue  # a file that another process has just removed
    return count, size


def _meminfo(key: str) -> int | None:
    try:
        for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def _cgroup(name: str) -> int | None:
    """Returns a limit of this container; None outside one, and where it is unlimited."""
    try:
        return int(pathlib.Path("/sys/fs/cgroup", name).read_text())
    except (OSError, ValueError):
        return None


def _sysconf(key: str) -> int | None:
    try:
        return os.sysconf(key) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
