"""A killed parent takes its children with it."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]

CHILD = (
    "import os, time; from jaxedit.host import parent; parent.follow_announced(); "
    "print(os.getpid(), flush=True); time.sleep(60)"
)
# A sweep whose only run is the child.
SWEEP = (
    "import pathlib, sys; from jaxedit.commands import sweep\n"
    "sweep.command_of = lambda *_: [sys.executable, '-c', sys.argv[1]]\n"
    "sweep._run_one(None, sweep.Planned('a', 0, pathlib.Path(sys.argv[2], 'run'), ()), True)"
)
# Two data workers, as a run has them.
WORKERS = (
    "import multiprocessing, sys, time, numpy\n"
    "from jaxedit.data import pipeline\n"
    "from tests.host.test_parent import Numbers, transform\n"
    "if __name__ == '__main__':\n"
    "    batches = pipeline.train_iterator(Numbers(), transform, 2, 0, workers=2)\n"
    "    pipeline.resume(batches, batches.get_state(), 2)\n"
    "    while len(children := multiprocessing.active_children()) < 2:\n"
    "        pipeline.following(batches, 2)\n"
    "    print(*(p.pid for p in children), flush=True)\n"
    "    sys.stdin.readline(); children[0].terminate(); children[0].join(10)\n"
    "    print(children[0].exitcode, flush=True); time.sleep(60)"
)


class Numbers:
    description = "numbers"

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {"id": str(index)}


def transform(record, rng):
    return {"x": rng.normal(size=2)}


def alive(process):
    """Whether a process runs; one that its parent has yet to bury does not."""
    try:
        state = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2]
        return state.split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not pathlib.Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("kind", ["run of a sweep", "data workers"])
def test_children_of_a_killed_parent_end(kind, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(SWEEP if kind == "run of a sweep" else WORKERS)
    process = subprocess.Popen(
        [sys.executable, str(program), CHILD, str(tmp_path)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    children = [int(word) for word in process.stdout.readline().split()]
    assert len(children) == (1 if kind == "run of a sweep" else 2)
    if kind == "data workers":  # from the beginning, not only once they are prepared
        for child in children:
            status = pathlib.Path(f"/proc/{child}/status").read_text()
            blocked = int(re.search(r"SigBlk:\s*(\w+)", status)[1], 16)
            assert blocked >> (signal.SIGINT - 1) & blocked >> (signal.SIGTERM - 1) & 1
    # A terminal's Ctrl-C and a scheduler's SIGTERM go to the workers too, which the run still
    # needs; they may come while the second one still starts.
    if kind == "data workers":
        for child in children:
            os.kill(child, signal.SIGINT)
            os.kill(child, signal.SIGTERM)
        time.sleep(1.0)
    assert all(alive(child) for child in children)
    if kind == "data workers":  # its own, which it sends where a worker hangs, does end one
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline().strip() == str(-signal.SIGKILL)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 10
    while any(alive(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(child) for child in children)
