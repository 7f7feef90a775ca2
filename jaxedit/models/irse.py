"""The residual trunk of face recognition, IR and IR-SE (Deng et al., "ArcFace", CVPR 2019), which
encoders of faces are built on too.

Module names are those of the published files (`body.3.res_layer.1` is `body_3/res_layer_1`).
"""

from __future__ import annotations

import flax.linen as nn
import jax

from jaxedit.layers import initializers
from jaxedit.layers.activation import PReLU
from jaxedit.layers.convolution import Conv
from jaxedit.layers.normalization import BatchNorm
from jaxedit.weights import torch_names
from jaxedit.weights.table import Entry

# Layers that the name counts -> blocks of each of the four groups, whose first block halves.
DEPTHS = {50: (3, 4, 14, 3), 100: (3, 13, 30, 3), 152: (3, 8, 36, 3)}
WIDTHS = (1, 2, 4, 8)  # of the groups, in multiples of the first
_REDUCTION = 16  # of the squeeze


def conv(features: int, size: int, strides: int = 1, *, name: str) -> Conv:
    """Returns a convolution without bias that keeps the size but for its stride."""
    return Conv(
        features, size, strides, padding=size // 2, use_bias=False,
        kernel_init=initializers.torch_kernel, name=name,
    )


class Block(nn.Module):
    """BN, convolution, PReLU, convolution with the stride, BN, squeeze and excitation; a shortcut.

    The shortcut picks every stride-th pixel where the width stays, and is a 1x1 convolution with
    BN where it changes.

    Attributes:
      features: output channels.
      strides: of the second convolution.
      squeeze: whether channels are weighted by what the whole map holds (SE).
      axis_name: as in `layers.normalization.BatchNorm`.
    """

    features: int
    strides: int = 1
    squeeze: bool = True
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """(B, H, W, C) -> (B, ceil(H / strides), ceil(W / strides), features)."""
        norm = lambda name, y: BatchNorm(axis_name=self.axis_name, name=name)(y, train=train)
        if x.shape[-1] == self.features:
            shortcut = x[:, :: self.strides, :: self.strides]
        else:
            shortcut = conv(self.features, 1, self.strides, name="shortcut_layer_0")(x)
            shortcut = norm("shortcut_layer_1", shortcut)
        y = norm("res_layer_0", x)
        y = conv(self.features, 3, name="res_layer_1")(y)
        y = PReLU(name="res_layer_2")(y)
        y = conv(self.features, 3, self.strides, name="res_layer_3")(y)
        y = norm("res_layer_4", y)
        if self.squeeze:
            gate = y.mean((1, 2), keepdims=True)
            inner = max(1, self.features // _REDUCTION)
            gate = nn.relu(conv(inner, 1, name="res_layer_5_fc1")(gate))
            y = y * nn.sigmoid(conv(self.features, 1, name="res_layer_5_fc2")(gate))
        return y + shortcut


class Trunk(nn.Module):
    """Convolution, BN, PReLU, then four groups of blocks, each of which halves the size.

    Attributes:
      blocks: of the groups, see `DEPTHS`.
      width: channels of the first group; 64 as published.
      squeeze: IR-SE, or IR without.
      axis_name: as in `layers.normalization.BatchNorm`.
      remat: whether the blocks' activations are computed again in the backward pass.
    """

    blocks: tuple[int, ...] = DEPTHS[50]
    width: int = 64
    squeeze: bool = True
    axis_name: str | None = None
    remat: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> list[jax.Array]:
        """Returns the output of every group.

        Args:
          x: (B, H, W, 3) in [-1, 1].
          train: whether batch statistics are used and updated.

        Returns:
          Four maps of 1, 2, 4 and 8 times `width` channels, at 1/2, 1/4, 1/8 and 1/16 size.
        """
        x = conv(self.width, 3, name="input_layer_0")(x)
        x = BatchNorm(axis_name=self.axis_name, name="input_layer_1")(x, train=train)
        x = PReLU(name="input_layer_2")(x)
        block = nn.remat(Block, static_argnums=(2,)) if self.remat else Block
        groups, number = [], 0
        for count, multiple in zip(self.blocks, WIDTHS, strict=True):
            for index in range(count):
                x = block(
                    multiple * self.width, 1 if index else 2, self.squeeze, self.axis_name,
                    name=f"body_{number}",
                )(x, train)
                number += 1
            groups.append(x)
        return groups


def trunk_table(
    blocks: tuple[int, ...] = DEPTHS[50], squeeze: bool = True, path: tuple[str, ...] = ()
) -> dict[str, Entry]:
    """Returns the published names of a trunk -> our places, below the modules of `path`."""
    table = torch_names.convolution("input_layer.0", (*path, "input_layer_0"))
    table |= torch_names.batch_norm("input_layer.1", (*path, "input_layer_1"))
    table |= torch_names.prelu("input_layer.2", (*path, "input_layer_2"))
    number = 0
    for group, count in enumerate(blocks):
        for index in range(count):
            widens = group > 0 and index == 0
            table |= block_table(
                f"body.{number}", (*path, f"body_{number}"), squeeze=squeeze, widens=widens
            )
            number += 1
    return table


def block_table(name: str, path: tuple[str, ...], *, squeeze: bool, widens: bool) -> dict:
    """Returns the published names of one block -> our places; `widens`: it changes the width."""
    inside = lambda part: (*path, part)
    table = torch_names.batch_norm(f"{name}.res_layer.0", inside("res_layer_0"))
    table |= torch_names.convolution(f"{name}.res_layer.1", inside("res_layer_1"))
    table |= torch_names.prelu(f"{name}.res_layer.2", inside("res_layer_2"))
    table |= torch_names.convolution(f"{name}.res_layer.3", inside("res_layer_3"))
    table |= torch_names.batch_norm(f"{name}.res_layer.4", inside("res_layer_4"))
    if squeeze:
        for part in ("fc1", "fc2"):
            at = inside(f"res_layer_5_{part}")
            table |= torch_names.convolution(f"{name}.res_layer.5.{part}", at)
    if widens:
        table |= torch_names.convolution(f"{name}.shortcut_layer.0", inside("shortcut_layer_0"))
        table |= torch_names.batch_norm(f"{name}.shortcut_layer.1", inside("shortcut_layer_1"))
    return table
