"""Requests to stop: the first Ctrl-C is one, the second ends the process at once."""

import os
import signal
import subprocess
import sys
import time

import pytest

from jaxedit.run.preemption import StopRequest


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


def test_sigterm_asks_and_leaves_the_exit_code():
    with StopRequest() as stop:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked and stop.exit_code == 0


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
