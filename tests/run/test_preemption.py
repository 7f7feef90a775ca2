"""Requests to stop: the first Ctrl-C is one, the second ends the process at once."""

import os
import signal
import subprocess
import sys
import time

import pytest

from jaxedit.run import checkpoint, evaluate, readers, train
from jaxedit.run.preemption import Preempted, StopRequest
from tests.run.test_train import assert_same, one_device, toy


def test_the_first_interrupt_asks_and_the_second_raises(capfd):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), StopRequest() as stop:
        assert not stop.asked and not stop.requested(1) and stop.exit_code == 0
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.asked and stop.requested(2) and stop.exit_code == 130
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    assert "Ctrl-C again stops at once" in capfd.readouterr().err
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_sigterm_asks_says_so_once_and_leaves_the_exit_code(capfd):
    with StopRequest() as stop:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked and stop.exit_code == 0
        time.sleep(0.2)
    assert capfd.readouterr().err.count("Stopping: the step under way") == 1


def test_a_request_is_heard_while_python_cannot_listen():
    """As where XLA compiles: the handlers wait, and the thread that answers does not."""
    program = (
        "import hashlib; from jaxedit.run import preemption\n"
        "with preemption.StopRequest() as stop:\n"
        "    print('ready', flush=True)\n"
        "    while not stop.asked: hashlib.pbkdf2_hmac('sha256', b'', b'', 8_000_000)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert "Stopping: the step under way, with what it compiles" in process.stderr.readline()
    assert process.poll() is None and process.wait(timeout=20) == 0


def test_a_request_just_before_the_end_is_answered(capfd):
    for _ in range(20):
        with StopRequest():
            os.kill(os.getpid(), signal.SIGTERM)
        assert capfd.readouterr().err.count("Stopping: the step under way") == 1


def test_ignored_interrupts_stay_ignored():
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert not stop.asked
    finally:
        signal.signal(signal.SIGINT, previous)


def test_a_second_interrupt_ends_what_python_cannot_interrupt():
    """As where XLA compiles: the exception of the second one does not end what is under way."""
    program = (
        "import time; from jaxedit.run import preemption; preemption._PATIENCE = 0.2\n"
        "with preemption.StopRequest():\n"
        "    print('ready', flush=True)\n"
        "    end = time.monotonic() + 60\n"
        "    while time.monotonic() < end:\n"
        "        try: time.sleep(60)\n"
        "        except KeyboardInterrupt: pass\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 130
    assert "Interrupted" in process.stderr.read()


@pytest.mark.parametrize("moment", ["restoring", "evaluating", "saving"])
def test_ctrl_c_at_any_moment_saves_and_is_resumed_as_if_it_had_not_been(
    moment, tmp_path, monkeypatch
):
    """The signal is real and comes in the middle of what takes longest."""
    config = toy(
        ("train.steps", "8"), ("train.checkpoint_every", "2"), ("evaluate.limit_in_training", "4")
    )
    straight = train.train(config, tmp_path / "straight", one_device())
    run = tmp_path / "run"
    owner, name = {
        "restoring": (checkpoint.Checkpointer, "restore"),
        "evaluating": (evaluate.Evaluator, "run"),
        "saving": (checkpoint.Checkpointer, "save"),
    }[moment]
    real, signals = getattr(owner, name), [signal.SIGINT]

    def interrupted(*arguments, **rest):
        if signals:
            os.kill(os.getpid(), signals.pop())
        return real(*arguments, **rest)

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, interrupted)
        with pytest.raises(Preempted, match="Asked to stop") as stopped:
            train.train(config, run, one_device())
    assert stopped.value.exit_code == 130
    steps = {"restoring": [], "evaluating": [2, 4], "saving": [2]}[moment]
    assert sorted(int(p.name) for p in run.glob("checkpoints/train/[0-9]*")) == steps
    assert_same(train.train(config, run, one_device()), straight)
    one, other = (folder / "metrics.jsonl" for folder in (tmp_path / "straight", run))
    assert one.read_bytes() == other.read_bytes()
    best = [readers.load_run(folder, "best")[2] for folder in (tmp_path / "straight", run)]
    assert int(best[0].step) == 8 == int(best[1].step)


def test_a_request_during_the_last_save_is_honoured(tmp_path, monkeypatch):
    config = toy(("train.steps", "2"), ("train.evaluate_every", "0"))
    with monkeypatch.context() as patched:
        real = checkpoint.Checkpointer.save

        def interrupted(*arguments, **rest):
            os.kill(os.getpid(), signal.SIGTERM)
            return real(*arguments, **rest)

        patched.setattr(checkpoint.Checkpointer, "save", interrupted)
        with pytest.raises(Preempted, match="Asked to stop: saved step 2 of 2 in") as stopped:
            train.train(config, tmp_path / "run", one_device())
    assert stopped.value.exit_code == 0 and (tmp_path / "run" / "summary.json").is_file()
    assert int(train.train(config, tmp_path / "run", one_device()).step) == 2


def test_after_a_second_interrupt_no_save_is_waited_for(tmp_path, monkeypatch):
    def fail(_):
        raise RuntimeError("the save was cut short")

    saver = checkpoint.Checkpointer(tmp_path, "train")
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.Checkpointer, "wait", fail)
        with pytest.raises(KeyboardInterrupt), saver:
            raise KeyboardInterrupt
        with pytest.raises(RuntimeError, match="cut short"), saver:
            pass
    saver.close()
