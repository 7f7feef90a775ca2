"""The restart with large pages: when, with which environment, and that the command stays whole."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from jaxedit.host import large_pages

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = """
import json, os, sys
from jaxedit.host import large_pages
print("once", file=sys.stderr)
large_pages.restart()
print(json.dumps([os.getpid(), sys.argv, sys.flags.optimize, os.environ.get("GLIBC_TUNABLES")]))
"""


@pytest.fixture
def willing(monkeypatch, tmp_path):
    """A machine with a kernel and a library that give large pages to those who ask."""
    kernel = tmp_path / "enabled"
    kernel.write_text("always [madvise] never\n")
    monkeypatch.setattr(large_pages, "_KERNEL", kernel)
    monkeypatch.setattr(large_pages, "_glibc", lambda: (2, 39))
    return kernel


def test_when_there_is_something_to_gain(willing, monkeypatch):
    assert large_pages.obstacle({}) == ""
    assert large_pages.obstacle({"GLIBC_TUNABLES": "glibc.malloc.check=1"}) == ""
    assert "JAXEDIT_LARGE_PAGES=0" in large_pages.obstacle({"JAXEDIT_LARGE_PAGES": "0"})
    assert "hugetlb=0" in large_pages.obstacle({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"})
    willing.write_text("[always] madvise never\n")
    assert "[always]" in large_pages.obstacle({})
    willing.unlink()
    assert "no" in large_pages.obstacle({})
    monkeypatch.setattr(large_pages, "_glibc", lambda: (2, 31))
    assert "2.35" in large_pages.obstacle({})


def test_settings_of_the_user_stay():
    found = large_pages.with_tunable({"GLIBC_TUNABLES": "glibc.malloc.check=1", "HOME": "/home"})
    assert found == {
        "GLIBC_TUNABLES": "glibc.malloc.check=1:glibc.malloc.hugetlb=1", "HOME": "/home"
    }
    assert large_pages.with_tunable({}) == {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


def test_the_restart_executes_the_same_command(willing, monkeypatch):
    calls = []
    monkeypatch.setattr(os, "environ", {"A": "b"})
    monkeypatch.setattr(os, "execve", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "jaxedit.main", "--config=a b"])
    monkeypatch.setattr(sys, "gettrace", lambda: None)
    large_pages.restart()
    command = [sys.executable, "-m", "jaxedit.main", "--config=a b"]
    tunables = {"A": "b", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    assert calls == [(sys.executable, command, tunables)]
    monkeypatch.setattr(sys, "gettrace", lambda: print)
    large_pages.restart()
    assert len(calls) == 1, "under a debugger"


def test_a_failing_restart_goes_on(willing, monkeypatch):
    def refuse(*arguments):
        raise PermissionError

    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(os, "execve", refuse)
    large_pages.restart()


@pytest.mark.parametrize("wanted", ["1", "0"])
def test_a_real_process(wanted):
    """It has at most one predecessor of the same number, and its own arguments."""
    environment = {key: value for key, value in os.environ.items() if key != "GLIBC_TUNABLES"}
    environment["JAXEDIT_LARGE_PAGES"] = wanted
    process = subprocess.Popen(
        [sys.executable, "-O", "-c", PROGRAM, "one", "two words"], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )
    output, errors = process.communicate(timeout=120)
    number, arguments, optimize, tunables = json.loads(output)
    assert number == process.pid and arguments == ["-c", "one", "two words"]
    assert optimize == 1
    restarted = large_pages.obstacle(environment) == ""
    assert errors.count("once") == 1 + restarted
    assert (tunables == "glibc.malloc.hugetlb=1") == restarted
