"""StyleGAN2's residual discriminator."""

from __future__ import annotations

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.errors import UserError
from jaxedit.models.stylegan2.layers import EqualConv, EqualLinear, channels, check_size


class ResidualBlock(nn.Module):
    """Two convolutions, the second halving the size, and a halved shortcut."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = EqualConv(x.shape[-1], name="conv1")(x)
        y = EqualConv(self.features, halve=True, name="conv2")(y)
        skip = EqualConv(
            self.features, kernel_size=1, halve=True, use_bias=False, activate=False, name="skip"
        )(x)
        return (y + skip) / math.sqrt(2)


def minibatch_deviation(x: jax.Array, group: int = 4) -> jax.Array:
    """Appends a channel with the mean standard deviation over groups of samples.

    Sample i belongs to group i mod (B / group). Where B is no multiple of `group`, the largest
    smaller group that divides it is taken.

    Args:
      x: (B, H, W, C).
      group: samples of a group.

    Returns:
      (B, H, W, C + 1).
    """
    batch, height, width, features = x.shape
    group = next(n for n in range(min(group, batch), 0, -1) if batch % n == 0)
    grouped = x.reshape(group, batch // group, height, width, features).astype(jnp.float32)
    deviation = jnp.sqrt(grouped.var(0) + 1e-8).mean((1, 2, 3))
    channel = jnp.tile(deviation, group)[:, None, None, None].astype(x.dtype)
    return jnp.concatenate([x, jnp.broadcast_to(channel, (batch, height, width, 1))], -1)


class Discriminator(nn.Module):
    """StyleGAN2's discriminator.

    Attributes:
      size: pixels of a side of the pictures: a power of two, 8 or more.
      channel_multiplier, most_channels: see `layers.channels`.
      group: samples of a group of the minibatch's standard deviation.
      dtype: of the computation up to the last 4 x 4 map.
    """

    size: int
    channel_multiplier: float = 2
    most_channels: int = 512
    group: int = 4
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns raw scores (B, 1) of pictures (B, size, size, 3)."""
        check_size(self.size, "A discriminator")
        if x.shape[1:3] != (self.size, self.size):
            raise UserError(
                f"The discriminator is of {self.size} pixels and the pictures have "
                f"{x.shape[2]} x {x.shape[1]}."
            )
        width = lambda side: channels(side, self.channel_multiplier, self.most_channels)
        x = EqualConv(width(self.size), kernel_size=1, name="from_rgb")(x.astype(self.dtype))
        for power in range(int(math.log2(self.size)), 2, -1):
            x = ResidualBlock(width(2 ** (power - 1)), name=f"block_{2**power}")(x)
        self.sow("intermediates", "features", x)
        x = minibatch_deviation(x.astype(jnp.float32), self.group)
        x = EqualConv(width(4), name="final_conv")(x)
        # The published layer reads channels first.
        x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
        x = EqualLinear(width(4), activate=True, name="final_linear")(x)
        return EqualLinear(1, name="score")(x)
