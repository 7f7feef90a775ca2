"""DIPN and DICN beyond their parity: no 3-D convolution, variants, other taps, errors."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.methods.sdic import weights
from jaxedit.methods.sdic.dicn import DICN, rows
from jaxedit.methods.sdic.dipn import DIPN
from jaxedit.weights import table

PAIR = (jnp.zeros((2, 16, 24, 3)),) * 2


def shapes_of(module, *inputs):
    return jax.eval_shape(module.init, jax.random.key(0), *inputs)


def zeros(shapes):
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)


@pytest.mark.parametrize("remat", [False, True])
def test_no_convolution_of_volumes_is_in_the_program(remat):
    """Forward and backward, as they are lowered for CPU; batch statistics are handed on."""
    module = DIPN(remat=remat)
    shapes = shapes_of(module, *PAIR)

    def loss(params, stats):
        found, stats = module.apply(
            {"params": params, "batch_stats": stats}, *PAIR, train=True, mutable=["batch_stats"]
        )
        return jnp.square(found).sum(), stats

    lowered = jax.jit(jax.value_and_grad(loss, has_aux=True)).trace(
        shapes["params"], shapes["batch_stats"]
    ).lower(lowering_platforms=("cpu",))
    text = lowered.as_text()
    convolutions = re.findall(r"stablehlo\.convolution.*: \(tensor<([^>]*)>", text)
    assert len(convolutions) > 50 and all(one.count("x") == 4 for one in convolutions)
    (_, stats), _ = lowered.out_info
    assert stats["batch_stats"].keys() == shapes["batch_stats"].keys()


def test_parameters_are_the_published_ones():
    """1,887,357 with 174,203 unused; 21,608,118 with 14,158,850 unused (faces)."""
    count = lambda shapes: sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
    dipn = shapes_of(DIPN(), *PAIR)
    assert count(dipn) == 1_887_357 - 174_203
    dicn = shapes_of(
        DICN(), jnp.zeros((1, 256, 256, 3)), jnp.zeros((1, 64, 64, 512)), jnp.zeros((1, 18, 512))
    )
    assert count(dicn) == 21_608_118 - 14_158_850
    for names, shapes in ((weights.dipn_table(), dipn), (weights.dicn_table(), dicn)):
        empty = jax.tree.map(lambda leaf: np.broadcast_to(0, leaf.shape), shapes)
        assert len(table.to_published(names, empty)) == len(jax.tree.leaves(shapes))


def test_variants_of_dipn():
    count = lambda **options: len(jax.tree.leaves(shapes_of(DIPN(**options), *PAIR)))
    assert count(attention="both") == count()
    assert count(shared_down=True) == count() - 5 * 5
    assert count(attention="none") == count() - 3 * (3 * 5 + 3)
    with pytest.raises(UserError, match="20 x 16 pixels: both sides must be multiples of 8"):
        shapes_of(DIPN(), *(jnp.zeros((1, 16, 20, 3)),) * 2)


@pytest.mark.parametrize("tap, width, channels, number", [
    (16, 128, 20, 36), (32, 512, 24, 36), (128, 512, 16, 576),
])
def test_other_taps(tap, width, channels, number):
    """rows = 18 tap^2 / style width; parts that are off have no parameters and change nothing."""
    inputs = (
        jnp.zeros((1, 4 * tap, 4 * tap, 3)), jnp.ones((1, tap, tap, channels)),
        jnp.ones((1, 12, width)),
    )
    whole = shapes_of(DICN(side=tap), *inputs)
    assert whole["params"]["aff1d"]["sen_0"]["kernel"].shape == (1, number, number // 2)
    assert whole["params"]["semantic_3"]["kernel"].shape == (3, 3, channels, channels)
    feature, codes = jax.eval_shape(DICN(side=tap).apply, whole, *inputs)
    assert feature.shape == inputs[1].shape and codes.shape == inputs[2].shape
    for parts, absent, kept in (("codes", "semantic_3", 0), ("feature", "aff1d", 1)):
        module = DICN(side=tap, parts=parts)
        shapes = shapes_of(module, *inputs)
        assert absent in whole["params"] and absent not in shapes["params"]
        if tap == 16:
            np.testing.assert_array_equal(
                module.apply(zeros(shapes), *inputs)[kept], inputs[1 + kept]
            )


def test_what_does_not_fit():
    assert rows(18, 64, 512) == 144
    with pytest.raises(UserError, match="do not divide into rows of 512"):
        rows(18, 8, 512)
    with pytest.raises(UserError, match="has 32 x 32 pixels; that of a feature map of 16 x 16"):
        shapes_of(DICN(), jnp.zeros((1, 32, 32, 3)), jnp.zeros((1, 16, 16, 4)),
                  jnp.zeros((1, 8, 8)))
