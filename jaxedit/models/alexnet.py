"""AlexNet in the one-column form of Krizhevsky, "One weird trick for parallelizing convolutional
neural networks" (arXiv 1404.5997), as torchvision publishes it: the five convolutions only.

Module names are torchvision's (`features.0`, ...), so that a key of the checkpoint leads to a line.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.layers.convolution import Conv
from jaxedit.weights.table import Entry, Table

# Index in torchvision's `features` -> (channels, kernel, stride, padding); a 3x3 max pool with
# stride 2 stands before 3 and 6.
_CONVOLUTIONS = {
    0: (64, 11, 4, 2),
    3: (192, 5, 1, 2),
    6: (384, 3, 1, 1),
    8: (256, 3, 1, 1),
    10: (256, 3, 1, 1),
}
_POOLED_BEFORE = (3, 6)
MINIMUM = 31  # pixels: below, the second pool has nothing left to look at


class AlexNet(nn.Module):
    """The convolutional part, with every rectified layer as an output.

    Attributes:
      dtype: the dtype of the computation; parameters are float32.
    """

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> dict[str, jax.Array]:
        """Returns relu1 to relu5 of normalised images.

        Args:
          x: (B, H, W, 3), normalised as the caller's weights want it; H and W at least 31.

        Returns:
          relu1 (B, h1, w1, 64), relu2 (..., 192), relu3 (..., 384), relu4 and relu5 (..., 256),
          where h1 = (H - 7) // 4 + 1 and each pool makes (h - 3) // 2 + 1 of h.
        """
        outputs = {}
        for number, (index, layer) in enumerate(_CONVOLUTIONS.items(), start=1):
            channels, kernel, stride, padding = layer
            if index in _POOLED_BEFORE:
                x = nn.max_pool(x, (3, 3), strides=(2, 2))
            convolution = Conv(
                channels,
                kernel_size=kernel,
                strides=stride,
                padding=padding,
                dtype=self.dtype,
                name=f"features_{index}",
            )
            x = nn.relu(convolution(x))
            outputs[f"relu{number}"] = x
        return outputs


def conversion_table() -> Table:
    """Returns torchvision's names of the convolutions -> places in the variables of `AlexNet`."""
    table = {}
    for index in _CONVOLUTIONS:
        at = ("params", f"features_{index}")
        table[f"features.{index}.weight"] = Entry((*at, "kernel"), "conv")
        table[f"features.{index}.bias"] = Entry((*at, "bias"))
    return table
