"""SDIC's two networks, DIPN and DICN, against the published ones."""

import jax
import pytest

from jaxedit.methods.sdic import weights
from jaxedit.methods.sdic.dicn import DICN
from jaxedit.methods.sdic.dipn import DIPN
from jaxedit.weights import table
from tests.parity import golden
from tests.parity.sdic_files import SdicFile


def outputs(module, variables, *inputs):
    """Returns what the network gives, and name -> what it sows, however deep."""
    apply = lambda variables, *inputs: module.apply(variables, *inputs, mutable=["intermediates"])
    found, state = jax.jit(apply)(variables, *inputs)
    sown = jax.tree_util.tree_flatten_with_path(state["intermediates"])[0]
    return found, {path[-2].key: array for path, array in sown}


@pytest.mark.parametrize("path", golden.goldens("dipn", "sdic"), ids=golden.name_of)
def test_sdic_dipn(path):
    file = SdicFile(path)
    assert set(file.config) == {"maxdisp", "input"}
    assert {name.removesuffix(".*") for name in weights.DIPN_UNUSED} == set(file.info["unused"])
    module = DIPN()
    pair = [golden.to_nhwc(file.input(name)) for name in ("original", "initial")]
    expected = jax.eval_shape(module.init, jax.random.key(0), *pair)
    variables = table.to_jax(
        weights.dipn_table(), weights.prepare_dipn(file.published()), expected
    )
    found, sown = outputs(module, variables, *pair)
    file.compare_all({"discrepancy": found, **sown})


@pytest.mark.parametrize("path", golden.goldens("dicn", "sdic"), ids=golden.name_of)
def test_sdic_dicn(path):
    file = SdicFile(path)
    assert set(file.config) == {"n_latent", "change", "input"}
    unused = {name.removesuffix(".*") for name in weights.DICN_UNUSED}
    assert unused - {"aff1d.agg"} == set(file.info["unused"]) - {"aff1d.agg"}
    discrepancy, feature = (golden.to_nhwc(file.input(n)) for n in ("discrepancy", "feature"))
    codes = file.input("codes")
    assert codes.shape[1] == file.config["n_latent"]
    published = file.published()
    described = weights.describe_dicn(
        {name: array.shape for name, array in published.items()}, codes.shape[2]
    )
    module = DICN(**described)
    expected = jax.eval_shape(module.init, jax.random.key(0), discrepancy, feature, codes)
    variables = table.to_jax(weights.dicn_table(), weights.prepare_dicn(published), expected)
    found, sown = outputs(module, variables, discrepancy, feature, codes)
    file.compare_all({"feature_out": found[0], "codes_out": found[1], **sown})
