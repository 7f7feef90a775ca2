"""The contract: what every method is given by `Method` itself."""

import sys

import jax
import ml_collections
import pytest

from jaxedit import method as method_lib
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
    with pytest.raises(UserError, match="layers.convolution='fast' is unknown.*'auto', 'xla'"):
        observed("fast")


def test_a_module_of_ones_own_is_found_where_one_stands(tmp_path, monkeypatch):
    package = tmp_path / "ownpaper"
    package.mkdir()
    (package / "method.py").write_text("def create(config, axis_name): return 'made'\n")
    (package / "broken.py").write_text("import nowhere_to_be_found\n")
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    config = ml_collections.ConfigDict({"method": "ownpaper.method"})
    with pytest.raises(UserError, match="no module 'ownpaper'. Start in the folder that holds own"):
        method_lib.create(config)
    monkeypatch.chdir(tmp_path)
    assert method_lib.create(config) == "made"
    config.method = "ownpaper.broken"
    with pytest.raises(ModuleNotFoundError, match="nowhere_to_be_found"):
        method_lib.create(config)


def test_a_name_without_a_dot_is_a_folder_of_methods():
    with pytest.raises(UserError, match="no folder of jaxedit/methods.*named with a dot"):
        method_lib.create(ml_collections.ConfigDict({"method": "ownpaper"}))
