"""Published names against ours, and starting a network from published weights."""

import dataclasses

import jax
import numpy as np
import pytest
import safetensors.numpy
from flax import traverse_util

from jaxedit.errors import PretrainedWeightsMissing, UserError
from jaxedit.methods.matting import weights
from jaxedit.models import swin
from jaxedit.run import starting
from jaxedit.state import State, put
from jaxedit.weights import convert, manifest, table
from tests.methods.matting import networks
from tests.parity import fill

DEPTHS, BLOCKS = networks.TINY["depths"], networks.TINY["decoder_blocks"]


def draw(shapes):
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda s: rng.standard_normal(s.shape).astype(np.float32), shapes)


def variables(**options):
    return networks.drawn(networks.tiny(**options))


def swin_weights(**options):
    module = swin.SwinTransformer(
        *(networks.TINY[name] for name in ("embed_dim", "depths", "heads", "window")), **options
    )
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32)
    return draw(dict(jax.eval_shape(module.init, jax.random.key(0), image)))["params"]


def test_round_trip_by_the_fill_rule():
    shapes = networks.shapes(networks.tiny())
    entries = weights.network_table(DEPTHS, BLOCKS)
    names = table.to_published(entries, draw(shapes))
    published = fill.fill_all({name: array.shape for name, array in names.items()})
    back = table.to_published(entries, table.to_jax(entries, published, shapes))
    assert set(back) == set(published)
    for name, array in published.items():
        np.testing.assert_array_equal(back[name], array, err_msg=name)


def test_published_names_and_shapes():
    checkpoint = manifest.get("dpt")
    entries = checkpoint.table()
    expected = traverse_util.flatten_dict(checkpoint.expected(), sep="/")
    shapes = {name: expected["/".join(entry.path)].shape for name, entry in entries.items()}
    assert len(shapes) == len(expected) == 457
    # A 4 x 4 transposed kernel is (in, out, h, w) there and (h, w, out, in) here.
    assert shapes["decoder.layer1.0.conv1.module.weight_bar"] == (4, 4, 512, 512)
    assert shapes["decoder.conv1.module.weight_v"] == (32 * 16,)
    assert shapes["encoder.layers.2.blocks.5.attn.relative_position_bias_table"] == (187, 12)
    assert shapes["encoder.patch_embed.proj.weight"] == (4, 4, 6, 96)


def test_a_files_names_tell_the_network():
    published = table.to_published(weights.network_table(DEPTHS, BLOCKS), variables())
    found = weights.describe({name: array.shape for name, array in published.items()})
    assert found == networks.TINY
    with pytest.raises(UserError, match="no file of DPT or MatteFormer.* first names are head.w"):
        weights.describe({"head.weight": (1000, 768)})


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Makes the manifest's entries tiny; returns a function that converts arrays under a name."""
    small = {"module": networks.tiny(), "swin": swin.SwinTransformer(
        *(networks.TINY[name] for name in ("embed_dim", "depths", "heads", "window"))
    )}
    for name in (*weights.PUBLISHED, weights.SWIN):
        whole = name != weights.SWIN
        entries = weights.network_table(DEPTHS, BLOCKS) if whole else swin.conversion_table(DEPTHS)
        tiny = dataclasses.replace(
            manifest.get(name),
            table=lambda entries=entries: entries,
            network=lambda whole=whole: small["module" if whole else "swin"],
            nested=(),  # safetensors files nest nothing
        )
        monkeypatch.setitem(manifest.entries(), name, tiny)

    def write(name, tree, extra):
        prefix = "" if name == weights.SWIN else "module."
        arrays = table.to_published(manifest.get(name).table(), tree)
        arrays = {prefix + key: array for key, array in arrays.items()} | extra
        safetensors.numpy.save_file(arrays, tmp_path / "file")
        convert.convert(name, tmp_path / "file", weights_dir=tmp_path)
        return tmp_path

    return write


def start_from(name, state):
    def fit(value, fresh):
        return weights.fit(value.source.removeprefix("weights:"), value.tree, fresh)

    for value in starting.read(weights.starting_values(name, "network"), {}):
        state = put(state, value, fit)
    return state


