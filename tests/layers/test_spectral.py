"""Spectral normalisation: PyTorch's order of v, the power iteration, constants of the gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.layers import spectral
from jaxedit.layers.convolution import Conv
from jaxedit.layers.linear import Dense
from jaxedit.run import sharding

RNG = np.random.default_rng(0)
KERNELS = {
    "conv": RNG.standard_normal((4, 3, 5, 7)).astype(np.float32),
    "dense": RNG.standard_normal((5, 7)).astype(np.float32),
}


def torch_matrix(kernel):
    """The kernel in PyTorch's layout, (out, in, h, w), as a matrix."""
    order = (3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)
    kernel = np.transpose(kernel, order)
    return kernel.reshape(kernel.shape[0], -1)


@pytest.mark.parametrize("name", KERNELS)
def test_one_iteration_is_pytorchs(name):
    kernel = KERNELS[name]
    matrix = torch_matrix(kernel)
    u = RNG.standard_normal(7).astype(np.float32)
    v = matrix.T @ u
    v /= np.linalg.norm(v)
    after = matrix @ v
    after /= np.linalg.norm(after)
    found = spectral.iterate({"kernel": kernel}, {"u": jnp.asarray(u), "v": jnp.zeros(v.shape)})
    np.testing.assert_allclose(found["v"], v, atol=1e-6)
    np.testing.assert_allclose(found["u"], after, atol=1e-6)
    np.testing.assert_allclose(
        spectral.sigma(kernel, found["u"], found["v"]), after @ matrix @ v, rtol=1e-5
    )


@pytest.mark.parametrize("name", KERNELS)
def test_iterations_converge_to_the_largest_singular_value(name):
    kernel = KERNELS[name]
    vectors = {"u": jnp.ones(7), "v": jnp.zeros(torch_matrix(kernel).shape[1])}
    for _ in range(200):
        vectors = spectral.iterate({"kernel": kernel}, vectors)
    largest = np.linalg.svd(torch_matrix(kernel), compute_uv=False)[0]
    np.testing.assert_allclose(spectral.sigma(kernel, **vectors), largest, rtol=1e-4)


@pytest.mark.parametrize("layer", [Conv(7, 3, spectral_norm=True), Dense(7, spectral_norm=True)])
def test_layer_divides_by_sigma_and_changes_nothing(layer):
    x = jnp.asarray(RNG.standard_normal((2, 6, 6, 5)), jnp.float32)
    variables = layer.init(jax.random.key(0), x)
    kernel, vectors = variables["params"]["kernel"], variables["spectral"]
    sigma = spectral.sigma(kernel, **vectors)
    plain = layer.clone(spectral_norm=False)
    params = {**variables["params"], "kernel": kernel / sigma}
    y, changed = layer.apply(variables, x, mutable=["spectral"])
    np.testing.assert_allclose(y, plain.apply({"params": params}, x), rtol=1e-4, atol=1e-6)
    for name, before in vectors.items():
        np.testing.assert_array_equal(changed["spectral"][name], before)


def test_vectors_are_constants_of_the_gradient():
    kernel = jnp.asarray(KERNELS["conv"])
    vectors = spectral.iterate({"kernel": kernel}, {"u": jnp.ones(7), "v": jnp.zeros(60)})

    def through_iteration(kernel):
        found = spectral.iterate({"kernel": kernel}, {"u": jnp.ones(7), "v": jnp.zeros(60)})
        return spectral.sigma(kernel, **found)

    direct = jax.grad(lambda kernel: spectral.sigma(kernel, **vectors))(kernel)
    np.testing.assert_allclose(jax.grad(through_iteration)(kernel), direct, atol=1e-6)
    # d sigma / d W = u v^T, in PyTorch's matrix
    np.testing.assert_allclose(
        torch_matrix(np.asarray(direct)), np.outer(vectors["u"], vectors["v"]), atol=1e-6
    )
    of_u = jax.grad(lambda u: spectral.sigma(kernel, u, vectors["v"]))(vectors["u"])
    np.testing.assert_array_equal(of_u, 0)


def test_nested_and_empty_collections():
    params = {"a": {"kernel": KERNELS["dense"], "bias": jnp.zeros(7)}, "b": {"kernel": None}}
    vectors = {"a": {"u": jnp.ones(7), "v": jnp.zeros(5)}}
    assert set(spectral.iterate(params, vectors)) == {"a"}
    assert spectral.iterate(params, {}) == {}


def test_a_kernel_spread_over_two_devices_iterates_as_the_whole():
    kernel = RNG.standard_normal((3, 3, 5, 8)).astype(np.float32)
    vectors = {"u": np.ones(8, np.float32), "v": np.zeros(45, np.float32)}
    mesh = sharding.make_mesh(jax.devices()[:2])
    place = jax.sharding.PartitionSpec(None, None, None, sharding.AXIS)
    spread = jax.device_put(kernel, jax.sharding.NamedSharding(mesh, place))
    iterate = jax.jit(lambda kernel: spectral.iterate({"kernel": kernel}, vectors))
    whole, parts = iterate(kernel), iterate(spread)
    for name in vectors:
        np.testing.assert_allclose(whole[name], parts[name], rtol=1e-5, atol=1e-6)
