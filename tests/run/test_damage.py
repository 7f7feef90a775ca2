"""Damage is told from errors that pass, which are tried again."""

import errno

import pytest

from jaxedit.run import damage


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (OSError(errno.EIO, "Input/output error"), True),
        (OSError(errno.EMFILE, "Too many open files"), True),
        (PermissionError(errno.EACCES, "Permission denied"), True),
        (MemoryError(), True),
        (ValueError("INTERNAL: Error reading x [OS error 116: ESTALE Stale file handle]"), True),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), True),
        (caused(ValueError("cannot restore"), OSError(errno.ETIMEDOUT, "timed out")), True),
        (ExceptionGroup("two", [ValueError("x"), OSError(errno.EIO, "x")]), True),
        (FileNotFoundError(errno.ENOENT, "No such file"), False),
        (ValueError("DATA_LOSS: checksum differs"), False),
        (ValueError("NOT_FOUND: Error opening zarr [OS error 2: ENOENT No such file]"), False),
        (damage.Damaged("params/x is NaN"), False),
    ],
)
def test_passing_errors_are_told_from_damage(error, passing):
    assert damage.is_passing(error) is passing


@pytest.fixture
def waits(monkeypatch):
    slept = []
    monkeypatch.setattr(damage.time, "sleep", slept.append)
    return slept


def test_a_passing_error_is_tried_again_and_damage_is_not(waits):
    answers = [OSError(errno.EIO, "x"), OSError(errno.ESTALE, "x"), "read"]

    def read():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert damage.retry(read) == "read" and len(waits) == 2
    answers[:] = [ValueError("bad"), "never"]
    with pytest.raises(ValueError, match="bad"):
        damage.retry(read)
    answers[:] = [KeyboardInterrupt(), "never"]
    with pytest.raises(KeyboardInterrupt):
        damage.retry(lambda: (_ for _ in ()).throw(answers.pop(0)))


def test_an_error_that_does_not_pass_is_raised_in_the_end(waits):
    def read():
        raise OSError(errno.EIO, "x")

    with pytest.raises(OSError, match="x"):
        damage.retry(read)
    assert waits == list(damage.WAITS)
