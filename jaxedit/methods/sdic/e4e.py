"""e4e, the encoder of pictures into codes of every layer (Tov et al., SIGGRAPH 2021).

An IR-SE trunk, a pyramid over its last three groups, and one head per code: the first head gives
the code of all layers, every other what its layer differs by. Module names are those of the
published files.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.errors import UserError
from jaxedit.layers import initializers
from jaxedit.layers.convolution import Conv
from jaxedit.layers.resampling import resize_bilinear
from jaxedit.models import irse
from jaxedit.models.stylegan2.generator import code_count
from jaxedit.models.stylegan2.layers import EqualLinear
from jaxedit.weights import torch_names
from jaxedit.weights.table import Entry

# Heads on the map at 1/16 and 1/8 size; the others are on the one at 1/4.
_COARSE, _MIDDLE = 3, 7
_HALVINGS = (4, 5, 6)  # of a head on each of these maps: down to a pixel at 256 pixels


class StyleHead(nn.Module):
    """Convolutions that halve a map until one pixel is left, and a dense layer.

    Attributes:
      features: length of a code.
      halvings: how many convolutions; on a single pixel they keep it.
      width: channels of the convolutions.
    """

    features: int
    halvings: int
    width: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C), at most 2^halvings pixels a side -> (B, features)."""
        for index in range(self.halvings):
            x = torch_conv(x, self.width, 3, 2, name=f"convs_{2 * index}")
            x = nn.leaky_relu(x)
        return EqualLinear(self.features, name="linear")(x[:, 0, 0])


class Encoder(nn.Module):
    """Pictures to codes, relative to the generator's average code.

    Attributes:
      codes: how many the generator takes.
      style_width: length of a code.
      blocks, width: of the trunk, see `irse.Trunk`.
      head_width: channels of the heads; the published ones have as many as a code has numbers, and
        0 is that.
      axis_name, remat: likewise.
    """

    codes: int = 18
    style_width: int = 512
    blocks: tuple[int, ...] = irse.DEPTHS[50]
    width: int = 64
    head_width: int = 0
    axis_name: str | None = None
    remat: bool = False

    @nn.compact
    def __call__(
        self, image: jax.Array, *, train: bool = False, deltas: int | jax.Array | None = None
    ) -> jax.Array:
        """Returns codes (B, codes, W), to which the average code is still to be added.

        Args:
          image: (B, H, W, 3) in [-1, 1], at most 256 pixels a side; both multiples of 16.
          train: whether batch statistics are used and updated.
          deltas: how many codes after the first differ from it, as progressive training switches
            them on one by one; None for all. A traced number compiles one program for all.

        Raises:
          UserError: the picture is too large.
        """
        if max(image.shape[1:3]) > 256:
            raise UserError(
                f"The encoder takes pictures of at most 256 pixels a side, not "
                f"{image.shape[2]} x {image.shape[1]}: scale them down."
            )
        trunk = irse.Trunk(
            self.blocks, self.width, axis_name=self.axis_name, remat=self.remat, name="trunk"
        )
        _, fine, middle, coarse = trunk(image, train=train)
        for name, features in (("c1", fine), ("c2", middle), ("c3", coarse)):
            self.sow("intermediates", name, features)
        width = coarse.shape[-1]
        middle = _up(coarse, middle) + torch_conv(middle, width, 1, name="latlayer1")
        fine = _up(middle, fine) + torch_conv(fine, width, 1, name="latlayer2")
        rows, head_width = [], self.head_width or self.style_width
        for index in range(self.codes):
            level = (index >= _COARSE) + (index >= _MIDDLE)
            head = StyleHead(
                self.style_width, _HALVINGS[level], head_width, name=f"styles_{index}"
            )
            rows.append(head((coarse, middle, fine)[level]))
        first, differences = rows[0], jnp.stack(rows[1:], 1)
        if deltas is not None:
            differences *= (jnp.arange(1, self.codes) <= deltas)[:, None]
        return jnp.concatenate([first[:, None], first[:, None] + differences], 1)


def torch_conv(
    x: jax.Array, features: int, size: int, strides: int = 1, *, name: str
) -> jax.Array:
    """Applies a convolution with a bias, initialised as PyTorch does; padded to keep the size."""
    return Conv(
        features, size, strides, padding=size // 2, kernel_init=initializers.torch_kernel,
        bias_init=initializers.torch_bias(size * size * x.shape[-1]), name=name,
    )(x)


def _up(x: jax.Array, like: jax.Array) -> jax.Array:
    return resize_bilinear(x, like.shape[1:3], align_corners=True)


def encoder_table(codes: int = 18, blocks: tuple[int, ...] = irse.DEPTHS[50]) -> dict[str, Entry]:
    """Returns the published names -> our places in the variables of `Encoder`."""
    table = irse.trunk_table(blocks, path=("trunk",))
    for name in ("latlayer1", "latlayer2"):
        table |= torch_names.convolution(name, (name,), bias=True)
    for index in range(codes):
        level = (index >= _COARSE) + (index >= _MIDDLE)
        for step in range(_HALVINGS[level]):
            table |= torch_names.convolution(
                f"styles.{index}.convs.{2 * step}", (f"styles_{index}", f"convs_{2 * step}"),
                bias=True,
            )
        table |= torch_names.linear(f"styles.{index}.linear", (f"styles_{index}", "linear"))
    return table


def encoder_of(generator_size: int, **options) -> Encoder:
    """Returns the encoder for a generator of that size, see `Encoder` for `options`."""
    return Encoder(code_count(generator_size), **options)
