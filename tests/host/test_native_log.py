"""XLA's appeal to file a bug is left out of standard error; whatever else is written passes."""

import os
import subprocess
import sys

from jaxedit.host import native_log

APPEAL = (
    b"E1127 15:28:47.549471   14722 slow_operation_alarm.cc:73] \n"
    b"********************************\n"
    b"[Compiling module jit_f for CPU] Very slow compile? If you want to file a bug, run with "
    b"envvar XLA_FLAGS=--xla_dump_to=/tmp/foo and attach the results.\n"
    b"********************************\n"
)
END = APPEAL.replace(b"] \n", b"] The operation took 4m26.086985128s\n\n", 1)
OTHER = (
    b"E1127 15:28:47.549471   14722 slow_operation_alarm.cc:73] Constant folding an instruction\n"
    b"W1127 12:00:00.000000    1 cuda.cc:7] something\nE1127 12:00:01.000000 1 gpu.cc:9] worse\n"
    b"********\n"
)


def filtered(*parts):
    found = native_log.Filter()
    return b"".join(map(found.feed, parts)) + found.end()


def test_only_the_appeal_is_left_out():
    text = b"before\n" + APPEAL + OTHER + END + b"E1127 12:00:02.000000 1 x.cc:9] after\n"
    expected = b"before\n" + OTHER + b"E1127 12:00:02.000000 1 x.cc:9] after\n"
    assert filtered(text) == expected
    assert filtered(*(text[i : i + 7] for i in range(0, len(text), 7))) == expected
    assert filtered(APPEAL[:70]) == APPEAL[:70]  # cut off by a crash: nothing is kept back


def test_what_has_no_end_of_line_is_written_at_once():
    found = native_log.Filter()
    assert found.feed(b"\r 10%|#   |") == b"\r 10%|#   |"
    assert found.feed(b"E1127 1") == b"" and found.feed(b" x.cc:1] error\n").endswith(b"error\n")


PROGRAM = """
import os, sys, time
from jaxedit.host import native_log
with native_log.without_appeals(after=float(sys.argv[1])):
    time.sleep(1)
    os.write(2, sys.stdin.buffer.read())
    if sys.argv[2] == "crash":
        os.abort()
print("afterwards", file=sys.stderr)
"""


def run(after, how):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(after), how], input=APPEAL + OTHER,
        capture_output=True, env={**os.environ, "PYTHONPATH": os.getcwd()}, timeout=60,
    )


def test_a_process_filters_what_comes_late_and_outlives_a_crash():
    assert run(0.1, "end").stderr == OTHER + b"afterwards\n"
    assert run(60, "end").stderr == APPEAL + OTHER + b"afterwards\n"  # quick ones go their way
    done = run(0.1, "crash")
    assert done.returncode != 0 and OTHER in done.stderr and b"Very slow" not in done.stderr
