"""When a file cannot be read: is it damaged, or is it only that reading fails just now?

Damage is for good, and what is damaged may be set aside. A disk that answers with an input/output
error, a full table of open files or a server that is away may be well again in a moment: that is
tried a few times and then ends the run, which touches nothing.
"""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from jaxedit.errors import UserError

T = TypeVar("T")

# Seconds before the second, third and fourth try.
WAITS = (0.5, 2.0, 4.0)

_PASSING = frozenset(
    getattr(errno, name)
    for name in (
        "EIO", "EACCES", "EPERM", "EMFILE", "ENFILE", "ENOMEM", "ENOBUFS", "EAGAIN", "EINTR",
        "EBUSY", "ENOLCK", "ESTALE", "ETIMEDOUT", "ENODEV", "ENXIO", "EREMOTEIO", "ENETDOWN",
        "ENETUNREACH", "ENETRESET", "ECONNRESET", "ECONNREFUSED", "ECONNABORTED", "EHOSTDOWN",
        "EHOSTUNREACH", "ENOTCONN",
    )
    if hasattr(errno, name)
)
# TensorStore and XLA raise everything as ValueError or RuntimeError, with these words in it.
_OS_ERROR = re.compile(r"OS error (\d+)")
_STATUS = re.compile(
    r"\b(PERMISSION_DENIED|UNAUTHENTICATED|RESOURCE_EXHAUSTED|UNAVAILABLE|DEADLINE_EXCEEDED)\b"
)


class Damaged(Exception):
    """What was read is not what was written; the message says which file or value."""


def is_passing(error: BaseException) -> bool:
    """Whether an error, or one that led to it, may be gone at the next try."""
    for one in _with_causes(error):
        if isinstance(one, MemoryError):
            return True
        if isinstance(one, OSError) and one.errno in _PASSING:
            return True
        text = str(one)
        if any(int(number) in _PASSING for number in _OS_ERROR.findall(text)):
            return True
        if _STATUS.search(text):
            return True
    return False


def retry(read: Callable[[], T]) -> T:
    """Returns what `read` returns, after as many tries as passing errors make worthwhile."""
    for wait in WAITS:
        try:
            return read()
        except Exception as error:
            if not is_passing(error):
                raise
        time.sleep(wait)
    return read()


def first_line(error: BaseException) -> str:
    """Returns an error in one line of bounded length, for a message."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else repr(error)


def cannot_read_now(what: object, reason: str) -> UserError:
    """Returns the error that ends a command when a passing error would not pass."""
    return UserError(
        f"{what} cannot be read just now ({reason}). This need not be damage, so nothing was moved "
        "or changed. Check the disk, its permissions and the limit of open files, and start the "
        "same command again."
    )


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
