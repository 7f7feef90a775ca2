"""Modulated convolution against the equations, with a kernel for every sample."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxedit.layers.convolution.modulated import modulated_conv2d

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 6, 5, 4)).astype(np.float32)
KERNEL = RNG.standard_normal((3, 3, 4, 7)).astype(np.float32)
STYLE = RNG.uniform(0.2, 2.0, (2, 4)).astype(np.float32)


def as_published(x, kernel, style, demodulate=True):
    """Equations 1-3 to the letter: one kernel per sample."""
    kernels = kernel[None] * style[:, None, None, :, None]
    if demodulate:
        kernels = kernels / jnp.sqrt((kernels**2).sum((1, 2, 3), keepdims=True) + 1e-8)
    convolve = lambda x, kernel: lax.conv_general_dilated(
        x[None], kernel, (1, 1), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )[0]
    return jax.vmap(convolve)(x, kernels)


@pytest.mark.parametrize("demodulate", [True, False])
def test_values_and_gradients(demodulate):
    loss = lambda function: jax.jit(jax.value_and_grad(
        lambda *arguments: (function(*arguments, demodulate=demodulate) ** 3).sum(), (0, 1, 2)
    ))
    found = loss(modulated_conv2d)(X, KERNEL, STYLE)
    expected = loss(as_published)(X, KERNEL, STYLE)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.abs(b).max())


def test_output_maps_have_unit_variance():
    x = RNG.standard_normal((2, 64, 64, 4)).astype(np.float32)
    y = modulated_conv2d(x, KERNEL, 100 * STYLE)
    np.testing.assert_allclose(y[:, 1:-1, 1:-1].std((1, 2)), 1, atol=0.1)


def test_another_convolution():
    half = lambda x, kernel: lax.conv_general_dilated(
        x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    y = modulated_conv2d(X, KERNEL, STYLE, convolve=half)
    np.testing.assert_allclose(y, as_published(X, KERNEL, STYLE)[:, ::2, ::2], atol=1e-4)


def test_even_kernel_needs_a_convolution():
    with pytest.raises(ValueError, match="cannot keep the size"):
        modulated_conv2d(X, KERNEL[:2, :2], STYLE)
