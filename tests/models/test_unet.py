"""The UNet beyond its golden files: odd sizes, other options, checkpointed blocks."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.models.diffusion.blocks import Downsample, Upsample
from jaxedit.models.diffusion.configs import UNetConfig
from jaxedit.models.diffusion.transformer import Transformer
from jaxedit.models.unet import UNet, time_features
from jaxedit.run import drawing
from tests import fake_run

CONFIG = UNetConfig(
    in_channels=2, out_channels=2, block_out_channels=(4, 6, 8),
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "UpBlock2D", "CrossAttnUpBlock2D"),
    layers_per_block=1, transformer_layers_per_block=(2, 1, 1), attention_head_dim=(2, 2, 3),
    cross_attention_dim=3, norm_num_groups=2,
)


SMALL = dataclasses.replace(
    CONFIG, block_out_channels=(4, 6), down_block_types=CONFIG.down_block_types[:2],
    up_block_types=CONFIG.up_block_types[1:], layers_per_block=1, transformer_layers_per_block=1,
    attention_head_dim=2,
)


def drawn(module, *inputs):
    return fake_run.drawn(jax.eval_shape(module.init, jax.random.key(0), *inputs))


@functools.cache
def inputs(height=5, width=7):
    rng = np.random.default_rng(0)
    return (jnp.asarray(rng.standard_normal((2, height, width, 2)), jnp.float32),
            jnp.asarray([3.0, 700.0]), jnp.asarray(rng.standard_normal((2, 4, 3)), jnp.float32))


def test_sides_that_are_no_multiples_keep_their_size():
    module = UNet(CONFIG)
    variables = drawn(module, *inputs())
    found = jax.jit(module.apply)(variables, *inputs())
    assert found.shape == (2, 5, 7, 2) and np.isfinite(found).all()
    x, _, text = inputs()
    one_step = jax.eval_shape(module.apply, variables, x, 3, text)
    assert one_step.shape == found.shape


def test_checkpointed_blocks_keep_less_for_the_backward_pass():
    modules = [UNet(SMALL, checkpointed=kept) for kept in (False, True)]
    shapes = [jax.eval_shape(module.init, jax.random.key(0), *inputs()) for module in modules]
    assert jax.tree.structure(shapes[0]) == jax.tree.structure(shapes[1])
    pull_back = lambda v, module: jax.vjp(lambda v: module.apply(v, *inputs(8, 8)), v)[1]
    kept = [
        sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(
            functools.partial(pull_back, module=module), shapes[0]
        )))
        for module in modules
    ]
    parameters = sum(leaf.size for leaf in jax.tree.leaves(shapes[0]))
    assert kept[1] - parameters < 0.3 * (kept[0] - parameters)


def test_projections_may_be_linear():
    """The same arithmetic of other published shapes."""
    convolved, linear = UNet(SMALL), UNet(dataclasses.replace(SMALL, use_linear_projection=True))
    variables = drawn(convolved, *inputs())
    shapes = jax.eval_shape(linear.init, jax.random.key(0), *inputs())
    reshaped = jax.tree.map(lambda leaf, like: leaf.reshape(like.shape), variables, shapes)
    assert jax.tree.map(jnp.shape, reshaped) != jax.tree.map(jnp.shape, variables)
    np.testing.assert_allclose(
        jax.jit(linear.apply)(reshaped, *inputs()), jax.jit(convolved.apply)(variables, *inputs()),
        rtol=1e-4, atol=1e-5,
    )


def test_bfloat16_is_near():
    variables = drawn(UNet(SMALL), *inputs())
    exact, rough = (
        jax.jit(UNet(SMALL, dtype=dtype).apply)(variables, *inputs())
        for dtype in (jnp.float32, jnp.bfloat16)
    )
    assert rough.dtype == jnp.float32
    assert 0 < np.abs(exact - rough).max() < 0.1 * np.abs(exact).max()


def test_fresh_transformers_pass_their_input_on():
    """Their projection out starts at zero, and so does the UNet's last convolution."""
    module = Transformer(heads=2, depth=1, groups=2)
    x, _, text = inputs()
    x = jnp.concatenate([x, -x], -1)
    variables = drawing.drawn(module.init, jax.random.key(0), x, text)
    np.testing.assert_array_equal(module.apply(variables, x, text), x)
    assert np.asarray(variables["params"]["proj_in"]["bias"]).any()


@pytest.mark.parametrize("padding, shift", [(1, 1), (0, 0)])
def test_padding_ahead_of_halving(padding, shift):
    """1 pads all sides: the kernel's middle is on pixels 0, 2, ..; 0 the right and bottom alone."""
    x = jnp.arange(36.0).reshape(1, 6, 6, 1)
    kernel = jnp.zeros((3, 3, 1, 1)).at[0, 0].set(1)
    params = {"conv": {"kernel": kernel, "bias": jnp.zeros(1)}}
    found = Downsample(padding).apply({"params": params}, x)[0, ..., 0]
    padded = np.pad(x[0, ..., 0], ((shift, 1), (shift, 1)))
    np.testing.assert_array_equal(found, padded[:6:2, :6:2])


def test_doubling_to_an_odd_size():
    x = jnp.arange(9.0).reshape(1, 3, 3, 1)
    kernel = jnp.zeros((3, 3, 1, 1)).at[1, 1].set(1)
    params = {"conv": {"kernel": kernel, "bias": jnp.zeros(1)}}
    for size, rows, columns in (
        ((5, 6), [0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 2]),
        ((6, 6), [0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 2]),
        ((7, 5), [0, 0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2]),  # where halves are rounded down
    ):
        found = Upsample().apply({"params": params}, x, size)[0, ..., 0]
        np.testing.assert_array_equal(found, x[0, ..., 0][np.array(rows)][:, np.array(columns)])


def test_time_features():
    found = time_features(jnp.asarray([7]), 6)
    angles = 7 * np.exp(-np.log(10000) * np.arange(3) / 3)
    np.testing.assert_allclose(found[0], [*np.cos(angles), *np.sin(angles)], rtol=1e-5)
    shifted = time_features(jnp.asarray([7]), 7, cosine_first=False, shift=1)
    angles = 7 * np.exp(-np.log(10000) * np.arange(3) / 2)
    np.testing.assert_allclose(shifted[0], [*np.sin(angles), *np.cos(angles), 0], rtol=1e-5)