@pytest.mark.parametrize("name", weights.PUBLISHED)
def test_start_from_a_published_network(published, name, monkeypatch):
    tree = variables()
    layer = "module.encoder.layers.0.blocks.0.attn.relative_position_index"
    extra = {
        layer: np.zeros((9, 12), np.int64),
        "module.decoder.bn1.num_batches_tracked": np.asarray(3),
    }
    folder = published(name, tree, extra)
    stats = {key: tree[key] for key in ("batch_stats", "spectral")}
    monkeypatch.setenv("JAXEDIT_WEIGHTS", str(folder))
    zeros = jax.tree.map(np.zeros_like, (tree["params"], stats))
    started = start_from(name, State(0, {"network": zeros[0]}, {"network": zeros[1]}))
    jax.tree.map(np.testing.assert_array_equal, started.params["network"], tree["params"])
    jax.tree.map(np.testing.assert_array_equal, started.stats["network"], stats)
    other = variables(width=8)
    stats = {key: other[key] for key in stats}
    with pytest.raises(UserError, match=f"weights '{name}' do not fit this network: 'batch_stats/"):
        start_from(name, State(0, {"network": other["params"]}, {"network": stats}))


def test_start_from_a_published_swin(published, monkeypatch):
    params = swin_weights()
    extra = {
        "norm.weight": np.ones(32, np.float32),
        "head.bias": np.ones(10, np.float32),
        "layers.0.blocks.1.attn_mask": np.ones((4, 9, 9), np.float32),
    }
    folder = published(weights.SWIN, {"params": params}, extra)
    tree = variables()
    stats = {key: tree[key] for key in ("batch_stats", "spectral")}
    monkeypatch.setenv("JAXEDIT_WEIGHTS", str(folder))
    fresh = State(0, {"network": tree["params"]}, {"network": stats})
    started = start_from(weights.SWIN, fresh)
    jax.tree.map(np.testing.assert_array_equal, started.stats["network"], stats)
    expected = weights.swin_initialisation(tree["params"], params)
    jax.tree.map(np.testing.assert_array_equal, started.params["network"], expected)


def test_absent_weights_say_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXEDIT_WEIGHTS", str(tmp_path))
    with pytest.raises(PretrainedWeightsMissing, match="weights convert matteformer FILE"):
        start_from("matteformer", State(0))


@pytest.mark.parametrize("rng", [None, 0])
def test_swin_fills_the_transformer_and_leaves_the_rest(rng):
    params, source = variables()["params"], swin_weights()
    key = None if rng is None else jax.random.key(rng)
    found = weights.swin_initialisation(params, source, key)
    jax.tree.map(np.testing.assert_array_equal, found["decoder"], params["decoder"])
    encoder, start, flat = (
        traverse_util.flatten_dict(tree, sep="/")
        for tree in (found["encoder"], params["encoder"], source)
    )
    assert set(encoder) == set(start)
    fresh = set()
    for path, array in encoder.items():
        if path not in flat:
            assert path.startswith(("norm", "shortcut_"))
            np.testing.assert_array_equal(array, start[path])
        elif flat[path].shape == array.shape:
            np.testing.assert_array_equal(array, flat[path])
        else:
            fresh.add(path)
    tables = {f"layers_{i}_{j}/attn/bias/table" for i, depth in enumerate(DEPTHS)
              for j in range(depth)}
    assert fresh == tables | {"patch_embed/proj/kernel"}
    kernel, before = encoder["patch_embed/proj/kernel"], start["patch_embed/proj/kernel"]
    np.testing.assert_array_equal(kernel[:, :, :3], flat["patch_embed/proj/kernel"])
    assert (kernel[:, :, 3:] == before[:, :, 3:]).all() == (key is None)
    rows, before = encoder["layers_0_1/attn/bias/table"], start["layers_0_1/attn/bias/table"]
    np.testing.assert_array_equal(rows[:25], flat["layers_0_1/attn/bias/table"])
    assert rows.shape == (31, 1) and (rows[25:] == before[25:]).all() == (key is None)


def test_swin_of_another_size_is_refused():
    params = variables()["params"]
    with pytest.raises(UserError, match="embed_dim, heads and window of those weights"):
        weights.swin_initialisation(variables(embed_dim=8)["params"], swin_weights())
    with pytest.raises(UserError, match="have 'extra', unlike this network"):
        weights.swin_initialisation(params, {**swin_weights(), "extra": np.zeros(1)})
    short = {k: v for k, v in swin_weights().items() if k != "layers_0_1"}
    with pytest.raises(UserError, match="lack 'layers_0_1/"):
        weights.swin_initialisation(params, short)
