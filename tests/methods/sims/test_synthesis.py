"""Sizes of the networks at full width, what they refuse, and growing from coarse to fine."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from jaxedit.errors import UserError
from jaxedit.methods.sims import growth, synthesis, trunk
from jaxedit.methods.sims.alignment import AlignmentNetwork
from jaxedit.methods.sims.ordering_network import OrderingNetwork
from jaxedit.methods.sims.synthesis import SynthesisNetwork


def shapes(network, channels, side):
    x = jax.ShapeDtypeStruct((1, side, side, channels), jnp.float32)
    return jax.eval_shape(network.init, jax.random.key(0), x)["params"]


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def block(channels, *outputs, kernel=9):
    """Weights of convolutions in a row, each with a scale and a shift per channel."""
    inputs = (channels, *outputs[:-1])
    return sum(kernel * i * o + 2 * o for i, o in zip(inputs, outputs, strict=True))


def test_parameters_at_full_width():
    base = shapes(SynthesisNetwork(), 24, 64)
    assert count(base) == 55_671_319
    two = count(base) + block(24 + 256, 128, 128) - 23 * 128
    assert count(shapes(SynthesisNetwork(stages=2), 24, 128)) == two
    assert count(shapes(SynthesisNetwork(stages=3), 24, 256)) == two + 27 * 3 + 3
    trunk = lambda channels: block(
        channels, *[64] * 2, *[128] * 2, *[256] * 3, *[512] * 6
    )
    assert count(shapes(AlignmentNetwork(), 24, 64)) == trunk(24) + 512 * 6 + 6
    ordering = trunk(6) + block(512, 1024, kernel=1) + 1024 * 20 + 20
    assert count(shapes(OrderingNetwork(), 6, 64)) == ordering


def test_names_and_shapes_at_1024_x_2048():
    """The published layers of three stages, for which there is no golden file, one by one."""
    wanted = {}

    def layers(name, channels, features, count=2):
        for i in range(count):
            wanted[name, f"conv_{i}", "kernel"] = (3, 3, features if i else channels, features)
            wanted[name, f"norm_{i}", "scale"] = wanted[name, f"norm_{i}", "bias"] = (features,)

    def head(name, channels, features):
        wanted[name, "kernel"], wanted[name, "bias"] = (1, 1, channels, features), (features,)

    widths, counts = (64, 128, 256, 512, 512, 512), (2, 2, 3, 3, 3, 3)
    for level, (before, width, count) in enumerate(
        zip((24, *widths), widths, counts, strict=False), 1
    ):
        layers(f"encoder_{level}", before, width, count)
        # The raw input, the pooled map, and what comes from the level below: 512 of each.
        layers(f"decoder_{level}", 24 + width + 512 * (level < 6), 256 if level == 1 else 512)
    layers("decoder_final", 24 + 256, 256)
    layers("decoder_up", 24 + 256, 128)  # of the second stage
    head("to_rgb", 128, 3)
    head("to_semantic", 128, 20)
    head("refine", 24 + 3, 3)  # all that the third stage adds
    x = jax.ShapeDtypeStruct((1, 1024, 2048, 24), jnp.float32)
    outputs, variables = jax.eval_shape(
        lambda x: SynthesisNetwork(stages=3).init_with_output(jax.random.key(0), x), x
    )
    found = traverse_util.flatten_dict(variables["params"])
    assert {path: leaf.shape for path, leaf in found.items()} == wanted
    assert [o.shape for o in outputs] == [(1, 1024, 2048, 3), (1, 512, 1024, 20)]


def test_the_third_stage_refines_the_raw_picture_of_the_second():
    """One 1 x 1 convolution reads input and enlarged picture, before it is scaled to 0..255."""
    seen = {}

    def record(call, arguments, options, context):
        if isinstance(context.module, trunk.Block):
            (x,) = arguments
            return jnp.repeat(x[..., :1], context.module.features, -1)
        result = call(*arguments, **options)
        seen[context.module.name] = (*arguments, result)
        return result

    x = jnp.asarray(np.random.default_rng(0).random((1, 256, 512, 10)), jnp.float32)

    @jax.jit
    def run(key, x):
        with nn.intercept_methods(record):
            (picture, _), _ = SynthesisNetwork(5, 3, 2).init_with_output(key, x)
        return picture, seen["to_rgb"], seen["refine"]

    picture, (_, raw), (given, refined) = run(jax.random.key(0), x)
    assert raw.shape == (1, 128, 256, 3) and raw.std() > 0
    np.testing.assert_array_equal(given[..., :10], x)
    np.testing.assert_allclose(
        given[0, [0, 0, -1, -1], [0, -1, 0, -1], 10:], raw[0, [0, 0, -1, -1], [0, -1, 0, -1]],
        atol=1e-6,  # corners stay in place
    )
    np.testing.assert_allclose(picture, (refined + 1) / 2 * 255, rtol=1e-6)


def test_sizes_of_the_outputs():
    network = SynthesisNetwork(classes=5, stages=3, width=2)
    x = jax.ShapeDtypeStruct((2, 256, 512, 10), jnp.float32)
    outputs = jax.eval_shape(lambda x: network.init_with_output(jax.random.key(0), x)[0], x)
    assert [o.shape for o in outputs] == [(2, 256, 512, 3), (2, 128, 256, 6)]
    with pytest.raises(ValueError, match="do not divide by 256"):
        shapes(network, 10, 128)


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_what_blocks_read_of_the_input(stages):
    """Encoder and decoder the full input with corners in place, what 2 adds every pixel of its."""
    side = 64 * 2 ** (stages - 1)
    read = {}  # block -> what it is given

    def record(call, arguments, options, context):
        if not isinstance(context.module, trunk.Block):
            return call(*arguments, **options)
        (x,) = arguments
        read[context.module.name] = x
        return jnp.zeros((*x.shape[:3], context.module.features))

    x = jnp.broadcast_to(jnp.arange(side, dtype=jnp.float32)[:, None], (1, side, side, 10))

    @jax.jit
    def run(key, x):
        with nn.intercept_methods(record):
            SynthesisNetwork(5, stages, 2).init(key, x)
        return read

    read = run(jax.random.key(0), x)
    for name, length in (("encoder_1", 64), ("decoder_1", 32), ("decoder_4", 4)):
        np.testing.assert_allclose(
            read[name][0, 0, :, 0], np.linspace(0, side - 1, length), atol=1e-4
        )
    if stages > 1:
        np.testing.assert_array_equal(read["decoder_up"][0, 0, :, 0], x[0, 0, :: stages - 1, 0])


def test_unlabelled_in_any_spelling():
    label = jnp.asarray([[[0, 2, -1, 255, 3]]])
    zeros = jnp.zeros((1, 1, 5, 1))
    x = synthesis.network_input(label, jnp.repeat(zeros, 3, -1), zeros, 3)
    np.testing.assert_array_equal(jnp.argmax(x[0, 0, :, :4], -1), [0, 2, 3, 3, 3])


def test_finer_networks_start_from_coarser_ones():
    one, two, three = (
        jax.tree.map(lambda leaf, stages=stages: np.full(leaf.shape, stages),
                     shapes(SynthesisNetwork(5, stages, 2), 10, 256))
        for stages in (1, 2, 3)
    )
    for old, fresh, new in (
        (one, two, {"decoder_up", "to_rgb", "to_semantic"}), (two, three, {"refine"})
    ):
        found = growth.grown(old, fresh, "coarse:params/synthesis")
        for key in fresh:
            taken = {k: v for k, v in found[key].items() if k == "kernel" or k.startswith("conv")}
            wanted = fresh[key] if key in new else old[key]
            for name in taken:
                jax.tree.map(np.testing.assert_array_equal, found[key][name], wanted[name])
        assert found.keys() == fresh.keys()
    with pytest.raises(UserError, match="more stages than this one.*Raise network.stages"):
        growth.grown(two, one, "x")
    with pytest.raises(UserError, match="same network.classes and network.width"):
        growth.grown(shapes(SynthesisNetwork(5, 1, 4), 10, 64), one, "x")
