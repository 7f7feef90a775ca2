"""AlexNet against an independent re-implementation (see the golden JSON)."""

from pathlib import Path

import jax
import numpy as np

from jaxedit.models import alexnet
from jaxedit.weights import manifest, table
from tests.parity.golden import Golden

GOLDEN = Golden(Path(__file__).parents[1] / "metrics" / "goldens" / "lpips_alex.json")


def test_the_last_layer_matches_the_reimplementation():
    multiplier = np.float32(GOLDEN.info["multiply"]["features"])
    published = {
        name: array * multiplier if array.ndim == 4 else array
        for name, array in GOLDEN.published().items()
    }
    expected = manifest.get("alexnet").expected()
    variables = table.to_jax(alexnet.conversion_table(), published, expected)
    images = GOLDEN.input("image")
    shift, scale = np.float32([-0.030, -0.088, -0.188]), np.float32([0.458, 0.448, 0.450])
    outputs = jax.jit(alexnet.AlexNet().apply)(variables, (images - shift) / scale)
    GOLDEN.compare("last", outputs["relu5"], atol=1e-4)


def test_shapes_at_the_smallest_size():
    images = np.zeros((1, alexnet.MINIMUM, 64, 3), np.float32)
    outputs, _ = jax.eval_shape(alexnet.AlexNet().init_with_output, jax.random.key(0), images)
    shapes = {name: output.shape[1:] for name, output in outputs.items()}
    assert shapes == {
        "relu1": (7, 15, 64), "relu2": (3, 7, 192), "relu3": (1, 3, 384),
        "relu4": (1, 3, 256), "relu5": (1, 3, 256),
    }  # fmt: skip
