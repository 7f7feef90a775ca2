"""Memory in large pages on Linux: the same command, started once more with glibc told so.

XLA on CPU asks for the memory of every step anew. On most distributions that memory comes in pages
of 4 KiB, each of which the kernel has to clear and enter when it is first touched; a step on two
cores spends about a quarter of its time so (`experiments/results/layers.md`). Where the kernel
gives pages of 2 MiB to those who ask (/sys/kernel/mm/transparent_hugepage/enabled says `madvise`),
glibc 2.35 and later asks for them, but only if an environment variable says so before the process
starts. Hence `restart`. Nothing that is computed changes.

JAXEDIT_LARGE_PAGES=0 switches it off.
"""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Mapping

VARIABLE = "JAXEDIT_LARGE_PAGES"
_TUNABLES = "GLIBC_TUNABLES"
_TUNABLE = "glibc.malloc.hugetlb"
_OLDEST_GLIBC = (2, 35)
_KERNEL = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")


def restart() -> None:
    """Replaces this process by the same command with large pages, where that makes a difference.

    For the first line of a program: what the process has done so far is lost, but for its number,
    its files and its environment. Returns where large pages are on already, are to be had by no
    means, or are not wanted, and under a debugger.
    """
    if obstacle(os.environ) or sys.gettrace() is not None:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], with_tunable(os.environ))
    except OSError:  # the work can be done without
        return


def obstacle(environment: Mapping[str, str]) -> str:
    """Returns why there is nothing to gain from a restart, or "" where there is."""
    if environment.get(VARIABLE) == "0":
        return f"off ({VARIABLE}=0)"
    if _TUNABLE in environment.get(_TUNABLES, ""):
        return f"as {_TUNABLES} says: {environment[_TUNABLES]}"
    if _glibc() < _OLDEST_GLIBC:
        return "not to be had: needs Linux with glibc 2.35 or later"
    try:
        setting = _KERNEL.read_text()
    except OSError:
        return f"not to be had: the kernel has no {_KERNEL}"
    if "[madvise]" not in setting:
        return f"as {_KERNEL} says: {setting.strip()}"
    return ""


def with_tunable(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment with glibc's setting added to what it holds of them."""
    settings = [environment.get(_TUNABLES, ""), f"{_TUNABLE}=1"]
    return {**environment, _TUNABLES: ":".join(filter(None, settings))}


def _glibc() -> tuple[int, ...]:
    """Returns glibc's version, or () where the C library is another one."""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (AttributeError, ValueError, OSError):
        return ()
    if name != "glibc":
        return ()
    return tuple(int(part) for part in version.split(".") if part.isdigit())
