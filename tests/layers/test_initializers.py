"""Initialisers: PyTorch's bounds, 1 / sqrt(fan-in)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.layers import initializers


@pytest.mark.parametrize(("shape", "fan_in"), [((3, 3, 16, 40), 144), ((25, 300), 25)])
def test_kernels_and_biases_are_uniform_within_the_bound(shape, fan_in):
    bound = fan_in**-0.5
    kernel = initializers.torch_kernel(jax.random.key(0), shape, jnp.float32)
    bias = initializers.torch_bias(fan_in)(jax.random.key(1), (5000,), jnp.float32)
    for values in (kernel, bias):
        assert 0.99 * bound < np.abs(values).max() <= bound * (1 + 1e-6)
        np.testing.assert_allclose(values.std(), bound / 3**0.5, rtol=0.03)
        assert abs(values.mean()) < 0.05 * bound


def test_an_initialiser_is_traced_once_for_a_shape():
    shapes = []

    def initialise(rng, shape, dtype):
        shapes.append(shape)
        return jax.random.normal(rng, shape, dtype)

    class Layer(nn.Module):
        features: int

        @nn.compact
        def __call__(self, x):
            return x @ initializers.parameter(self, "kernel", initialise, (3, self.features))

    x = jnp.ones((1, 3))
    params = {n: Layer(n).init(jax.random.key(n), x)["params"] for n in (2, 5)}
    for n in (2, 5, 2, 5):
        jax.eval_shape(lambda n=n: Layer(n).apply({"params": params[n]}, x))
    assert shapes == [(3, 2), (3, 5)]
    assert (params[2]["kernel"] != Layer(2).init(jax.random.key(9), x)["params"]["kernel"]).all()
