"""The generator: size, gate, options. The golden tests compare its values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.host import membrane
from jaxedit.methods.scat.generator import (
    Generator,
    composite,
    corrupt,
    meeting,
    normalise_gate,
)
from jaxedit.run import drawing

RNG = np.random.default_rng(0)
IMAGE = np.tanh(RNG.standard_normal((2, 16, 20, 3))).astype(np.float32)
MASK = (RNG.random((2, 16, 20, 1)) > 0.5).astype(np.float32)
SMALL = Generator(channels=4, blocks=2, rates=(1, 2))


@pytest.fixture(scope="module")
def params():
    return drawing.drawn(SMALL.init, jax.random.key(0), IMAGE, MASK)["params"]


def apply(module, params, **options):
    return jax.jit(lambda p: module.apply({"params": p}, IMAGE, MASK, **options))(params)


def test_published_size():
    shape = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    mask = jax.ShapeDtypeStruct((1, 64, 64, 1), jnp.float32)
    variables = jax.eval_shape(Generator().init, jax.random.key(0), shape, mask)
    leaves = jax.tree.leaves(variables)
    assert len(leaves) == 108
    assert sum(leaf.size for leaf in leaves) == 15_200_835


def test_initial_weights(params):
    kernel = params["middle_0"]["fuse"]["kernel"]
    assert kernel.std() == pytest.approx(0.02, rel=0.1) and abs(kernel.mean()) < 2e-3
    assert all(
        (leaf == 0).all() for leaf in jax.tree.leaves(params) if leaf.ndim == 1
    )


def test_corrupt_and_composite():
    np.testing.assert_array_equal(corrupt(IMAGE, MASK), np.where(MASK > 0, 1.0, IMAGE))
    np.testing.assert_array_equal(
        composite(IMAGE, np.zeros_like(IMAGE), MASK), np.where(MASK > 0, 0.0, IMAGE)
    )


def test_gate_normalisation():
    x = RNG.standard_normal((2, 7, 9, 3)).astype(np.float32) * 3 + 5
    y = np.asarray(normalise_gate(jnp.asarray(x)))
    np.testing.assert_allclose(y.mean((1, 2)), -5, atol=1e-4)
    np.testing.assert_allclose(y.std((1, 2), ddof=1), 10, rtol=1e-4)


def test_gate_of_a_constant_map_has_a_finite_gradient():
    gradient = jax.grad(lambda x: normalise_gate(x).sum())(jnp.ones((1, 4, 4, 2)))
    assert np.isfinite(gradient).all()


def test_bias_before_the_gate_has_no_effect(params):
    def loss(params):
        return jnp.mean(jnp.square(SMALL.apply({"params": params}, IMAGE, MASK)))

    # Weights large enough to make gradients of an ordinary size.
    params = jax.tree.map(lambda x: 5 * x, params)
    gradient = jax.jit(jax.grad(loss))(params)
    for block in ("middle_0", "middle_1"):
        gate = gradient[block]["gate"]
        assert np.abs(gate["bias"]).max() < 1e-4 * np.abs(gate["kernel"]).max()
        assert np.abs(gate["kernel"]).max() > 0
        assert np.abs(gradient[block]["fuse"]["bias"]).max() > 0


def test_rematerialisation_changes_nothing(params):
    def value_and_gradient(module):
        loss = lambda p: jnp.mean(jnp.square(module.apply({"params": p}, IMAGE, MASK) - IMAGE))
        return jax.jit(jax.value_and_grad(loss))(params)

    plain, gradient = value_and_gradient(SMALL)
    again, same = value_and_gradient(SMALL.clone(remat=True))
    np.testing.assert_allclose(plain, again, rtol=1e-6)
    for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(same), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-7)


def test_rematerialisation_is_in_the_program(params):
    def names(module):
        run = lambda p: module.apply({"params": p}, IMAGE, MASK)
        return {equation.primitive.name for equation in jax.make_jaxpr(run)(params).eqns}

    added = names(SMALL.clone(remat=True)) - names(SMALL)
    assert any("remat" in name or "checkpoint" in name for name in added), added


def test_bfloat16_computes_and_returns_float32(params):
    output = apply(SMALL.clone(dtype=jnp.bfloat16), params)
    assert output.dtype == jnp.float32
    np.testing.assert_allclose(output, apply(SMALL, params), atol=0.02)
    drawn = jax.eval_shape(
        SMALL.clone(dtype=jnp.bfloat16).init, jax.random.key(0), IMAGE, MASK
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(drawn)} == {jnp.dtype("float32")}


def test_upsampling_is_an_option_of_the_same_parameters(params):
    params = jax.tree.map(lambda x: 5 * x, params)
    nearest, bilinear = (
        apply(SMALL.clone(upsample=name), params) for name in ("nearest", "bilinear_ac")
    )
    assert nearest.shape == bilinear.shape == IMAGE.shape
    assert np.abs(nearest - bilinear).max() > 1e-4


def test_a_prediction_can_meet_the_picture(params):
    """A constant one becomes the membrane; one that is right but for its level becomes right."""
    hole = np.zeros_like(MASK)
    hole[:, 4:11, 5:14] = 1
    picture = 0.5 * IMAGE
    flat, known = np.full_like(IMAGE, 0.3), picture * (1 - hole) + hole
    expected = [membrane.continued(one, h[..., 0] > 0)
                for one, h in zip(picture, hole, strict=True)]
    np.testing.assert_allclose(meeting(flat, known, hole), np.where(hole, expected, flat),
                               atol=2e-3)
    found = meeting(picture - np.float32([0.2, -0.1, 0.05]), known, hole)
    np.testing.assert_allclose(found * hole, picture * hole, atol=1e-5)
    # Nothing beyond the range of pictures, and outside of the hole the prediction as it is.
    found = apply(SMALL.clone(seam="membrane"), jax.tree.map(lambda x: 9 * x, params))
    plain = apply(SMALL, jax.tree.map(lambda x: 9 * x, params))
    assert np.abs(found).max() <= 1
    np.testing.assert_array_equal(found * (1 - MASK), plain * (1 - MASK))
    assert np.abs(found - plain).max() > 0.1


@pytest.mark.parametrize(
    ("module", "size", "message"),
    [
        (Generator(4, 1), (32, 64), "above 32 pixels .* not 32 x 64"),
        (Generator(4, 1, rates=(1,)), (18, 16), "multiples of 4"),
        (Generator(4, 1, rates=(1, 2, 3)), (64, 64), "16 middle channels do not divide among 3"),
        (Generator(4, 1, upsample="bicubic"), (64, 64), "'bicubic' is unknown.*'nearest'"),
        (Generator(4, 1, seam="sewn"), (64, 64), "'sewn' is unknown.*'as_is', 'membrane'"),
    ],
)
def test_what_cannot_be_computed_is_refused(module, size, message):
    image, mask = jnp.zeros((1, *size, 3)), jnp.zeros((1, *size, 1))
    with pytest.raises(UserError, match=message):
        jax.eval_shape(module.init, jax.random.key(0), image, mask)
