"""The matting network, its block and its layers against the published ones."""

import re

import jax
import numpy as np
import pytest

from jaxedit.data import trimaps
from jaxedit.layers import spectral
from jaxedit.layers.convolution import Conv
from jaxedit.layers.convolution.transposed import ConvTranspose
from jaxedit.methods.matting import colour, matte, refinement
from jaxedit.methods.matting.prior_attention import PriorBlock
from jaxedit.models import swin
from jaxedit.weights import table
from jaxedit.weights.table import Entry
from tests.parity import golden, matting_networks

NETWORKS = golden.goldens("network", "matting")
BLOCKS = golden.goldens("past_block", "matting")
SPECTRAL = golden.goldens("spectral", "matting")
PIPELINES = golden.goldens("pipeline", "matting")
UNNAMED_ATOL = 5e-5  # of blocks and pipelines, whose files suggest no tolerance


@pytest.fixture(scope="module", params=NETWORKS, ids=golden.name_of)
def computed(request):
    """Returns (file, module, variables, alphas, encoder features) of one compiled pass."""
    file = matting_networks.load(request.param)
    module, variables = matting_networks.network(request.param, file.salt)

    @jax.jit
    def run(variables, image, trimap):
        alphas, state = module.apply(
            variables, image, trimap, capture_intermediates=lambda m, _: m.name == "encoder"
        )
        return alphas, state["intermediates"]["encoder"]["__call__"][0]

    image = golden.to_nhwc(file.input("image"))
    return file, module, variables, *run(variables, image, file.trimap())


def test_alphas(computed):
    file, _, _, alphas, _ = computed
    for name in ("os1", "os4", "os8"):
        np.testing.assert_allclose(
            golden.to_nchw(np.asarray(alphas[name])),
            file.arrays[f"alpha_{name}"],
            atol=file.atol("alphas"),
            rtol=0,
            err_msg=name,
        )


def test_encoder_features(computed):
    file, *_, features = computed
    names = [name for name in file.arrays if name.startswith("encoder_out")]
    assert len(names) == len(features)
    for name in names:
        index, channels = map(int, re.fullmatch(r"encoder_out(\d+)_first(\d+)ch", name).groups())
        np.testing.assert_allclose(
            golden.to_nchw(np.asarray(features[index]))[:, :channels],
            file.arrays[name],
            atol=file.atol("features"),
            rtol=0,
            err_msg=name,
        )


def test_spectral_norms(computed):
    file, _, variables, *_ = computed
    entries = {
        name: entry.path
        for name, entry in _entries(file).items()
        if name.endswith("weight_bar")
    }
    assert set(entries) == set(file.info["sigma_names"])
    for name, expected in zip(file.info["sigma_names"], file.arrays["sigma"], strict=True):
        kernel = _get(variables, entries[name])
        vectors = _get(variables, (spectral.COLLECTION, *entries[name][1:-1]))
        found = spectral.sigma(kernel, vectors["u"], vectors["v"])
        np.testing.assert_allclose(found, expected, rtol=2e-6, err_msg=name)


def test_every_array_comes_back(computed):
    file, _, variables, *_ = computed
    found = table.to_published(_entries(file), variables)
    published = matting_networks.published(
        file.info["parameters"], file.salt, file.info["fill"]
    )
    assert set(found) == set(published)
    for name, array in published.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def _entries(file):
    options = matting_networks.weights.describe(file.info["parameters"])
    return matting_networks.weights.network_table(options["depths"], options["decoder_blocks"])


def _get(tree, path):
    for key in path:
        tree = tree[key]
    return tree


@pytest.mark.parametrize("path", BLOCKS, ids=golden.name_of)
def test_block(path):
    file = matting_networks.load(path)
    config = file.info["config"]
    batch, height, width, dim = (config[name] for name in ("batch", "H", "W", "dim"))
    parameters = {f"layers.0.blocks.0.{k}": v for k, v in file.info["parameters"].items()}
    arrays = matting_networks.fill.fill_all(file.info["parameters"], file.salt)
    arrays = {f"layers.0.blocks.0.{name}": array for name, array in arrays.items()}
    entries = {k: v for k, v in swin.conversion_table((1,)).items() if k in parameters}
    variables = {"params": table.to_jax(entries, arrays)["params"]["layers_0_0"]}

    slots = ("unknown", "fg", "bg")  # as the published code names them
    memory = [
        file.input("memory", **{"i": index, "|".join(slots): slot})
        for index in range(config["prior_sets"] - 1)
        for slot in slots
    ]
    memory = np.stack(memory, 1) if memory else np.zeros((batch, 0, dim), np.float32)
    block = PriorBlock(config["heads"], config["window"], config["shift"])
    x = file.input("x").reshape(batch, height, width, dim)
    (y, memory), state = jax.jit(
        lambda *inputs: block.apply(
            variables, *inputs, False, capture_intermediates=lambda m, _: m.name == "attn"
        )
    )(x, file.trimap(), memory)

    windows, gained = state["intermediates"]["attn"]["__call__"][0]
    found = {
        "y": y.reshape(batch, height * width, dim),
        "attn_windows": windows.reshape(-1, *windows.shape[2:]),
        "prior_after_attn": gained,
        "shift_mask": swin.window_logits_mask(
            height, width, config["window"], config["shift"]
        ),
    }
    names = [name for name in file.arrays if re.match(r"memory_out\d+_", name)]
    assert len(names) == memory.shape[1] == 3 * config["prior_sets"]
    position = {"unknown": 0, "slot2_background": 1, "slot3_foreground": 2}
    for name in names:
        index, slot = re.fullmatch(r"memory_out(\d+)_(\w+)", name).groups()
        found[name] = memory[:, 3 * int(index) + position[slot]]
    assert set(found) == set(file.arrays) - {"trimap_labels", "relative_position_index"}
    for name, array in found.items():
        if array is None:  # no mask where nothing was shifted
            assert not file.arrays[name].any()
            continue
        np.testing.assert_allclose(
            array, file.arrays[name], atol=UNNAMED_ATOL, rtol=0, err_msg=name
        )


