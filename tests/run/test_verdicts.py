"""Several processes agree on a checkpoint before any of them moves it."""

import errno

import numpy as np
import pytest

from jaxedit.host import manifests
from jaxedit.run import damage, verdicts

GOOD, DAMAGED, UNFIT, PASSING = verdicts.GOOD, verdicts.DAMAGED, verdicts.UNFIT, verdicts.PASSING


@pytest.fixture
def others(monkeypatch):
    """What the second of two processes says, in turn."""
    answers = []
    monkeypatch.setattr(verdicts.jax, "process_count", lambda: 2)
    monkeypatch.setattr(
        verdicts.multihost_utils, "process_allgather",
        lambda own: np.array([own, answers.pop(0)]),
    )
    monkeypatch.setattr(damage.time, "sleep", lambda _: None)
    return answers


@pytest.mark.parametrize(
    ("second", "verdict", "reads"),
    [
        ([GOOD, GOOD], GOOD, 1),
        ([DAMAGED], DAMAGED, 0),
        ([GOOD, DAMAGED], DAMAGED, 1),
        ([GOOD, PASSING], PASSING, 1),
    ],
)
def test_the_worst_verdict_is_that_of_all(tmp_path, others, second, verdict, reads):
    others += second
    read = []
    found = verdicts.attempt(tmp_path, lambda: read.append(1) or "state")
    assert found[0] == verdict and len(read) == reads and not others
    assert verdict == GOOD or "another process" in found[2]


@pytest.mark.parametrize(
    ("error", "sealed", "verdict"),
    [
        (ValueError("undecodable"), False, DAMAGED),
        (ValueError("another shape"), True, UNFIT),
        (damage.Damaged("params is NaN"), True, DAMAGED),
        (OSError(errno.EIO, "x"), False, PASSING),
    ],
)
def test_an_error_of_this_process_counts_for_all(tmp_path, others, error, sealed, verdict):
    others += [GOOD, GOOD]
    if sealed:
        manifests.seal(tmp_path)

    def read():
        raise error

    assert verdicts.attempt(tmp_path, read)[0] == verdict
