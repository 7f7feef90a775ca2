"""Batch normalisation: PyTorch's statistics, on one device and joined over several.

Normalisation of a sample as a whole, in both precisions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.layers.normalization import BatchNorm, SampleNorm

RNG = np.random.default_rng(0)
X = (3 + 2 * RNG.standard_normal((4, 3, 2, 5))).astype(np.float32)
VARIABLES = {
    "params": {
        "scale": RNG.standard_normal(5).astype(np.float32),
        "bias": RNG.standard_normal(5).astype(np.float32),
    },
    "batch_stats": {
        "mean": RNG.standard_normal(5).astype(np.float32),
        "var": (1 + RNG.random(5)).astype(np.float32),
    },
}


def reference(x, mean, variance):
    params = VARIABLES["params"]
    return (x - mean) / np.sqrt(variance + 1e-5) * params["scale"] + params["bias"]


def test_training_uses_the_batch_and_remembers_the_unbiased_variance():
    y, changed = BatchNorm().apply(VARIABLES, X, train=True, mutable=["batch_stats"])
    flat = X.reshape(-1, 5).astype(np.float64)
    expected = reference(flat, flat.mean(0), flat.var(0)).reshape(X.shape)
    np.testing.assert_allclose(y, expected, atol=2e-6)
    before, after = VARIABLES["batch_stats"], changed["batch_stats"]
    np.testing.assert_allclose(after["mean"], 0.9 * before["mean"] + 0.1 * flat.mean(0), rtol=1e-6)
    np.testing.assert_allclose(
        after["var"], 0.9 * before["var"] + 0.1 * flat.var(0, ddof=1), rtol=1e-6
    )


def test_evaluation_uses_what_was_remembered_and_changes_nothing():
    y = BatchNorm().apply(VARIABLES, X, train=False)
    np.testing.assert_allclose(y, reference(X, **{
        "mean": VARIABLES["batch_stats"]["mean"], "variance": VARIABLES["batch_stats"]["var"]
    }), atol=2e-6)


@pytest.mark.parametrize("mode", ["pmap", "sharded jit"])
def test_statistics_are_those_of_the_whole_batch_on_several_devices(mode):
    whole, changed = BatchNorm().apply(VARIABLES, X, train=True, mutable=["batch_stats"])
    if mode == "pmap":
        layer = BatchNorm(axis_name="batch")
        run = functools.partial(layer.apply, VARIABLES, train=True, mutable=["batch_stats"])
        y, after = jax.pmap(run, "batch", devices=jax.devices()[:2])(X.reshape(2, 2, 3, 2, 5))
        y = y.reshape(X.shape)
        after = jax.tree.map(lambda a: a[1], after)
    else:
        mesh = jax.make_mesh(
            (2,), ("batch",), devices=jax.devices()[:2], axis_types=(jax.sharding.AxisType.Auto,)
        )
        sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
        run = functools.partial(BatchNorm().apply, train=True, mutable=["batch_stats"])
        y, after = jax.jit(run)(VARIABLES, jax.device_put(X, sharding))
    np.testing.assert_allclose(y, whole, atol=1e-5)
    for name, value in changed["batch_stats"].items():
        np.testing.assert_allclose(after["batch_stats"][name], value, rtol=1e-6)


def test_initialisation_remembers_nothing_and_needs_no_mapped_axis():
    for train in (True, False):
        variables = BatchNorm(axis_name="batch").init(jax.random.key(0), X, train=train)
        np.testing.assert_array_equal(variables["batch_stats"]["mean"], 0)
        np.testing.assert_array_equal(variables["batch_stats"]["var"], 1)


def test_half_precision_keeps_float32_statistics():
    layer = BatchNorm(dtype=jnp.bfloat16)
    x = jnp.asarray(X, jnp.bfloat16) + 100
    y, after = layer.apply(VARIABLES, x, train=True, mutable=["batch_stats"])
    assert y.dtype == jnp.bfloat16 and after["batch_stats"]["var"].dtype == jnp.float32
    expected = 0.9 * VARIABLES["batch_stats"]["mean"] + 0.1 * np.float32(x).mean((0, 1, 2))
    np.testing.assert_allclose(after["batch_stats"]["mean"], expected, rtol=1e-5)


def test_a_sample_is_normalised_as_a_whole():
    variables = {"params": VARIABLES["params"]}
    flat = X.reshape(4, -1).astype(np.float64)
    mean, deviation = flat.mean(1), flat.std(1)
    expected = (X - mean[:, None, None, None]) / deviation[:, None, None, None]
    expected = expected * variables["params"]["scale"] + variables["params"]["bias"]
    np.testing.assert_allclose(SampleNorm().apply(variables, X), expected, atol=1e-5)
    # In bfloat16 the sum over 2^16 equal values would stall.
    large = jnp.concatenate([jnp.ones((1, 256, 256, 1)), 3 * jnp.ones((1, 256, 256, 1))], -1)
    norm = SampleNorm(dtype=jnp.bfloat16)
    y = norm.apply(norm.init(jax.random.key(0), large), large.astype(jnp.bfloat16))
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.unique(np.asarray(y, np.float32)), [-1, 1])
