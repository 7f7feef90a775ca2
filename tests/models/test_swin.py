"""Swin's pieces against direct definitions, and the plain backbone."""

import functools
import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxedit.models import swin
from jaxedit.run import drawing
from jaxedit.weights import manifest, table

RNG = np.random.default_rng(0)
# What is compiled here runs once.
_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def draw(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("window", [2, 3, 7])
def test_relative_positions(window):
    index = swin.relative_position_index(window)
    places = [(i, j) for i in range(window) for j in range(window)]
    for query, (i, j) in enumerate(places):
        for key, (k, m) in enumerate(places):
            row, column = i - k + window - 1, j - m + window - 1
            assert index[query, key] == row * (2 * window - 1) + column


@pytest.mark.parametrize(("height", "width"), [(6, 6), (5, 7), (2, 3)])
@pytest.mark.parametrize("shift", [0, 1])
def test_windows_and_back(height, width, shift):
    x = draw(2, height, width, 4)
    windows = swin.to_windows(x, 3, shift)
    rows, columns = -(-height // 3), -(-width // 3)
    assert windows.shape == (2, rows * columns, 9, 4)
    padded = np.pad(x, ((0, 0), (0, 3 * rows - height), (0, 3 * columns - width), (0, 0)))
    last = np.roll(padded, (-shift, -shift), (1, 2))[:, -3:, -3:].reshape(2, 9, 4)
    np.testing.assert_array_equal(windows[:, -1], last)
    np.testing.assert_array_equal(swin.from_windows(windows, height, width, 3, shift), x)


@pytest.mark.parametrize(("height", "width", "window", "shift"), [(6, 9, 3, 1), (7, 14, 7, 3)])
def test_tokens_across_the_seam_do_not_see_each_other(height, width, window, shift):
    """Two tokens of a window are neighbours in the map, or one of them came round its edge."""
    mask = swin.shift_mask(height, width, window, shift)
    at = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1)
    at = np.roll(at, (-shift, -shift), (0, 1)).astype(np.float32)
    windows = np.asarray(swin.to_windows(at[None], window, 0))[0]
    tokens = np.stack(np.divmod(np.arange(window**2), window), -1)
    apart = windows[:, :, None] - windows[:, None, :]
    inside = tokens[:, None] - tokens[None, :]
    np.testing.assert_array_equal(mask == 0, (apart == inside).all(-1))
    np.testing.assert_array_equal(mask, np.where(mask == 0, 0, -100))


def test_window_attention():
    heads, window, channels = 2, 2, 6
    layer = swin.WindowAttention(heads, window)
    x, mask = draw(2, 3, 4, channels), np.where(RNG.random((3, 4, 4)) < 0.3, -100.0, 0.0)
    mask[:, range(4), range(4)] = 0
    variables = drawing.drawn(layer.init, jax.random.key(0), x, mask)
    params = jax.tree.map(lambda a: draw(*a.shape), variables["params"])
    found = layer.apply({"params": params}, x, np.float32(mask))
    for batch in range(2):
        for place in range(3):
            tokens = x[batch, place] @ params["qkv"]["kernel"] + params["qkv"]["bias"]
            parts = tokens.reshape(4, 3, heads, channels // heads)
            outputs = []
            for head in range(heads):
                query, key, value = parts[:, 0, head], parts[:, 1, head], parts[:, 2, head]
                bias = params["bias"]["table"][swin.relative_position_index(window), head]
                logits = query @ key.T / np.sqrt(channels // heads) + bias + mask[place]
                weights = np.exp(logits - logits.max(-1, keepdims=True))
                outputs.append(weights / weights.sum(-1, keepdims=True) @ value)
            expected = np.concatenate(outputs, -1) @ params["proj"]["kernel"]
            expected = expected + params["proj"]["bias"]
            np.testing.assert_allclose(found[batch, place], expected, atol=1e-4)


def test_patch_embedding_is_a_strided_convolution():
    x = draw(1, 8, 12, 3)
    variables = drawing.drawn(swin.PatchEmbedding(5).init, jax.random.key(0), x)
    params = jax.tree.map(lambda a: draw(*a.shape), variables["params"])
    y = lax.conv_general_dilated(
        x, params["proj"]["kernel"], (4, 4), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    ) + params["proj"]["bias"]
    y = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-5)
    y = y * params["norm"]["scale"] + params["norm"]["bias"]
    np.testing.assert_allclose(swin.PatchEmbedding(5).apply({"params": params}, x), y, atol=2e-5)
    with pytest.raises(ValueError, match="8 x 10 pixels do not divide into 4 x 4 patches"):
        swin.PatchEmbedding(5).apply({"params": params}, x[:, :, :10])


def test_patch_merging_order():
    x = draw(1, 3, 4, 2)
    params = drawing.drawn(swin.PatchMerging().init, jax.random.key(0), x)["params"]
    y = swin.PatchMerging().apply({"params": params}, x)
    assert y.shape == (1, 2, 2, 4)
    cell = np.concatenate([x[0, 0, 2], x[0, 1, 2], x[0, 0, 3], x[0, 1, 3]])
    cell = (cell - cell.mean()) / np.sqrt(cell.var() + 1e-5)
    np.testing.assert_allclose(y[0, 0, 1], cell @ params["reduction"]["kernel"], atol=1e-5)


def test_drop_path():
    x = jnp.ones((500, 4, 3))
    np.testing.assert_array_equal(swin.drop_path(x, 0.5, None), x)
    np.testing.assert_array_equal(swin.drop_path(x, 0.0, jax.random.key(0)), x)
    y = np.asarray(swin.drop_path(x, 0.2, jax.random.key(0)))
    assert set(np.unique(y)) == {0.0, np.float32(1.25)}
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1, :1], y.shape))
    assert abs((y[:, 0, 0] == 0).mean() - 0.2) < 0.06
    y = np.asarray(swin.drop_path(x, 0.2, jax.random.key(0), axes=2))
    np.testing.assert_array_equal(y, np.broadcast_to(y[..., :1], y.shape))
    assert (y[:, 0, 0] != y[:, 1, 0]).mean() > 0.2  # 2 * 0.2 * 0.8 if they are independent


