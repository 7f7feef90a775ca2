"""What the system refuses is a sentence; any other error is left to be one."""

import errno
import os
import re

import pytest

from jaxedit import cli
from jaxedit.commands import page
from jaxedit.host import system_errors


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no space left while writing out/x.csv"),
        (errno.EDQUOT, "Free some space"),
        (errno.EMFILE, "too many files .* at out/x.csv.*ulimit"),
        (errno.EROFS, "out/x.csv: Read-only file system. See to it"),
    ],
)
def test_a_command_ends_in_one_message(tmp_path, capsys, monkeypatch, number, words):
    def refused(arguments):
        raise OSError(number, os.strerror(number), "out/x.csv")

    monkeypatch.setattr(page, "main", refused)
    assert cli.main(["report", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("jaxedit report: ")
    assert re.search(words, line)


def test_other_errors_are_not_explained():
    assert system_errors.explain(OSError(errno.ECHILD, "No child", "x")) is None
    assert system_errors.explain(PermissionError(errno.EACCES, "no file is named")) is None
