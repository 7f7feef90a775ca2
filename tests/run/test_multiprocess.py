"""Two processes over localhost train, save, restore and evaluate, and agree with one process."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.run.test_checkpoint import flip, largest
from tests.run.test_train import ROOT, TOY, flat, last_state, rows


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def start(folder: pathlib.Path, processes: int, devices: int, *arguments: str):
    port = free_port()
    started = []
    for index in range(processes):
        cluster = [f"--coordinator=localhost:{port}", f"--processes={processes}",
                   f"--process_index={index}"] if processes > 1 else []
        started.append(subprocess.Popen(
            [sys.executable, "-m", "jaxedit.main", f"--config={TOY}", f"--workdir={folder}",
             "--config.optim.lr=1e-3", "--config.train.checkpoint_every=3", *cluster, *arguments],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=dict(os.environ, XLA_FLAGS=f"--xla_force_host_platform_device_count={devices}",
                     PYTHONPATH=str(ROOT)),
        ))
    return started


def finish(processes) -> list[str]:
    """Returns what each process said on standard error."""
    said = []
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        said.append(errors)
    return said


STEPS = ("--config.train.steps=40", "--config.train.checkpoint_every=20")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """An uninterrupted run of two processes."""
    folder = tmp_path_factory.mktemp("two") / "run"
    finish(start(folder, 2, 1, *STEPS))
    return folder


def test_two_processes_agree_with_one(two, tmp_path):
    one = tmp_path / "one"
    finish(start(one, 1, 2, *STEPS))
    for a, b in zip(rows(one), rows(two), strict=True):
        a, b = json.loads(a), json.loads(b)
        assert a.keys() == b.keys()
        exact = {key for key in a if isinstance(a[key], str | dict)}
        assert all(a[key] == b[key] for key in exact)
        for key in a.keys() - exact:
            np.testing.assert_allclose(a[key], b[key], rtol=2e-3, err_msg=f"{key} {a} {b}")
    left, right = flat(last_state(one).params), flat(last_state(two).params)
    for name, value in left.items():
        np.testing.assert_allclose(value, right[name], rtol=1e-2, atol=2e-4, err_msg=name)
    a, b = (json.loads((f / "evaluation.json").read_text()) for f in (one, two))
    assert a["counts"] == b["counts"] and a["systems"] == b["systems"]
    for group, figures in a["table"]["grey"].items():
        for metric, value in figures.items():
            other = b["table"]["grey"][group][metric]
            assert (value is None) == (other is None)
            if value is not None:
                np.testing.assert_allclose(value, other, rtol=1e-6)


def test_two_processes_are_preempted_and_resume(two, tmp_path):
    """From the checkpoint before the newest, which both find damaged."""
    stopped = tmp_path / "stopped"
    often = (STEPS[0], "--config.train.checkpoint_every=5")
    processes = start(stopped, 2, 1, *often)
    while len(rows(stopped)) < 4:  # of steps 2, 4, 4 and 6
        assert all(p.poll() is None for p in processes)
        time.sleep(0.01)
    # One process is asked; all agree on the step after which they stop.
    processes[1].send_signal(signal.SIGTERM)
    finish(processes)
    folder = stopped / "checkpoints" / "train"
    earlier, newest = sorted(int(path.name) for path in folder.glob("[0-9]*"))[-2:]
    flip(largest(folder / str(newest) / "params"))
    processes = start(stopped, 2, 1, *often)
    said = finish(processes)
    assert f"train/{newest} cannot be read" in said[0] and "cannot be read" not in said[1]
    assert f"resuming at step {earlier} of 40" in said[0]
    assert (stopped / "broken_checkpoints" / f"train-{newest}").is_dir()
    assert (stopped / "metrics.jsonl").read_bytes() == (two / "metrics.jsonl").read_bytes()
