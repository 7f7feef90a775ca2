"""Group normalisation and its own gradient against the definition differentiated by JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxedit.layers.group_norm import GroupNorm, group_norm


def definition(x, scale, bias, groups, epsilon, silu):
    parts = x.reshape(x.shape[0], -1, groups, x.shape[-1] // groups)
    mean = parts.mean((1, 3), keepdims=True)
    variance = jnp.square(parts - mean).mean((1, 3), keepdims=True)
    u = ((parts - mean) / jnp.sqrt(variance + epsilon)).reshape(x.shape) * scale + bias
    return u * jax.nn.sigmoid(u) if silu else u


def quickly(function):
    """Compiled as one program, without optimising the machine code."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def draw(*shape):
    rng = np.random.default_rng(0)
    channels = shape[-1]
    return (
        (3 + 2 * rng.standard_normal(shape)).astype(np.float32),
        rng.uniform(0.5, 2, channels).astype(np.float32),
        rng.standard_normal(channels).astype(np.float32),
    )


@settings(max_examples=8, derandomize=True, deadline=None)
@given(
    st.integers(1, 3), st.sampled_from([(4, 4), (5, 7), (3,), (16,)]),
    st.sampled_from([(1, 4), (4, 8), (6, 6)]), st.booleans(),
)
def test_values_and_gradients(batch, size, channels, silu):
    groups, features = channels
    x, scale, bias = draw(batch, *size, features)
    weight = np.random.default_rng(1).standard_normal(x.shape).astype(np.float32)

    def loss(function):
        return quickly(jax.value_and_grad(lambda *a: (weight * function(*a)).sum(), (0, 1, 2)))

    found = loss(lambda *a: group_norm(*a, groups=groups, epsilon=1e-3, silu=silu))
    expected = loss(lambda *a: definition(*a, groups, 1e-3, silu))
    for a, b in zip(
        jax.tree.leaves(found(x, scale, bias)), jax.tree.leaves(expected(x, scale, bias)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5 * max(1, np.abs(b).max()))


def test_against_float64_far_from_zero():
    """A mean of a hundred deviations does not cost more than its own rounding."""
    x, scale, bias = draw(2, 16, 16, 8)
    x = x + 200
    y = group_norm(x, scale, bias, groups=2)
    parts = x.astype(np.float64).reshape(2, 256, 2, 4)
    mean, variance = parts.mean((1, 3), keepdims=True), parts.var((1, 3), keepdims=True)
    expected = ((parts - mean) / np.sqrt(variance + 1e-5)).reshape(x.shape) * scale + bias
    np.testing.assert_allclose(y, expected, atol=1e-4)


@pytest.mark.parametrize("silu", [True, False])
def test_gradient_of_a_gradient(silu):
    x, scale, bias = draw(2, 4, 4, 4)

    def penalty(function):
        slope = jax.grad(lambda x, scale: (function(x, scale, bias) ** 3).sum())
        steep = lambda x, scale: (slope(x, scale) ** 2).sum()
        return quickly(jax.grad(steep, (0, 1)))(x, scale)

    ours = penalty(lambda *a: group_norm(*a, groups=2, silu=silu))
    theirs = penalty(lambda *a: definition(*a, 2, 1e-5, silu))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max())


def test_layer():
    layer = GroupNorm(groups=2, silu=True, dtype=jnp.bfloat16)
    x = draw(1, 4, 4, 6)[0]
    variables = layer.init(jax.random.key(0), x)
    assert {name: v.shape for name, v in variables["params"].items()} == {
        "scale": (6,), "bias": (6,),
    }
    assert layer.apply(variables, x).dtype == jnp.bfloat16
    with pytest.raises(ValueError, match="6 channels do not divide into 4 groups"):
        GroupNorm(groups=4).init(jax.random.key(0), x)
