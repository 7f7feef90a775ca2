"""What the UNet and the autoencoder of latent diffusion are both made of (Rombach et al., 2022).

Modules and their parts have the names of the published files, a number in a list being joined by
"_": `resnets_0` is `resnets.0` there.
"""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.layers import initializers
from jaxedit.layers.convolution import Conv
from jaxedit.layers.group_norm import GroupNorm
from jaxedit.layers.linear import Dense
from jaxedit.layers.resampling import upsample_nearest


def conv(
    features: int,
    inputs: int,
    dtype: jnp.dtype,
    name: str,
    *,
    kernel_size: int = 3,
    strides: int = 1,
    padding: int | None = None,
    zero: bool = False,
) -> Conv:
    """Returns a convolution of `inputs` channels, initialised as PyTorch does, or at `zero`.

    `padding` is by default what keeps the size at stride 1.
    """
    return Conv(
        features,
        kernel_size=kernel_size,
        strides=strides,
        padding=kernel_size // 2 if padding is None else padding,
        **_initial(inputs * kernel_size**2, zero),
        dtype=dtype,
        name=name,
    )


def dense(
    features: int,
    inputs: int,
    dtype: jnp.dtype,
    name: str,
    *,
    use_bias: bool = True,
    zero: bool = False,
) -> Dense:
    """Returns a linear layer of `inputs` channels, initialised as PyTorch does, or at `zero`."""
    return Dense(
        features,
        use_bias=use_bias,
        **_initial(inputs, zero),
        dtype=dtype,
        name=name,
    )


def _initial(fan_in: int, zero: bool) -> dict[str, Callable]:
    if zero:
        return {"kernel_init": nn.initializers.zeros, "bias_init": nn.initializers.zeros}
    return {"kernel_init": initializers.torch_kernel, "bias_init": initializers.torch_bias(fan_in)}


class ResnetBlock(nn.Module):
    """Twice group norm, SiLU and a 3 x 3 convolution; the input, or its 1 x 1 image, is added.

    Attributes:
      features: output channels.
      groups, epsilon: of the group norms.
      divisor: what the sum is divided by.
      dtype: dtype of the computation and of the result.
    """

    features: int
    groups: int = 32
    epsilon: float = 1e-6
    divisor: float = 1.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, time: jax.Array | None = None) -> jax.Array:
        """(B, H, W, C) and the embedding of the time step (B, T), or none -> (B, H, W, features).

        The embedding goes through SiLU and a linear layer and is added between the convolutions.
        """
        norm = lambda name: GroupNorm(self.groups, self.epsilon, True, self.dtype, name=name)
        inputs = x.shape[-1]
        y = conv(self.features, inputs, self.dtype, "conv1")(norm("norm1")(x))
        if time is not None:
            shift = dense(self.features, time.shape[-1], self.dtype, "time_emb_proj")
            y = y + shift(nn.silu(time))[:, None, None]
        y = conv(self.features, self.features, self.dtype, "conv2")(norm("norm2")(y))
        if inputs != self.features:
            x = conv(self.features, inputs, self.dtype, "conv_shortcut", kernel_size=1)(x)
        return (x + y) / self.divisor if self.divisor != 1 else x + y


class Downsample(nn.Module):
    """A 3 x 3 convolution of stride 2.

    Attributes:
      padding: 1 pads all sides with zeros; 0 the right and the bottom alone, by one pixel.
    """

    padding: int = 1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, H', W', C), H' = ceil(H / 2), or floor(H / 2) with padding 0."""
        channels = x.shape[-1]
        if self.padding == 0:
            x = jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
        return conv(channels, channels, self.dtype, "conv", strides=2, padding=self.padding)(x)


class Upsample(nn.Module):
    """Nearest-neighbour doubling and a 3 x 3 convolution."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, size: tuple[int, int] | None = None) -> jax.Array:
        """(B, H, W, C) -> (B, 2H, 2W, C), or of height and width `size`."""
        channels = x.shape[-1]
        height, width = x.shape[1:3]
        if size in (None, (2 * height, 2 * width)):
            x = upsample_nearest(x)
        else:
            rows, columns = np.arange(size[0]) * height // size[0], np.arange(size[1])
            x = x[:, rows][:, :, columns * width // size[1]]
        return conv(channels, channels, self.dtype, "conv")(x)
