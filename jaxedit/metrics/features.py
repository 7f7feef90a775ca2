"""What turns images into feature vectors for FID, KID and IDS, and runs networks on batches.

`inception` is the published extractor. `random_features` needs no download: a small convolutional
network with fixed random weights. Figures on it order systems coarsely, mean nothing in absolute
terms, and always carry `random_features` in their names.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.host import levels
from jaxedit.models import inception
from jaxedit.weights import convert

_CHUNK = 8  # images per call, so that every batch size runs the same compiled program


class Extractor:
    """Images (B, H, W, 3) in [-1, 1] to features (B, `features`) float32.

    Images are rounded to 8 bits first, as if they had been saved to PNG, which is what every
    published figure rests on.
    """

    def __init__(self, function: Callable[[Any, jax.Array], jax.Array], variables: Any,
                 features: int):
        self.features = features
        self._run = in_chunks(function, variables)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return self._run(levels.of_picture(images).astype(np.float32) / np.float32(255))


def inception_extractor(weights_dir: str | Path | None = None) -> Extractor:
    """Returns the extractor of FID: 2048 features of the 2015 Inception at 299x299 pixels.

    Raises:
      PretrainedWeightsMissing: the weights "inception-fid" are not in `weights_dir`.
    """
    variables = convert.load("inception-fid", weights_dir)
    return Extractor(inception.FIDInception().apply, variables, inception.FEATURES)


@functools.cache
def random_extractor() -> Extractor:
    """Returns the stand-in: 112 features of three random convolutions, the same everywhere."""
    rng = np.random.default_rng(20150512)
    kernels = []
    for inputs, outputs in zip((3, *_RANDOM_CHANNELS[:-1]), _RANDOM_CHANNELS, strict=True):
        values = rng.standard_normal((3, 3, inputs, outputs)) * np.sqrt(2 / (9 * inputs))
        kernels.append(values.astype(np.float32))
    return Extractor(_random_network, kernels, sum(_RANDOM_CHANNELS))


_RANDOM_CHANNELS = (16, 32, 64)


def _random_network(kernels: list[jax.Array], images: jax.Array) -> jax.Array:
    """Three 3x3 convolutions with stride 2 and ReLU; the spatial means of all three layers."""
    x, pooled = 2 * images - 1, []
    for kernel in kernels:
        x = jax.lax.conv_general_dilated(
            x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = jax.nn.relu(x)
        pooled.append(jnp.mean(x, axis=(1, 2)))
    return jnp.concatenate(pooled, axis=-1)


def in_chunks(
    function: Callable[..., jax.Array], variables: Any
) -> Callable[..., np.ndarray]:
    """Returns NumPy batches of any size -> rows, compiled once per image size.

    Args:
      function: (variables, *batches) -> an array with the samples as first axis; samples must not
        influence each other.
      variables: a pytree, put on the device once.
    """
    # Accelerators would round products to bfloat16 or TF32, and figures would depend on them.
    compiled = jax.jit(function)
    variables = jax.device_put(variables)

    def run(*batches: np.ndarray) -> np.ndarray:
        count = len(batches[0])
        rows = []
        with jax.default_matmul_precision("highest"):
            for start in range(0, max(count, 1), _CHUNK):
                parts = [_filled(batch[start : start + _CHUNK]) for batch in batches]
                rows.append(np.asarray(compiled(variables, *parts)))
        return np.concatenate(rows)[:count]

    return run


def _filled(part: np.ndarray) -> np.ndarray:
    """Fills a part of a batch up to a whole chunk with grey images."""
    missing = _CHUNK - len(part)
    return np.pad(part, ((0, missing), *((0, 0) for _ in part.shape[1:])))
