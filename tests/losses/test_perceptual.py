"""Perceptual and style losses. The golden test compares their values on VGG-19."""

import jax.numpy as jnp
import numpy as np

from jaxedit.losses import perceptual

RNG = np.random.default_rng(0)
NAMES = set(perceptual.PERCEPTUAL_LAYERS) | set(perceptual.STYLE_LAYERS)
FEATURES = {name: RNG.standard_normal((2, 3, 5, 4)).astype(np.float32) for name in NAMES}


def test_gram_matrix():
    x = FEATURES["relu2_2"]
    expected = np.einsum("bhwc,bhwd->bcd", x, x) / (3 * 5 * 4)
    np.testing.assert_allclose(perceptual.gram(jnp.asarray(x)), expected, rtol=1e-4, atol=1e-6)


def test_zero_for_the_same_and_a_sum_over_layers():
    assert perceptual.perceptual_loss(FEATURES, FEATURES) == 0
    assert perceptual.style_loss(FEATURES, FEATURES) == 0
    shifted = {name: x + 0.5 for name, x in FEATURES.items()}
    np.testing.assert_allclose(
        perceptual.perceptual_loss(shifted, FEATURES), 5 * 0.5, rtol=1e-5
    )


def test_style_does_not_see_where_things_are():
    moved = {name: x[:, ::-1, ::-1] for name, x in FEATURES.items()}
    np.testing.assert_allclose(perceptual.style_loss(moved, FEATURES), 0, atol=1e-6)
    assert perceptual.perceptual_loss(moved, FEATURES) > 0.1
