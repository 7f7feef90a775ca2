"""The affine warp beyond its golden files: gradients, rounding, warps that do not help."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.methods.sims import affine, ordering_network, placing

IMAGE = jnp.asarray(np.random.default_rng(0).random((2, 9, 7, 3)), jnp.float32)
SHIFT = jnp.asarray([[1, 0, 2.4, 0, 1, -1.2]], jnp.float32)


@pytest.mark.parametrize("rule", affine.RULES)
def test_gradient_of_the_map(rule):
    # Dark at the rim, so that no sample jumps where it leaves the picture.
    y, x = np.mgrid[:9, :7]
    smooth = np.sin(np.pi * y / 8) * np.sin(np.pi * x / 6) * [[[0.5]], [[1.0]]]
    smooth = jnp.asarray(smooth[..., None], jnp.float32)
    theta = jnp.asarray([[1.02, 0.03, 0.4, -0.05, 0.97, 0.3], [0.91, 0.02, -0.33, 0.1, 1.09, 0.23]])
    value = lambda theta: jnp.sum(affine.warp(smooth, theta, rule) ** 2)
    gradient, step = jax.grad(value)(theta), 1e-3
    for place in np.ndindex(2, 6):
        there, back = (value(theta.at[place].add(sign * step)) for sign in (1, -1))
        found = float(there - back) / (2 * step)
        assert float(gradient[place]) == pytest.approx(found, rel=0.05, abs=0.1)


def test_the_warp_of_the_host_is_the_same():
    image = np.asarray(IMAGE)[:1]
    theta = np.asarray([[1.04, 0.1, 1.5, -0.1, 0.95, -0.7]], np.float32)
    found = affine.warp_on_host(image[0], theta[0])
    np.testing.assert_allclose(found, affine.warp(image, theta)[0], atol=0.04)  # 1/32 of a pixel
    finer = placing.finer_map(SHIFT[0], (9, 7), (18, 28))
    np.testing.assert_allclose(finer, [1, 0, 9.6, 0, 1, -2.4], rtol=1e-6)


def test_far_away_is_black_and_finite():
    theta = jnp.asarray([[1, 0, 1e9, 0, 1, 0], [0, 0, -1e30, 0, 0, 0]], jnp.float32)
    np.testing.assert_array_equal(affine.warp(IMAGE, theta), 0)


def segment():
    mask = np.zeros((1, 8, 8, 1), np.float32)
    mask[:, 3:6, 4:7] = 1
    return jnp.asarray(mask)


def test_a_segment_is_moved_onto_its_place():
    place = segment()
    mask = jnp.roll(place, (2, -1), (1, 2))  # two down, one left
    colour = mask * jnp.asarray([0.2, 0.5, 0.9])
    theta = jnp.asarray([[1.2, 0, -1.4, 0.3, 0.9, 1.8]])
    moved, moved_mask, used = affine.align(colour, mask, place, theta, whole=True)
    np.testing.assert_array_equal(used, [[1, 0, -1, 0, 1, 2]])
    np.testing.assert_array_equal(moved_mask, place)
    np.testing.assert_allclose(moved, place * jnp.asarray([0.2, 0.5, 0.9]))


def test_a_warp_that_does_not_help_is_dropped():
    place = segment()
    colour = place * jnp.asarray([0.2, 0.5, 0.9])
    for kept in (True, False):
        moved, mask, used = affine.align(colour, place, place, SHIFT, discard=kept)
        assert bool((used == jnp.asarray(affine.IDENTITY)).all()) == kept
        assert bool((mask == place).all()) == kept and bool((moved == colour).all()) == kept
    np.testing.assert_allclose(affine.overlap(jnp.roll(place, 1, 1), place), [6 / 12])
    np.testing.assert_allclose(affine.overlap(0 * place, 0 * place), [0])


def test_a_choice_that_is_none_is_refused():
    with pytest.raises(UserError, match="rule='release' is unknown.*Did you mean 'released'"):
        affine.warp(jnp.zeros((1, 4, 4, 1)), jnp.zeros((1, 6)), "release")
    network = ordering_network.OrderingNetwork(width=1, pool="all")
    with pytest.raises(UserError, match="pool='all' is unknown: use one of 'whole', 'released'"):
        jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 32, 32, 6)))


def test_moments_bring_a_moved_and_scaled_segment_back():
    place = np.zeros((3, 40, 48, 1), np.float32)
    place[0, 10:20, 12:30] = place[1, 5:30, 20:24] = 1  # the third has no place
    away = jnp.asarray([[1.25, 0, 3.0, 0, 0.8, -4.0]] * 3, jnp.float32)
    moved = affine.warp(jnp.asarray(place), away)
    theta = affine.by_moments(moved, jnp.asarray(place))
    back = affine.warp(moved, theta)
    before, after = affine.overlap(moved, place), affine.overlap(back, place)
    assert (before[:2] < 0.5).all() and (after[:2] > 0.75).all()  # twice resampled
    np.testing.assert_array_equal(theta[2], affine.IDENTITY)


def test_moments_do_not_blow_a_speck_up():
    speck, wide = np.zeros((2, 1, 40, 40, 1), np.float32)
    speck[0, 3, 3] = wide[0, 5:35, 5:35] = 1
    theta = np.asarray(affine.by_moments(jnp.asarray(speck), jnp.asarray(wide)))[0]
    np.testing.assert_allclose(theta[[0, 4]], 0.5)
