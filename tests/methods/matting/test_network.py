"""The matting network as a whole: shapes, initialisation, training mode, options."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from jaxedit.errors import UserError
from jaxedit.layers import spectral
from jaxedit.methods.matting.network import MattingNetwork
from tests.methods.matting import networks


@functools.cache
def trainer():
    """Returns a compiled pass: key -> ((loss, (alphas, changed)), gradients)."""
    module = networks.tiny()
    variables = networks.drawn(module)
    params = variables["params"]
    image, trimap = networks.inputs()

    @networks.quick_jit
    def run(params, stats, rng):
        stats = {**stats, "spectral": spectral.iterate(params, stats["spectral"])}

        def loss(params):
            alphas, changed = module.apply(
                {"params": params, **stats}, image, trimap, train=True,
                mutable=["batch_stats"], rngs={"drop_path": rng},
            )
            return sum(jnp.square(a).mean() for a in alphas.values()), (alphas, changed)

        return jax.value_and_grad(loss, has_aux=True)(params)

    stats = {name: tree for name, tree in variables.items() if name != "params"}
    return lambda seed: run(params, stats, jax.random.key(seed))


def test_alphas_have_full_size():
    (_, (alphas, _)), _ = trainer()(0)
    assert set(alphas) == {"os1", "os4", "os8"}
    for alpha in alphas.values():
        assert alpha.shape == (2, 64, 32, 1) and alpha.dtype == jnp.float32
        assert 0 <= alpha.min() < alpha.max() <= 1


def test_published_size():
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    params = jax.eval_shape(MattingNetwork().init, jax.random.key(0), image, image)["params"]
    count = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))
    assert count(params["encoder"]) == 35_411_863 and count(params["decoder"]) == 9_335_267


def test_initialisation():
    init = networks.quick_jit(networks.tiny().init)
    params = init(jax.random.key(0), *networks.inputs())["params"]
    params = traverse_util.flatten_dict(params, sep="/")
    for path, array in params.items():
        array = np.asarray(array)
        if path.endswith("bn2/scale") and "/layer" in path:
            np.testing.assert_array_equal(array, 0, err_msg=path)  # blocks start as their skip
        elif path.endswith("/scale"):
            np.testing.assert_array_equal(array, 1, err_msg=path)
        elif path.endswith("/table"):
            assert 0.01 < array.std() < 0.03, path
        elif path.endswith("kernel"):
            taps = int(np.prod(array.shape[:-2]))
            inputs, outputs = taps * array.shape[-2], taps * array.shape[-1]
            transposed = path == "decoder/conv1/kernel" or "_0/conv1/kernel" in path
            xavier = path.startswith("decoder") and not transposed
            bound = np.sqrt(6 / (inputs + outputs)) if xavier else np.sqrt(1 / inputs)
            assert 0.7 * bound < np.abs(array).max() <= bound * (1 + 1e-6), path


def test_training_updates_every_batch_statistic():
    (_, (_, changed)), _ = trainer()(0)
    before = networks.drawn(networks.tiny())["batch_stats"]
    after = traverse_util.flatten_dict(changed["batch_stats"], sep="/")
    for path, array in traverse_util.flatten_dict(before, sep="/").items():
        assert np.abs(after[path] - array).max() > 0, path


def test_every_parameter_gets_a_gradient():
    _, gradient = trainer()(0)
    for path, array in traverse_util.flatten_dict(gradient, sep="/").items():
        assert np.isfinite(array).all() and np.abs(array).max() > 0, path


def test_paths_are_dropped_by_the_key():
    losses = [float(trainer()(seed)[0][0]) for seed in (0, 1, 2, 3, 0)]
    assert len(set(losses)) > 1 and losses[0] == losses[-1]


def test_remat_wraps_every_block_and_changes_no_variable():
    plain, wrapped = networks.tiny(), networks.tiny(remat=True)
    assert networks.shapes(plain) == networks.shapes(wrapped)
    variables = networks.shapes(plain)

    def run(module):
        return jax.make_jaxpr(
            lambda variables: module.apply(
                variables, *networks.inputs(), train=True, mutable=["batch_stats"],
                rngs={"drop_path": jax.random.key(0)},
            ),
            return_shape=True,
        )(variables)

    (before, shapes), (after, same) = run(plain), run(wrapped)
    assert shapes == same
    names = [equation.primitive.name for equation in after.eqns]
    blocks = sum(plain.depths) + sum(plain.decoder_blocks)
    assert names.count("checkpoint") + names.count("remat2") == blocks
    assert not any(e.primitive.name in ("checkpoint", "remat2") for e in before.eqns)


def test_half_precision_keeps_variables_and_alphas_in_full():
    module = networks.tiny(dtype=jnp.bfloat16)
    assert networks.shapes(module) == networks.shapes(networks.tiny())
    alphas, state = jax.eval_shape(
        lambda variables: module.apply(
            variables, *networks.inputs(), capture_intermediates=lambda m, _: m.name == "encoder"
        ),
        networks.shapes(module),
    )
    assert {alpha.dtype for alpha in alphas.values()} == {jnp.dtype("float32")}
    features = state["intermediates"]["encoder"]["__call__"][0]
    assert {feature.dtype for feature in features} == {jnp.dtype("bfloat16")}


@pytest.mark.parametrize("guided_attention", [False, True])
def test_the_convolutional_encoder_fits_the_same_decoder(guided_attention):
    module = networks.tiny(backbone="resnet34", guided_attention=guided_attention)
    swin, resnet = networks.shapes(networks.tiny()), networks.shapes(module)
    assert set(resnet["params"]["encoder"]) != set(swin["params"]["encoder"])
    assert resnet["params"]["decoder"] == swin["params"]["decoder"]
    alphas = jax.eval_shape(module.apply, resnet, *networks.inputs())
    assert {alpha.shape for alpha in alphas.values()} == {(2, 64, 32, 1)}


def test_mistakes():
    init = lambda module, *shapes: jax.eval_shape(
        module.init, jax.random.key(0), *(jnp.zeros(shape) for shape in shapes)
    )
    with pytest.raises(ValueError, match="multiples of 32, not 64 and 40"):
        init(networks.tiny(), (1, 64, 40, 3), (1, 64, 40, 3))
    with pytest.raises(ValueError, match=r"must be \(B, H, W, 3\)"):
        init(networks.tiny(), (1, 64, 64, 3), (1, 64, 64, 1))
    with pytest.raises(UserError, match="backbone='swim' is unknown.*Did you mean 'swin'"):
        init(networks.tiny(backbone="swim"), (1, 64, 64, 3), (1, 64, 64, 3))
