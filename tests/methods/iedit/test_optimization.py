"""Rates and averages that iEdit's parts share."""

import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from jaxedit.methods.iedit import optimization


def test_averages_forget_the_first_parameters():
    before, params = {"a": jnp.zeros(2)}, {"a": jnp.ones(2)}
    for step, decay in ((0, 2 / 11), (9, 11 / 20), (89, 91 / 100), (10_000, 0.99)):
        found = optimization.average(before, params, 0.99, jnp.int32(step))
        np.testing.assert_allclose(found["a"], 1 - decay, rtol=1e-5)


@pytest.mark.parametrize("schedule, last", [("constant", 0.1), ("cosine", 0.0)])
def test_rates(schedule, last):
    optim = ml_collections.ConfigDict({"lr": 0.1, "schedule": schedule, "warmup": 4})
    rate = optimization.rate(optim, 20)
    np.testing.assert_allclose([rate(0), rate(2), rate(4)], [0.02, 0.06, 0.1], rtol=1e-5)
    np.testing.assert_allclose(rate(20), last, atol=1e-7)
    assert rate(12) == pytest.approx(0.1 if schedule == "constant" else 0.05)
