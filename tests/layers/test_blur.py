"""Gaussian blur against a two-dimensional convolution."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from jaxedit.layers.blur import gaussian_blur


@pytest.mark.parametrize(("size", "deviation"), [(5, 1.0), (31, 4.0)])
def test_blur(size, deviation):
    x = np.random.default_rng(0).random((2, 20, 13, 2)).astype(np.float32)
    offset = np.arange(size) - size // 2
    kernel = np.exp(-(offset[:, None] ** 2 + offset[None] ** 2) / (2 * deviation**2))
    kernel /= kernel.sum()
    expected = np.stack(
        [
            np.stack(
                [
                    signal.convolve2d(image[..., c], kernel)[
                        size // 2 : size // 2 + 20, size // 2 : size // 2 + 13
                    ]
                    for c in range(2)
                ],
                -1,
            )
            for image in x
        ]
    )
    np.testing.assert_allclose(gaussian_blur(jnp.asarray(x), size, deviation), expected, atol=1e-5)


def test_even_size():
    with pytest.raises(ValueError, match="odd number of taps, not 4"):
        gaussian_blur(jnp.zeros((1, 4, 4, 1)), 4, 1.0)
