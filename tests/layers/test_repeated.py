"""Blocks in a loop: the same values and gradients as written out, and only on CPU."""

import flax.linen as nn
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.layers import repeated
from jaxedit.layers.convolution import formulation
from jaxedit.methods.scat.generator import Generator
from jaxedit.run import drawing

BLOCK = nn.Dense(4, kernel_init=nn.initializers.orthogonal(2.0))
X = jnp.asarray(np.random.default_rng(0).standard_normal((3, 4)), jnp.float32)
PARAMS = [BLOCK.init(jax.random.key(seed), X)["params"] for seed in range(3)]


def written_out(x, params):
    for one in params:
        x = BLOCK.apply({"params": one}, x)
    return x


def test_values_and_gradients():
    loss = lambda function: jax.value_and_grad(lambda x, p: (function(x, p) ** 3).sum(), (0, 1))
    ours = loss(lambda x, params: repeated.apply_blocks(BLOCK, params, x))(X, PARAMS)
    theirs = loss(written_out)(X, PARAMS)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3), ours, theirs)


@pytest.mark.parametrize("platform", ["cpu", "tpu", "cuda"])
def test_a_loop_on_cpu_only(platform):
    function = jax.jit(lambda x, params: repeated.apply_blocks(BLOCK, params, x))
    text = jax.export.export(function, platforms=[platform])(X, PARAMS).mlir_module()
    assert ("stablehlo.while" in text) == (platform == "cpu")


def test_pays():
    assert repeated.pays(3, [True, True])
    assert not repeated.pays(2, [True, True])
    assert not repeated.pays(8, [True, False])


def test_generator_loops_where_its_convolutions_are_products():
    """The published width at 64 pixels; the parameters keep their names, nothing is run."""
    network = Generator(blocks=3)
    image, mask = (jax.ShapeDtypeStruct((4, 64, 64, depth), jnp.float32) for depth in (3, 1))
    abstract = {}
    for mode in formulation.MODES:
        with formulation.using(mode):
            variables = jax.eval_shape(network.init, jax.random.key(0), image, mask)
            abstract[mode] = jax.tree.map(lambda leaf: leaf.shape, variables)
            program = str(jax.make_jaxpr(network.apply)(variables, image, mask))
            assert ("scan" in program) == (mode == "auto")
            observed = lambda *a: network.apply(*a, mutable=["intermediates"])
            assert "scan" not in str(jax.make_jaxpr(observed)(variables, image, mask))
    assert abstract["auto"] == abstract["xla"]


def test_looping_generator_computes_the_same(monkeypatch):
    # Of this tiny network the blocks alone.
    for threshold, value in (
        ("_WORK", 0), ("_WINOGRAD_WORK", 0), ("_WINOGRAD_CHANNELS", 64), ("_CHANNELS_PER_TILE", 64)
    ):
        monkeypatch.setattr(formulation, threshold, value)
    network = Generator(channels=16, blocks=3, rates=(1,), init_scheme="he")
    rng = np.random.default_rng(0)
    image, mask, weight = (
        jnp.asarray(rng.random((1, 24, 16, depth)), jnp.float32) for depth in (3, 1, 3)
    )
    params = drawing.drawn(network.init, jax.random.key(0), image, mask)["params"]
    found = {}
    for mode in formulation.MODES:
        with formulation.using(mode):
            loss = lambda params: (weight * network.apply({"params": params}, image, mask)).sum()
            quick = {"xla_backend_optimization_level": 0}
            gradient = jax.jit(jax.value_and_grad(loss), compiler_options=quick)
            assert ("scan" in str(jax.make_jaxpr(loss)(params))) == (mode == "auto")
            found[mode] = gradient(params)
    ours, theirs = (jax.tree.leaves(found[mode]) for mode in ("auto", "xla"))
    largest = max(float(np.abs(leaf).max()) for leaf in theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3 * largest)
