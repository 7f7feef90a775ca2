"""DICN, the discrepancy information compensation network (SDIC, section 3; class `SAF`).

The predicted discrepancy becomes a gated addition to one feature map of the generator, and a scale
and a shift of every code. Module names are those of the published files.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.errors import UserError
from jaxedit.layers import initializers
from jaxedit.layers.activation import PReLU
from jaxedit.layers.normalization import BatchNorm
from jaxedit.layers.resampling import resize_bilinear
from jaxedit.methods.sdic.dipn import Basic
from jaxedit.models import irse
from jaxedit.models.stylegan2.layers import EqualConv

SCALE = 4  # the discrepancy has so many times the side of the feature map
PARTS = ("both", "codes", "feature")


def rows(maps: int, side: int, style_width: int) -> int:
    """Returns how many rows of a code's length the maps are cut into.

    Raises:
      UserError: they do not divide into whole rows.
    """
    values = maps * side * side
    if values % style_width or values < 2 * style_width:
        raise UserError(
            f"{maps} maps of {side} x {side} pixels do not divide into rows of {style_width}, the "
            "length of a code. Choose another tap, or a generator of another style width: both as "
            "powers of two, the width at most eight times the square of the tap."
        )
    return values // style_width


class Conv1d(nn.Module):
    """A convolution along the second axis that keeps its length: `kernel` (k, I, O), and `bias`.

    Attributes:
      features: output channels.
      kernel_size: odd.
      use_bias: whether there is a bias.
    """

    features: int
    kernel_size: int = 1
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, L, I) -> (B, L, features)."""
        size, inputs = self.kernel_size, x.shape[-1]
        shape = (size, inputs, self.features)
        kernel = initializers.parameter(self, "kernel", initializers.torch_kernel, shape)
        padded = jnp.pad(x, ((0, 0), (size // 2, size // 2), (0, 0)))
        # Neighbours as channels of a dense layer.
        neighbours = [padded[:, tap : tap + x.shape[1]] for tap in range(size)]
        y = jnp.concatenate(neighbours, -1) @ kernel.reshape(size * inputs, self.features)
        if self.use_bias:
            start = initializers.torch_bias(size * inputs)
            y = y + initializers.parameter(self, "bias", start, (self.features,))
        return y


class CodePath(nn.Module):
    """Scale and shift of codes (`Affine1d`): convolutions along the codes' length, whose channels
    are rows of maps at first, and codes then.

    Attributes:
      codes: how many there are.
      axis_name: as in `layers.normalization.BatchNorm`.
    """

    codes: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        """(B, rows, W) -> scale and shift, (B, codes, W) each."""
        x = x.swapaxes(1, 2)
        x = Conv1d(x.shape[-1] // 2, name="sen_0")(x)
        x = Conv1d(self.codes, name="sen_3")(self._activated(x, "sen_1", train))
        self.sow("intermediates", "reduced", x.swapaxes(1, 2))
        outputs = []
        for name in ("att", "att2"):
            y = Conv1d(self.codes, 3, name=f"{name}_0")(x)
            y = self._activated(y, f"{name}_1", train)
            y = Conv1d(self.codes, use_bias=False, name=f"{name}_3")(y)
            outputs.append(y.swapaxes(1, 2))
        return tuple(outputs)

    def _activated(self, x: jax.Array, name: str, train: bool) -> jax.Array:
        return nn.leaky_relu(BatchNorm(axis_name=self.axis_name, name=name)(x, train=train))


class DICN(nn.Module):
    """Compensates a feature map and codes by a discrepancy.

    Attributes:
      maps: how many maps the code path begins with; 18 as published, whatever the generator.
      side: what they are brought to, in pixels; 64 as published, the tap's elsewhere.
      parts: "both", or "codes" or "feature" alone; the other stays as it is.
      gate: whether the feature's addition is gated.
      axis_name: as in `layers.normalization.BatchNorm`.
    """

    maps: int = 18
    side: int = 64
    parts: str = "both"
    gate: bool = True
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self,
        discrepancy: jax.Array,
        feature: jax.Array,
        codes: jax.Array,
        *,
        train: bool = False,
    ) -> tuple[jax.Array, jax.Array]:
        """Returns the compensated feature and codes.

        Args:
          discrepancy: (B, 4 t, 4 t, 3).
          feature: (B, t, t, C), the generator's.
          codes: (B, n, W).
          train: whether batch statistics are used and updated.

        Raises:
          UserError: the discrepancy has another size, or the maps do not divide into rows.
        """
        wanted = tuple(SCALE * side for side in feature.shape[1:3])
        if discrepancy.shape[1:3] != wanted:
            raise UserError(
                f"The discrepancy has {discrepancy.shape[2]} x {discrepancy.shape[1]} pixels; that "
                f"of a feature map of {feature.shape[2]} x {feature.shape[1]} has {wanted[1]} x "
                f"{wanted[0]}."
            )
        if self.parts != "codes":
            feature = self._feature(discrepancy, feature, train)
        if self.parts != "feature":
            codes = self._codes(discrepancy, codes, train)
        return feature, codes

    def _feature(self, x: jax.Array, feature: jax.Array, train: bool) -> jax.Array:
        channels = feature.shape[-1]
        basic = lambda features, strides, name: Basic(
            features, 3, strides, axis_name=self.axis_name, name=name
        )
        x = irse.conv(32, 3, name="conv_layer1_0")(x)
        x = BatchNorm(axis_name=self.axis_name, name="conv_layer1_1")(x, train=train)
        x = PReLU(name="conv_layer1_2")(x)
        x = basic(64, 2, "semantic_0")(x, train)
        x = irse.conv(64, 3, name="semantic_1")(x)
        x = basic(channels, 2, "semantic_2")(x, train)
        details = irse.conv(channels, 3, name="semantic_3")(x)
        self.sow("intermediates", "details", details)
        if not self.gate:
            return details + feature
        logits = basic(channels, 1, "att_0")(details + feature, train)
        logits = irse.conv(channels, 3, name="att_1")(logits)
        self.sow("intermediates", "gate_logits", logits)
        return nn.sigmoid(logits) * details + feature

    def _codes(self, x: jax.Array, codes: jax.Array, train: bool) -> jax.Array:
        batch, count, width = codes.shape
        x = EqualConv(self.maps, name="condition_shift3_0")(x)
        x = EqualConv(self.maps, activate=False, name="condition_shift3_2")(x)
        self.sow("intermediates", "shift_map", x)
        x = resize_bilinear(x, (self.side, self.side), align_corners=False)
        number = rows(self.maps, self.side, width)
        # Row by row of every map; a code's length is many rows of pixels.
        x = x.transpose(0, 3, 1, 2).reshape(batch, number, width)
        scale, shift = CodePath(count, self.axis_name, name="aff1d")(x, train)
        return codes + scale * codes + shift
