"""VGG feature extractors: layers, sizes, conversion. The golden test compares their values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.models import imagenet, vgg
from jaxedit.weights import table

IMAGE = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)


def variables_of(module):
    return jax.eval_shape(module.init, jax.random.key(0), IMAGE)


@pytest.mark.parametrize(("depth", "count"), [(16, 14_714_688), (19, 20_024_384)])
def test_parameters_and_table(depth, count):
    module = vgg.VGG(depth)
    variables = variables_of(module)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == count
    published = {
        name: np.zeros(_torch_shape(variables, entry), np.float32)
        for name, entry in vgg.conversion_table(depth).items()
    }
    published["classifier.0.weight"] = np.zeros((2, 2), np.float32)
    converted = vgg.convert(published, depth)
    assert jax.tree.map(np.shape, converted) == jax.tree.map(np.shape, dict(variables))


def _torch_shape(variables, entry):
    leaf = variables
    for key in entry.path:
        leaf = leaf[key]
    return leaf.shape if entry.kind == "same" else tuple(leaf.shape[i] for i in (3, 2, 0, 1))


def test_torchvision_indices():
    names = list(vgg.conversion_table(16))
    kept = [int(name.split(".")[1]) for name in names if name.endswith("weight")]
    assert kept == [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]


def test_stops_at_the_deepest_wanted_layer():
    module = vgg.VGG(16, layers=("relu1_2", "relu3_3"))
    variables = variables_of(module)
    assert set(variables["params"]) == {
        f"conv{name}" for name in ("1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3")
    }
    features = jax.eval_shape(module.apply, variables, IMAGE)
    assert {name: f.shape for name, f in features.items()} == {
        "relu1_2": (1, 32, 32, 64),
        "relu3_3": (1, 8, 8, 256),
    }
    full = {
        name: np.zeros((1, 1, 1, 1) if name.endswith("weight") else 1, np.float32)
        for name in vgg.conversion_table(16)
    }
    converted = vgg.convert(full, 16, last="relu3_3")
    assert set(converted["params"]) == set(variables["params"])


def test_bad_names_and_files():
    with pytest.raises(UserError, match="VGG-16 has no layer 'relu3_4'"):
        variables_of(vgg.VGG(16, layers=("relu3_4",)))
    with pytest.raises(UserError, match="no VGG-13"):
        vgg.layer_names(13)
    lacking = {name: np.zeros(1) for name in list(vgg.conversion_table(19))[2:]}
    with pytest.raises(UserError, match="missing 'features.0.weight'"):
        vgg.convert(lacking, 19)


def test_normalisation():
    image = jnp.array([[[[-1.0, 0.0, 1.0]]]])
    np.testing.assert_allclose(
        imagenet.normalise(image)[0, 0, 0],
        [-0.485 / 0.229, (0.5 - 0.456) / 0.224, (1 - 0.406) / 0.225],
        rtol=1e-5,
    )


def test_round_trip():
    entries = vgg.conversion_table(16, "relu1_2")
    rng = np.random.default_rng(0)
    shapes = [(64, 3, 3, 3), (64,), (64, 64, 3, 3), (64,)]
    published = {
        name: rng.standard_normal(shape).astype(np.float32)
        for name, shape in zip(entries, shapes, strict=True)
    }
    back = table.to_published(entries, vgg.convert(published, 16, "relu1_2"))
    for name, array in published.items():
        np.testing.assert_array_equal(back[name], array)


def test_average_pools():
    image = np.random.default_rng(0).standard_normal((1, 4, 4, 3)).astype(np.float32)
    module = vgg.VGG(19, layers=("relu1_2", "relu2_1"), channels=2, pool="average")
    variables = vgg.random_features(module)
    found = module.apply(variables, image)
    cells = np.asarray(found["relu1_2"]).reshape(1, 2, 2, 2, 2, 2).mean((2, 4))
    kernel = variables["params"]["conv2_1"]["kernel"]
    expected = jax.nn.relu(jax.lax.conv_general_dilated(
        cells, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    ))
    np.testing.assert_allclose(found["relu2_1"], expected, atol=1e-5)
