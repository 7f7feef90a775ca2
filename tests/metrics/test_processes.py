"""States travel between processes exactly, whatever their sizes."""

import socket
import subprocess
import sys

import numpy as np

from jaxedit import metrics

PROGRAM = """
import sys
import jax, numpy as np
jax.distributed.initialize("localhost:{port}", 2, int(sys.argv[1]))
from jaxedit.metrics import processes as module
module._PIECE = 100  # several exchanges for a small state
rank = jax.process_index()
state = {{
    "a/rows": np.arange(rank * 21, dtype=np.float32).reshape(-1, 3),
    "a/sum": np.full(2, 1 / 3 + rank, np.float64),
    "count": np.array(2**40 + rank, np.int64),
}}
states = module.gather(state)
assert len(states) == 2
for other, received in enumerate(states):
    assert received["a/rows"].shape == (other * 7, 3), received
    assert received["a/rows"].dtype == np.float32 and received["a/sum"].dtype == np.float64
    assert received["a/sum"].tolist() == [1 / 3 + other] * 2, received
    assert received["count"] == 2**40 + other and received["count"].dtype == np.int64
print("agreed")
"""


def test_one_process_gathers_its_own_state():
    state = {"sum": np.array(1 / 3)}
    assert metrics.gather(state) == [state]


def test_two_processes_gather_both_states():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    program = PROGRAM.format(port=port)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(rank)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for process in processes:
            output, _ = process.communicate(timeout=120)
            assert process.returncode == 0 and "agreed" in output, output
    finally:
        for process in processes:
            process.kill()
