"""The convolutional encoder: its size, its features and how it starts."""

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.methods.matting.resnet import BasicBlock, ResNetEncoder
from jaxedit.run import drawing

HEIGHT, WIDTH = 32, 64
SHALLOW = (2, 1, 1, 1)


def _inputs():
    rng = np.random.default_rng(0)
    image = rng.standard_normal((2, HEIGHT, WIDTH, 3)).astype(np.float32)
    labels = rng.integers(0, 3, (2, HEIGHT // 8, WIDTH // 8)).repeat(8, 1).repeat(8, 2)
    return image, np.eye(3, dtype=np.float32)[labels]


def _variables(**options):
    """Returns (module, its variables as they start)."""
    module = ResNetEncoder(**options)
    key = jax.random.key(0, impl="rbg")  # compiles in a tenth of the time
    return module, drawing.drawn(lambda: module.init(key, *_inputs(), train=False))


@pytest.fixture(scope="module")
def encoder():
    """A narrow encoder with attention, its variables and its features at the start."""
    module, variables = _variables(width=4, blocks=SHALLOW, guided_attention=True)
    run = jax.jit(lambda variables, *inputs: module.apply(variables, *inputs, train=False))
    return module, variables, run


@pytest.mark.parametrize(
    ("guided_attention", "count"), [(False, 15_802_496), (True, 15_869_648)]
)
def test_as_many_parameters_as_the_published_encoder(guided_attention, count):
    module = ResNetEncoder(guided_attention=guided_attention)
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *_inputs(), train=False))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == count


def test_six_features_at_half_the_size_each(encoder):
    _, variables, run = encoder
    features = run(variables, *_inputs())
    assert [feature.shape for feature in features] == [
        (2, HEIGHT >> level, WIDTH >> level, 4 * multiple)
        for level, multiple in enumerate((1, 1, 2, 4, 8, 16))
    ]
    assert all(np.isfinite(feature).all() for feature in features)


def test_only_the_shortcut_and_the_attention_see_the_trimap_at_first(encoder):
    _, variables, run = encoder
    image, trimap = _inputs()
    swapped = trimap[..., [2, 1, 0]]  # what is unknown stays so
    before, after = run(variables, image, trimap), run(variables, image, swapped)
    assert np.abs(before[0] - after[0]).max() > 1e-3
    for first, second in zip(before[1:], after[1:], strict=True):
        np.testing.assert_array_equal(first, second)
    moved = run(variables, image, np.roll(trimap, 1, -1))
    assert np.abs(before[3] - moved[3]).max() > 0


def test_residual_branches_start_at_zero():
    x = np.abs(np.random.default_rng(1).standard_normal((1, 8, 8, 4))).astype(np.float32)
    block = BasicBlock(4)
    variables = block.init(jax.random.key(0), x, False)
    np.testing.assert_allclose(block.apply(variables, x, False), x, rtol=1e-6)


def test_training_moves_statistics_and_every_parameter_has_a_gradient(encoder):
    module, variables, _ = encoder
    params = flax.traverse_util.flatten_dict(variables["params"])
    # Scales of zero would hide the branches behind them.
    params = {
        path: jnp.ones_like(leaf) if path[-1] == "scale" else leaf for path, leaf in params.items()
    }
    params = flax.traverse_util.unflatten_dict(params)
    inputs = _inputs()

    @jax.jit
    def run(params):
        def total(params):
            features, changed = module.apply(
                {**variables, "params": params}, *inputs, train=True, mutable=["batch_stats"]
            )
            # A plain sum over a batch-normalised map is constant.
            return sum(jnp.mean(jnp.sin(3 * feature)) for feature in features), changed

        return jax.grad(total, has_aux=True)(params)

    gradients, changed = run(params)
    for path, gradient in flax.traverse_util.flatten_dict(gradients).items():
        assert np.isfinite(gradient).all(), path
        assert np.any(gradient != 0), path
    before = jax.tree.leaves(variables["batch_stats"])
    after = jax.tree.leaves(changed["batch_stats"])
    assert all(np.any(x != y) for x, y in zip(before, after, strict=True))


def test_every_block_can_be_recomputed():
    inputs = _inputs()
    shapes, programs = [], []
    for remat in (False, True):
        module = ResNetEncoder(width=2, remat=remat)
        init = lambda module=module: module.init(jax.random.key(0), *inputs, train=False)
        shapes.append(jax.eval_shape(init))
        apply = lambda variables, module=module: module.apply(variables, *inputs, train=False)
        programs.append(jax.make_jaxpr(apply)(shapes[-1]))
    assert jax.tree.structure(shapes[0]) == jax.tree.structure(shapes[1])
    counts = [
        sum(equation.primitive.name in ("remat", "remat2", "checkpoint") for equation in p.eqns)
        for p in programs
    ]
    assert counts == [0, 3 + 4 + 4 + 2]


def test_half_precision_keeps_parameters_in_single():
    module = ResNetEncoder(guided_attention=True, dtype=jnp.bfloat16)
    features, variables = jax.eval_shape(
        lambda: module.init_with_output(jax.random.key(0), *_inputs(), train=False)
    )
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(variables))
    assert all(feature.dtype == jnp.bfloat16 for feature in features)
