"""3-D convolutions by 2-D ones against sums over taps in NumPy, and gradients against JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxedit.layers.convolution import folded

RNG = np.random.default_rng(0)
_LAYOUT = ("NDHWC", "DHWIO", "NDHWC")


def native(x, kernel, strides=1, padding=(0, 0)):
    pads = [(padding[0],) * 2, (padding[1],) * 2, (padding[1],) * 2]
    return lax.conv_general_dilated(
        x, kernel, (strides,) * 3, pads, dimension_numbers=_LAYOUT, precision="highest"
    )


def draw(*shape):
    return jnp.asarray(RNG.standard_normal(shape), jnp.float32)


@pytest.mark.parametrize("size, strides, padding", [
    ((3, 3, 3), 1, (1, 1)), ((3, 3, 3), 2, (1, 1)), ((1, 5, 5), 1, (0, 2)), ((1, 1, 1), 1, (0, 0)),
])
def test_convolution(size, strides, padding):
    x, kernel = draw(2, 6, 8, 4, 3), draw(*size, 3, 5)
    folded_one = lambda x, k: folded.conv3d(x, k, strides=strides, padding=padding)
    plain_one = lambda x, k: native(x, k, strides, padding)
    y, pull = jax.vjp(folded_one, x, kernel)
    expected, pull_plain = jax.vjp(plain_one, x, kernel)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
    g = draw(*y.shape)
    for ours, theirs in zip(pull(g), pull_plain(g), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-3)


def test_transposed_convolution_is_its_gradient():
    """By its definition: the gradient of the convolution of 4 with stride 2 and padding 1."""
    x, kernel = draw(2, 3, 4, 2, 5), draw(4, 4, 4, 3, 5)
    result = folded.conv_transpose3d(x, kernel)
    assert result.shape == (2, 6, 8, 4, 3)
    _, pull = jax.vjp(lambda y: native(y, kernel, 2, (1, 1)), jnp.zeros(result.shape))
    np.testing.assert_allclose(result, pull(x)[0], rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="not \\(4, 4, 4\\)"):
        folded.conv_transpose3d(x, kernel[:3])
