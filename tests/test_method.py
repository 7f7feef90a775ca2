"""The contract: what every method is given by `Method` itself."""

import jax
import pytest

from jaxedit.errors import UserError
from jaxedit.layers.convolution import formulation
from tests import toy_method


class Observed(toy_method.Toy):
    """Notes under which convolutions it is traced."""

    def predict(self, state, inputs, rng, *, task):
        self.seen = formulation.mode()
        return {}


def observed(mode):
    config = toy_method.get_config().copy_and_resolve_references()
    with config.unlocked():
        config.layers.convolution = mode
    return Observed(config, None, None)


def test_methods_are_traced_with_their_own_convolutions(monkeypatch):
    monkeypatch.delenv(formulation.VARIABLE, raising=False)
    methods = {mode: observed(mode) for mode in formulation.MODES}
    for mode, method in methods.items():
        jax.jit(lambda m=method: m.predict(None, {}, None, task="inpaint"))()
        assert method.seen == mode
    with formulation.using("xla"):  # as tests of parity do
        methods["auto"].predict(None, {}, None, task="inpaint")
    assert methods["auto"].seen == "xla"
    with pytest.raises(UserError, match="config.layers.convolution is 'fast'.*auto, xla"):
        observed("fast")
