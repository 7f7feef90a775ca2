"""ResNet-50: published shapes, and a narrow one against NumPy by the published names."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.layers.convolution.trilinear import Geometry
from jaxedit.models import resnet50
from jaxedit.weights import table
from tests.fake_run import drawn
from tests.layers.convolution import tap_by_tap


def test_published_shapes():
    network = resnet50.ResNet50()
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    empty = jax.tree.map(lambda leaf: np.broadcast_to(0.0, leaf.shape), shapes)
    arrays = table.to_published(resnet50.conversion_table(), empty)
    # What torchvision's resnet50 has without `fc`: 23,508,032 parameters and 53 norms.
    counted = sum(a.size for name, a in arrays.items() if "running" not in name)
    assert counted == 23_508_032 and len(arrays) == 53 * 5
    assert arrays["layer3.0.downsample.0.weight"].shape == (1024, 512, 1, 1)


def test_narrow():
    blocks = (2, 1, 1, 1)
    network = resnet50.ResNet50(blocks, width=3)
    rng = np.random.default_rng(1)
    image = rng.standard_normal((2, 33, 40, 3)).astype(np.float32)
    variables = drawn(jax.eval_shape(network.init, jax.random.key(0), image))
    p = table.to_published(resnet50.conversion_table(blocks), variables)

    def conv(name, x, stride=1):
        weight = p[f"{name}.weight"].transpose(2, 3, 1, 0)
        geometry = Geometry(x.shape, weight.shape, stride, weight.shape[0] // 2, 1)
        nothing = np.zeros(geometry.output_shape)
        return tap_by_tap.functions(geometry, x, weight, nothing)["forward"]

    def norm(name, x):
        part = lambda key: p[f"{name}.{key}"]
        return (x - part("running_mean")) / np.sqrt(part("running_var") + 1e-5) * part(
            "weight") + part("bias")

    relu = lambda x: np.maximum(x, 0)
    x = relu(norm("bn1", conv("conv1", image.astype(np.float64), 2)))
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    rows, columns = (-(-n // 2) for n in x.shape[1:3])
    x = np.max([padded[:, i : i + 2 * rows : 2][:, :rows, j : j + 2 * columns : 2][:, :, :columns]
                for i in range(3) for j in range(3)], axis=0)
    for stage, count in enumerate(blocks, start=1):
        for index in range(count):
            at, stride = f"layer{stage}.{index}", 2 if stage > 1 and index == 0 else 1
            y = relu(norm(f"{at}.bn1", conv(f"{at}.conv1", x)))
            y = relu(norm(f"{at}.bn2", conv(f"{at}.conv2", y, stride)))
            y = norm(f"{at}.bn3", conv(f"{at}.conv3", y))
            if index == 0:
                x = norm(f"{at}.downsample.1", conv(f"{at}.downsample.0", x, stride))
            x = relu(x + y)
    expected = x.mean((1, 2))
    found = jax.jit(network.apply)(variables, image)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    whole = resnet50.moco_features(network, variables, jnp.asarray(image))
    np.testing.assert_allclose(np.linalg.norm(whole, axis=-1), 1, rtol=1e-5)