def test_drop_path_rates_rise_over_all_blocks():
    rates = swin.drop_path_rates(0.3, (2, 2, 6, 2))
    assert [len(part) for part in rates] == [2, 2, 6, 2]
    np.testing.assert_allclose(np.diff(np.concatenate(rates)), 0.3 / 11)
    assert rates[0][0] == 0 and rates[-1][-1] == 0.3


def tiny():
    return swin.SwinTransformer(4, (2, 1), (1, 2), window=3, drop_path=0.5)


def test_backbone():
    x = draw(2, 24, 16, 3)
    variables = _jit(tiny().init)(jax.random.key(0), x)
    run = lambda module, **options: _jit(functools.partial(module.apply, **options))(variables, x)
    outputs = run(tiny())
    assert [y.shape for y in outputs] == [(2, 6, 4, 4), (2, 3, 2, 8)]
    dropped = run(tiny(), train=True, rngs={"drop_path": jax.random.key(0)})
    assert np.abs(dropped[1] - outputs[1]).max() > 1e-3
    half = run(tiny().clone(dtype=jnp.bfloat16))
    assert half[1].dtype == jnp.bfloat16
    np.testing.assert_allclose(np.float32(half[1]), outputs[1], atol=0.1)


def test_published_swin_tiny():
    checkpoint = manifest.get("swin-tiny")
    expected = checkpoint.expected()
    assert sum(leaf.size for leaf in jax.tree.leaves(expected)) == 27_517_818
    shapes = {
        name: functools.reduce(operator.getitem, entry.path, expected).shape
        for name, entry in checkpoint.table().items()
    }
    assert shapes["patch_embed.proj.weight"] == (4, 4, 3, 96)
    assert shapes["layers.2.blocks.5.attn.relative_position_bias_table"] == (169, 12)
    assert shapes["layers.1.downsample.reduction.weight"] == (768, 384)
    assert "layers.1.downsample.reduction.bias" not in shapes
    assert len(shapes) == len(jax.tree.leaves(expected))


def test_published_names_come_back():
    shapes = jax.eval_shape(tiny().init, jax.random.key(0), draw(1, 8, 8, 3))
    variables = jax.tree.map(lambda leaf: draw(*leaf.shape), dict(shapes))
    entries = swin.conversion_table((2, 1))
    published = table.to_published(entries, variables)
    assert published["layers.0.blocks.1.mlp.fc1.weight"].shape == (16, 4)
    back = table.to_jax(entries, published, variables)
    jax.tree.map(np.testing.assert_array_equal, back, variables)
