"""e4e beyond its parity: progressive differences, oblong and narrow pictures, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.methods.sdic import e4e
from tests.fake_run import drawn

NARROW = e4e.encoder_of(32, style_width=6, blocks=(1, 1, 1, 1), width=2)


def test_differences_are_switched_on_one_by_one():
    image = jnp.asarray(np.random.default_rng(0).normal(size=(2, 48, 64, 3)), jnp.float32)
    variables = drawn(jax.eval_shape(NARROW.init, jax.random.key(0), image))
    apply = jax.jit(lambda deltas: NARROW.apply(variables, image, deltas=deltas))
    every = np.asarray(NARROW.apply(variables, image))
    assert every.shape == (2, 8, 6)
    assert np.abs(every[:, 1:] - every[:, :1]).max((0, 2)).min() > 1e-3
    for deltas in (0, 3, 7):
        found = np.asarray(apply(deltas))
        np.testing.assert_allclose(found[:, : deltas + 1], every[:, : deltas + 1], atol=1e-5)
        rest = np.broadcast_to(every[:, :1], every.shape)[:, deltas + 1 :]
        np.testing.assert_allclose(found[:, deltas + 1 :], rest, atol=1e-5)


def test_published_shapes():
    encoder = e4e.encoder_of(512)
    shapes = jax.eval_shape(encoder.init, jax.random.key(0), jnp.zeros((1, 192, 256, 3)))
    out = jax.eval_shape(encoder.apply, shapes, jnp.zeros((1, 192, 256, 3)))
    assert encoder.codes == 16 and out.shape == (1, 16, 512)


def test_heads_may_be_narrower_than_codes():
    encoder = e4e.encoder_of(32, style_width=16, blocks=(1, 1, 1, 1), width=4, head_width=8)
    picture = jnp.zeros((1, 32, 32, 3))
    shapes = jax.eval_shape(encoder.init, jax.random.key(0), picture)
    head = shapes["params"]["styles_0"]
    assert head["convs_2"]["kernel"].shape[-2:] == (8, 8)
    assert jax.eval_shape(encoder.apply, shapes, picture).shape == (1, 8, 16)


def test_large_pictures_are_refused():
    with pytest.raises(UserError, match="at most 256 pixels a side, not 320 x 288"):
        jax.eval_shape(NARROW.init, jax.random.key(0), jnp.zeros((1, 288, 320, 3)))