@pytest.mark.parametrize("path", BLOCKS, ids=golden.name_of)
def test_relative_positions(path):
    file = matting_networks.load(path)
    window, tokens = file.info["config"]["window"], 3 * file.info["config"]["prior_sets"]
    rows = (2 * window - 1) ** 2 + tokens
    module = swin.PositionBias(1, window, tokens)
    numbers = np.arange(rows, dtype=np.float32)[:, None]
    bias = module.apply({"params": {"table": numbers}})
    np.testing.assert_array_equal(bias[0], file.arrays["relative_position_index"])


@pytest.mark.parametrize("path", SPECTRAL, ids=golden.name_of)
@pytest.mark.parametrize("kind", ["conv", "deconv"])
def test_spectral_norm_in_training(path, kind):
    file = matting_networks.load(path)
    shapes = file.info["parameters"][kind]
    arrays = matting_networks.published(shapes, file.salt)
    prefix = f"{kind}.module.weight"
    entries = {
        f"{prefix}_bar": Entry(("params", "kernel"), "conv"),
        f"{prefix}_u": Entry((spectral.COLLECTION, "u")),
        f"{prefix}_v": Entry((spectral.COLLECTION, "v")),
    }
    assert set(entries) == set(shapes)
    variables = table.to_jax(entries, arrays)
    outputs, inputs = shapes[f"{prefix}_bar"][:2]
    if kind == "conv":
        layer = Conv(outputs, padding=1, use_bias=False, spectral_norm=True)
    else:
        outputs, inputs = inputs, outputs
        layer = ConvTranspose(outputs, spectral_norm=True)
    batch, *sizes = _spectral_input_shape(file, inputs)
    x = matting_networks.fill.make_input(
        f"spectral.{kind}.x", (batch, inputs, *sizes), file.salt
    )
    vectors = spectral.iterate(variables["params"], variables["spectral"])
    y = jax.jit(layer.apply)({**variables, "spectral": vectors}, golden.to_nhwc(x))
    found = {
        "y": golden.to_nchw(np.asarray(y)),
        "sigma": spectral.sigma(variables["params"]["kernel"], **vectors),
        **vectors,
    }
    for name, array in found.items():
        np.testing.assert_allclose(
            array, file.arrays[f"{kind}_{name}"], atol=2e-6, rtol=2e-6, err_msg=name
        )


def _spectral_input_shape(file, channels):
    """Reads (batch, height, width) of `make_input("...", [2, 6|8, 9, 7])`."""
    batch, both, *sizes = re.search(r"\[([^\]]+)\]", file.info["inputs"]["x"])[1].split(",")
    assert str(channels) in both.strip().split("|")
    return int(batch), *map(int, sizes)


@pytest.mark.parametrize("path", PIPELINES, ids=golden.name_of)
def test_pipeline(path):
    file = matting_networks.load(path)
    module, variables = matting_networks.network(
        matting_networks.network_file_of(path), file.salt
    )
    image = file.arrays["image_rgb"][None]
    trimap = file.arrays["trimap"][None, ..., None]
    batch, _, height, width = file.info["padded_shape"]
    margin = (height - image.shape[1] - -image.shape[1] % 32) // 2
    task = matte.task(margin)
    padded, frames = task.pad({"image": image, "trimap": trimap})
    padded_image, padded_trimap = padded["image"], trimaps.from_levels(padded["trimap"])
    assert padded_image.shape == (batch, height, width, 3)
    np.testing.assert_array_equal(padded_trimap[0, ..., 0], file.arrays["padded_trimap_labels"])
    normalised = colour.normalise(np.float32(padded_image) / np.float32(127.5) - 1)
    corner = file.arrays["padded_image_first_rows"]
    np.testing.assert_allclose(
        golden.to_nchw(np.asarray(normalised))[0, :, : corner.shape[1], : corner.shape[2]],
        corner,
        atol=1e-6,
    )

    @jax.jit
    def run(variables, image, trimap):
        alphas = module.apply(variables, image, colour.one_hot(trimap))
        return alphas, refinement.refine(alphas["os8"], alphas["os4"], alphas["os1"])

    alphas, refined = run(variables, normalised, padded_trimap)
    labels = trimaps.from_levels(trimap)
    os1 = frames["picture"].cut(np.asarray(alphas["os1"]))
    np.testing.assert_allclose(
        os1[0, ..., 0], file.arrays["alpha_os1_cropped"], atol=UNNAMED_ATOL, rtol=0
    )
    finished = task.finished({"alpha": np.asarray(refined)}, frames, {"trimap": labels})
    final = np.rint(255 * finished["alpha"][0, ..., 0])
    expected = file.arrays["alpha_u8"]
    # "floor of 255*alpha; allow a difference of 1": what lies next to a whole number may fall.
    difference = np.abs(final.astype(int) - expected)
    assert difference.max() <= 1 and (difference > 0).mean() < 0.01
    np.testing.assert_array_equal(final[trimap[0, ..., 0] == 0], 0)
    np.testing.assert_array_equal(final[trimap[0, ..., 0] == 255], 255)
