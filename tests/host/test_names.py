"""Names that a person types."""

import pytest

from jaxedit.errors import UserError
from jaxedit.host.names import check_choice, did_you_mean


@pytest.mark.parametrize(
    "name, hint",
    [("lerning_rate", " Did you mean 'learning_rate'?"), ("train.lr", " Did you mean 'optim.lr'?"),
     ("zebra", "")],
)
def test_did_you_mean(name, hint):
    assert did_you_mean(name, ["learning_rate", "optim.lr"]) == hint


def test_check_choice():
    check_choice("mode", "jit", ("jit", "pmap"))
    with pytest.raises(UserError, match="mode='pmop' is unknown: use one of 'jit', 'pmap'. Did"):
        check_choice("mode", "pmop", ("jit", "pmap"))
    with pytest.raises(UserError, match="a.py: mode='pmop' is"):
        check_choice("a.py: mode", "pmop", ("jit", "pmap"))
    with pytest.raises(UserError, match="The mode 'pmop' is"):
        check_choice("The mode", "pmop", ("jit", "pmap"))
    check_choice("moving", False, (False, True))
