"""The convolutional encoder, with and without guided attention, against GCA-Matting's."""

import re

import jax
import numpy as np
import pytest

from jaxedit.methods.matting.resnet import ResNetEncoder
from jaxedit.weights import table
from jaxedit.weights.table import Entry
from tests.parity import golden, matting_networks

FILES = golden.goldens("resnet_encoder", "matting")
# Published names of modules against ours, applied in order.
_MODULES = (
    (r"layer_bottleneck", r"layer4"),
    (r"(layer\d)\.(\d)", r"\1_\2"),
    (r"downsample\.1", r"skip_conv"),
    (r"downsample\.2", r"skip_bn"),
    (r"shortcut\.(\d)\.0", r"shortcut_\1.conv1"),
    (r"shortcut\.(\d)\.2", r"shortcut_\1.bn1"),
    (r"shortcut\.(\d)\.3", r"shortcut_\1.conv2"),
    (r"shortcut\.(\d)\.5", r"shortcut_\1.bn2"),
    (r"guidance_head\.1\b", r"guidance_head.conv1"),
    (r"guidance_head\.3\b", r"guidance_head.bn1"),
    (r"guidance_head\.5\b", r"guidance_head.conv2"),
    (r"guidance_head\.7\b", r"guidance_head.bn2"),
    (r"guidance_head\.9\b", r"guidance_head.conv3"),
    (r"guidance_head\.11\b", r"guidance_head.bn3"),
    (r"gca\.guidance_conv", r"guided_attention.guidance_conv"),
    (r"gca\.W\.0", r"guided_attention.out_conv"),
    (r"gca\.W\.1", r"guided_attention.out_bn"),
    (r"\.module", r""),
)
_LEAVES = {
    "weight_bar": ("params", "kernel"),
    "bias": ("params", "bias"),
    "weight_u": ("spectral", "u"),
    "weight_v": ("spectral", "v"),
    "running_mean": ("batch_stats", "mean"),
    "running_var": ("batch_stats", "var"),
}


def _entry(name, shape):
    *path, leaf = name.split(".")
    path = ".".join(path)
    for published, ours in _MODULES:
        path = re.sub(published, ours, path)
    if leaf == "weight":
        collection, leaf = "params", "kernel" if len(shape) == 4 else "scale"
    else:
        collection, leaf = _LEAVES[leaf]
    kind = "conv" if len(shape) == 4 else "same"
    return Entry((collection, *path.split("."), leaf), kind)


@pytest.mark.parametrize("path", FILES, ids=golden.name_of)
def test_features(path):
    file = matting_networks.load(path)
    shapes = file.info["parameters"]
    module = ResNetEncoder(
        width=shapes["conv1.module.weight_bar"][0],
        guided_attention="gca.guidance_conv.weight" in shapes,
    )
    factor = np.float32(file.info["inputs"]["image"].get("factor", 1))
    image = factor * golden.to_nhwc(file.input("image"))
    trimap = file.trimap()
    expected = jax.eval_shape(lambda: module.init(jax.random.key(0), image, trimap, train=False))
    variables = table.to_jax(
        {name: _entry(name, shape) for name, shape in shapes.items()},
        matting_networks.published(shapes, file.salt, file.info["fill"]),
        expected,
        path.name,
    )
    features = jax.jit(lambda variables: module.apply(variables, image, trimap, train=False))(
        variables
    )
    names = list(file.info["outputs"])
    assert len(names) == len(features)
    for name, feature in zip(names, features, strict=True):
        steps = file.info["outputs"][name]
        channels, pixels = steps["channel_step"], steps["pixel_step"]
        np.testing.assert_allclose(
            golden.to_nchw(np.asarray(feature))[:, ::channels, ::pixels, ::pixels],
            file.arrays[name],
            atol=file.atol("features"),
            rtol=0,
            err_msg=name,
        )
