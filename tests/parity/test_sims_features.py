"""The feature loss of SIMS against an independent reference."""

import jax
import pytest

from jaxedit.methods.sims import features
from tests.parity import golden, sims_files


@pytest.mark.parametrize("path", golden.goldens("feature_loss", "sims"), ids=golden.name_of)
def test_feature_loss(path):
    file = sims_files.load(path)
    real, fake = file.arrays["real"], file.arrays["fake"]
    network = features.network(file.info["parameters"]["conv1_1.bias"][0])
    variables = file.variables(network, jax.ShapeDtypeStruct(real.shape, real.dtype))
    of = features.of_random(network, variables)
    total, terms = jax.jit(lambda: features.loss(real, fake, of, file.info["lambdas"]))()
    file.compare("terms", terms)
    file.compare("total", total[None])
    assert file.info["lambdas"] == pytest.approx(features.WEIGHTS)
