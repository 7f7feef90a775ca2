"""ResNet-50 (He et al., CVPR 2016) as torchvision has it, without the classifier.

MoCo v2 (Chen et al., 2020) trained it without labels: its features tell pictures of any domain
apart, as ArcFace's tell faces. Module names are torchvision's.
"""

from __future__ import annotations

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxedit.layers.convolution import Conv
from jaxedit.layers.normalization import BatchNorm, unit_length
from jaxedit.layers.resampling import resize_nearest
from jaxedit.weights import torch_names
from jaxedit.weights.table import Entry

BLOCKS = (3, 4, 6, 3)
_EXPANSION = 4
_QUERY = "encoder_q."
_SIDE = 224  # pixels that MoCo's features are taken at


class Bottleneck(nn.Module):
    """Convolutions 1x1, 3x3 (with the stride) and 1x1, each with BN, beside a shortcut."""

    features: int  # of the first two; the last has four times as many
    strides: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, ceil(H / strides), ceil(W / strides), 4 features)."""
        y = nn.relu(_norm("bn1", _conv(self.features, 1, 1, "conv1")(x)))
        y = nn.relu(_norm("bn2", _conv(self.features, 3, self.strides, "conv2")(y)))
        y = _norm("bn3", _conv(_EXPANSION * self.features, 1, 1, "conv3")(y))
        if x.shape != y.shape:
            x = _conv(_EXPANSION * self.features, 1, self.strides, "downsample_0")(x)
            x = _norm("downsample_1", x)
        return nn.relu(x + y)


class ResNet50(nn.Module):
    """Features of a picture: the mean over its last map. Always in evaluation mode.

    Attributes:
      blocks: of the four stages.
      width: channels of the first convolution.
    """

    blocks: tuple[int, ...] = BLOCKS
    width: int = 64

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """(B, H, W, 3), normalised as the weights want it -> (B, 32 width)."""
        x = nn.relu(_norm("bn1", _conv(self.width, 7, 2, "conv1")(image)))
        low = jnp.asarray(-jnp.inf, x.dtype)
        x = lax.pad(x, low, ((0, 0, 0), (1, 1, 0), (1, 1, 0), (0, 0, 0)))
        x = nn.max_pool(x, (3, 3), strides=(2, 2))
        for stage, count in enumerate(self.blocks):
            for index in range(count):
                strides = 2 if stage and not index else 1
                name = f"layer{stage + 1}_{index}"
                x = Bottleneck(self.width * 2**stage, strides, name=name)(x)
        return x.mean((1, 2))


def _conv(features: int, size: int, strides: int, name: str) -> Conv:
    start = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
    return Conv(
        features, size, strides, padding=size // 2, use_bias=False, kernel_init=start, name=name
    )


def _norm(name: str, x: jax.Array) -> jax.Array:
    return BatchNorm(name=name)(x, train=False)


def moco_features(network: ResNet50, variables: dict, image: jax.Array) -> jax.Array:
    """Returns unit vectors (B, 32 width) of pictures (B, H, W, 3) in [-1, 1], as encoders compare
    them: brought to 224 pixels by the nearest ones, their colours as they are."""
    return unit_length(network.apply(variables, resize_nearest(image, (_SIDE, _SIDE))))


def conversion_table(blocks: tuple[int, ...] = BLOCKS) -> dict[str, Entry]:
    """Returns torchvision's names -> our places in the variables of `ResNet50`."""
    table = torch_names.convolution("conv1", ("conv1",)) | torch_names.batch_norm("bn1", ("bn1",))
    for stage, count in enumerate(blocks, start=1):
        for index in range(count):
            name, path = f"layer{stage}.{index}", f"layer{stage}_{index}"
            for part in (1, 2, 3):
                table |= torch_names.convolution(f"{name}.conv{part}", (path, f"conv{part}"))
                table |= torch_names.batch_norm(f"{name}.bn{part}", (path, f"bn{part}"))
            if index == 0:
                table |= torch_names.convolution(f"{name}.downsample.0", (path, "downsample_0"))
                table |= torch_names.batch_norm(f"{name}.downsample.1", (path, "downsample_1"))
    return table


def of_moco(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the trained encoder's arrays of a file of MoCo's, without its projection `fc`."""
    named = {name.removeprefix("module."): array for name, array in arrays.items()}
    if any(name.startswith(_QUERY) for name in named):
        # The rest is the momentum encoder, and the queue of negatives.
        named = {n.removeprefix(_QUERY): a for n, a in named.items() if n.startswith(_QUERY)}
    return {name: array for name, array in named.items() if not name.startswith("fc.")}
