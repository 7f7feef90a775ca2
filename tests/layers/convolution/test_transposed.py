"""Transposed convolution: its definition, both modes and their gradients, spectral norm."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.layers import spectral
from jaxedit.layers.convolution import formulation
from jaxedit.layers.convolution.transposed import ConvTranspose, conv_transpose2d
from jaxedit.layers.convolution.trilinear import Geometry
from tests.layers.convolution import tap_by_tap

RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def scattered(x, kernel, stride, padding):
    """Every input pixel adds its multiple of the kernel, which is PyTorch's definition."""
    batch, height, width, _ = x.shape
    size, _, outputs, _ = kernel.shape
    full = np.zeros(
        (batch, (height - 1) * stride + size, (width - 1) * stride + size, outputs)
    )
    for i in range(height):
        for j in range(width):
            patch = np.einsum("bi,kloi->bklo", x[:, i, j], kernel)
            full[:, i * stride : i * stride + size, j * stride : j * stride + size] += patch
    return full[:, padding : full.shape[1] - padding, padding : full.shape[2] - padding]


@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(4, 2, 1), (3, 2, 1), (2, 2, 0), (3, 1, 1)]
)
def test_definition(size, stride, padding):
    x, kernel = draw(2, 3, 4, 5), draw(size, size, 2, 5)
    y = conv_transpose2d(x, kernel, stride=stride, padding=padding)
    np.testing.assert_allclose(y, scattered(x, kernel, stride, padding), atol=2e-5)


@pytest.mark.parametrize("mode", formulation.MODES)
def test_both_modes_and_their_gradients_agree(mode):
    """Large enough for the table to choose a formulation; the reference goes tap by tap."""
    geometry = Geometry((2, 64, 48, 24), (4, 4, 24, 32), 2, 1)
    g, kernel, x = tap_by_tap.draw(geometry)
    expected = tap_by_tap.functions(geometry, g, kernel, x)
    with formulation.using(mode):
        assert (formulation.choose(geometry, x.dtype) is None) == (mode == "xla")
        y, pull = jax.vjp(conv_transpose2d, x, kernel)
        of_x, of_kernel = pull(g)
    assert tap_by_tap.relative_error(y, expected["input_gradient"]) < 5e-6
    assert tap_by_tap.relative_error(of_x, expected["forward"]) < 5e-6
    assert tap_by_tap.relative_error(of_kernel, expected["kernel_gradient"]) < 5e-6


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
@pytest.mark.parametrize("mode", formulation.MODES)
def test_accelerators_get_one_plain_convolution(platform, mode):
    shapes = [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((1, 16, 16, 64), (4, 4, 64, 64))]
    with formulation.using(mode):
        program = jax.export.export(jax.jit(conv_transpose2d), platforms=[platform])(*shapes)
    assert program.mlir_module().count("stablehlo.convolution") == 1


def test_spectral_norm_has_the_input_channels_as_rows():
    layer = ConvTranspose(3, spectral_norm=True)
    x = draw(1, 2, 2, 7)
    variables = layer.init(jax.random.key(0), x)
    kernel, vectors = variables["params"]["kernel"], variables["spectral"]
    assert vectors["u"].shape == (7,) and vectors["v"].shape == (48,)
    iterate = jax.jit(spectral.iterate)
    for _ in range(50):
        vectors = iterate(variables["params"], vectors)
    matrix = np.transpose(kernel, (3, 2, 0, 1)).reshape(7, -1)  # PyTorch's (I, O, h, w)
    largest = np.linalg.svd(matrix, compute_uv=False)[0]
    np.testing.assert_allclose(vectors["u"] @ matrix @ vectors["v"], largest, rtol=1e-3)
    y = layer.apply({**variables, "spectral": vectors}, x)
    expected = conv_transpose2d(x, kernel / spectral.sigma(kernel, **vectors))
    np.testing.assert_allclose(y, expected, atol=1e-6)


def test_half_precision():
    layer = ConvTranspose(3, dtype=jnp.bfloat16)
    variables = layer.init(jax.random.key(0), draw(1, 2, 2, 7))
    assert variables["params"]["kernel"].dtype == jnp.float32
    assert "spectral" not in variables
    gradient = jax.grad(lambda v: layer.apply(v, draw(1, 2, 2, 7)).astype(jnp.float32).sum())
    assert gradient(variables)["params"]["kernel"].dtype == jnp.float32
