"""StyleGAN2 beyond its parity: widths, styles, errors, and derivatives of derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.models.stylegan2 import generator as generator_lib
from jaxedit.models.stylegan2.discriminator import Discriminator, minibatch_deviation
from jaxedit.models.stylegan2.generator import Generator
from jaxedit.models.stylegan2.layers import channels
from tests.fake_run import drawn

SMALL = Generator(8, style_width=6, mapping_layers=2, channel_multiplier=0.01, most_channels=5)


@pytest.fixture(scope="module")
def variables():
    return drawn(jax.eval_shape(SMALL.init, jax.random.key(0), jnp.zeros((1, 6))))


def test_published_widths():
    sides = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
    assert [channels(s, 2, 512) for s in sides] == [512] * 5 + [256, 128, 64, 32]
    assert [channels(s, 1, 512) for s in sides] == [512] * 4 + [256, 128, 64, 32, 16]
    shapes = jax.eval_shape(Generator(1024).init, jax.random.key(0), jnp.zeros((1, 512)))
    assert shapes["params"]["convs_15"]["conv"]["kernel"].shape == (3, 3, 32, 32)
    assert generator_lib.code_count(1024) == 18 and len(shapes["noise"]) == 17


def test_taps_injection_and_styles(variables):
    codes = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 6)), jnp.float32)
    apply = lambda codes, **options: SMALL.apply(
        variables, codes, method="synthesise", **options
    )
    picture, tapped = apply(codes, taps=(8,))
    assert picture.shape == (2, 8, 8, 3) and tapped[8].shape[:3] == (2, 8, 8)
    same, _ = apply(codes, inject=tapped)
    np.testing.assert_allclose(same, picture, rtol=1e-5, atol=1e-5)
    other, _ = apply(codes, inject={8: tapped[8] + 1})
    assert np.abs(other - picture).max() > 1e-3
    # Style 2 is the first convolution's at 8 pixels: with it injected, the style has no effect.
    offset = {2: jnp.ones(variables["params"]["convs_0"]["conv"]["modulation"]["bias"].shape)}
    moved, _ = apply(codes, style_offsets=offset)
    assert np.abs(moved - picture).max() > 1e-4
    unmoved, _ = apply(codes, style_offsets=offset, inject=tapped)
    np.testing.assert_allclose(unmoved, picture, rtol=1e-5, atol=1e-5)
    with pytest.raises(UserError, match="no map of 16 pixels to tap; there are 8"):
        apply(codes, taps=(16,))


def test_penalties_have_gradients(variables):
    """R1 and path length are gradients of gradients: reverse over reverse, finite differences."""
    discriminator = Discriminator(8, channel_multiplier=0.01, most_channels=5)
    image = jnp.asarray(np.random.default_rng(1).normal(size=(4, 8, 8, 3)), jnp.float32)
    judge = drawn(jax.eval_shape(discriminator.init, jax.random.key(0), image))

    def penalty(judge):
        gradient = jax.grad(lambda x: discriminator.apply(judge, x).sum())(image)
        return jnp.square(gradient).sum((1, 2, 3)).mean()

    gradient = jax.jit(jax.grad(penalty))(judge)
    direction = jax.tree.map(jnp.sign, gradient)
    step = 1e-3
    at = jax.jit(lambda by: penalty(jax.tree.map(lambda p, d: p + by * d, judge, direction)))
    moved = [float(at(step)), float(at(-step))]
    expected = sum(float(jnp.abs(leaf).sum()) for leaf in jax.tree.leaves(gradient))
    assert (moved[0] - moved[1]) / (2 * step) == pytest.approx(expected, rel=0.02)


def test_groups_of_the_minibatch():
    x = jnp.asarray(np.random.default_rng(2).normal(size=(6, 2, 2, 3)), jnp.float32)
    found = minibatch_deviation(x, 4)  # groups of three: 0 2 4 and 1 3 5
    for start in (0, 1):
        expected = np.sqrt(np.var(np.asarray(x)[start::2], 0) + 1e-8).mean()
        np.testing.assert_allclose(found[start::2, ..., 3], expected, rtol=1e-5)
    np.testing.assert_allclose(minibatch_deviation(x[:1])[..., 3], 1e-4, rtol=1e-3)


def test_impossible_sizes():
    code, image = jnp.zeros((1, 512)), jnp.zeros((1, 12, 12, 3))
    for network, given in (
        (Generator(12), code), (Generator(4), code), (Discriminator(12), image)
    ):
        with pytest.raises(UserError, match="power of two from 8 on"):
            jax.eval_shape(network.init, jax.random.key(0), given)
    with pytest.raises(UserError, match="16 pixels and the pictures have 8 x 8"):
        jax.eval_shape(Discriminator(16).init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
