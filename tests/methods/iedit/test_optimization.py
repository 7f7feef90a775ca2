"""Averages that iEdit's parts share."""

import jax.numpy as jnp
import numpy as np

from jaxedit.methods.iedit import optimization


def test_averages_forget_the_first_parameters():
    before, params = {"a": jnp.zeros(2)}, {"a": jnp.ones(2)}
    for step, decay in ((0, 2 / 11), (9, 11 / 20), (89, 91 / 100), (10_000, 0.99)):
        found = optimization.average(before, params, 0.99, jnp.int32(step))
        np.testing.assert_allclose(found["a"], 1 - decay, rtol=1e-5)
