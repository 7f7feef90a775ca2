"""What native libraries write straight to standard error, beside Python: one appeal is left out.

XLA asks people to file a bug when a program takes it longer than two minutes, which is usual for
large networks on CPU. It does so at the level of errors: a higher TF_CPP_MIN_LOG_LEVEL would hide
those too. So, once compiling has taken long, standard error goes through a process of its own
(it outlives a crash), which leaves out that appeal and hands on everything else at once.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator

AFTER = 90.0  # seconds; XLA writes after 120
_HEAD = re.compile(rb"^[EWI]\d{4} .*slow_operation_alarm\.cc:\d+\]")
_RULE = re.compile(rb"^\**\s*$")
_APPEAL = b"Very slow compile?"
_LONGEST = 4  # lines between the head and the appeal


@contextlib.contextmanager
def without_appeals(after: float = AFTER) -> Iterator[None]:
    """Keeps XLA's appeals off standard error while the context lasts and for as long as it is open.

    Does nothing for what takes less than `after` seconds, and nothing where standard error is no
    file of the system or no process can be started.
    """
    lock, opened, over = threading.Lock(), [], []

    def divert() -> None:
        with lock, contextlib.suppress(OSError):
            if not over:
                opened.append(_Diversion())

    timer = threading.Timer(after, divert)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        with lock:
            over.append(True)
            for diversion in opened:
                diversion.end()


class _Diversion:
    """File descriptor 2 as the input of a process that filters it into what it was before."""

    def __init__(self):
        sys.stderr.flush()
        self._before = os.dup(2)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-E", os.path.abspath(__file__)], stdin=subprocess.PIPE,
                stdout=self._before, start_new_session=True,  # Ctrl-C is not for it
            )
        except OSError:
            os.close(self._before)
            raise
        os.dup2(self._process.stdin.fileno(), 2)
        self._process.stdin.close()

    def end(self) -> None:
        """Puts the descriptor back, and waits until everything is handed on."""
        sys.stderr.flush()
        os.dup2(self._before, 2)
        os.close(self._before)
        with contextlib.suppress(subprocess.TimeoutExpired):  # another process still writes there
            self._process.wait(timeout=5)


class Filter:
    """Hands bytes on, line by line or in parts of lines, without the appeals in them."""

    def __init__(self):
        self._held: list[bytes] = []  # the beginning of what may be an appeal
        self._rest = b""
        self._closing = False  # an appeal has just been left out; a rule may follow

    def feed(self, data: bytes) -> bytes:
        """Returns what of `data`, and of what was held back, is to be written now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        out = b"".join(self._line(line + b"\n") for line in lines)
        # A bar or a question has no end of line: only what looks like an appeal waits for one.
        if self._rest and not self._held and not self._closing and self._rest[:1] not in b"EWI*":
            out, self._rest = out + self._rest, b""
        return out

    def end(self) -> bytes:
        """Returns what is still held back."""
        left, self._held, self._rest = b"".join(self._held) + self._rest, [], b""
        return left

    def _line(self, line: bytes) -> bytes:
        if self._closing:
            self._closing = False
            if _RULE.match(line):
                return b""
        if _HEAD.match(line):
            before, self._held = b"".join(self._held), [line]
            return before
        if not self._held:
            return line
        if _APPEAL in line:
            self._held, self._closing = [], True
            return b""
        self._held.append(line)
        if _RULE.match(line) and len(self._held) <= _LONGEST:
            return b""
        return self.end_of_held()

    def end_of_held(self) -> bytes:
        """Returns the lines that turned out to be something else."""
        held, self._held = b"".join(self._held), []
        return held


def main() -> None:
    """Filters standard input to standard output until it ends."""
    found = Filter()
    while data := os.read(0, 65536):
        os.write(1, found.feed(data))
    os.write(1, found.end())


if __name__ == "__main__":
    main()
