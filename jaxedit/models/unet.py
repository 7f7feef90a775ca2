"""The UNet with cross-attention that latent diffusion denoises with (Rombach et al., 2022).

As in Stable Diffusion 1.x and 2.x: resnets that are told the time step, transformers that attend to
the text states, at the levels that have them. `models.diffusion` has what it is made of, the
description of its sizes, the published names, and the samplers.
"""

from __future__ import annotations

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.layers.group_norm import GroupNorm
from jaxedit.models.diffusion.blocks import Downsample, ResnetBlock, Upsample, conv, dense
from jaxedit.models.diffusion.configs import ATTENTION, UNetConfig
from jaxedit.models.diffusion.transformer import Transformer


def time_features(
    time: jax.Array, features: int, *, cosine_first: bool = True, shift: int = 0
) -> jax.Array:
    """Returns sinusoids of the time steps: (B,) -> (B, features), float32.

    The i-th of n = features // 2 frequencies is exp(-ln(10000) i / (n - shift)).
    """
    count = features // 2
    frequencies = jnp.exp(-math.log(10000) * jnp.arange(count, dtype=jnp.float32)
                          / (count - shift))
    angles = time.astype(jnp.float32)[:, None] * frequencies
    halves = [jnp.sin(angles), jnp.cos(angles)]
    result = jnp.concatenate(halves[::-1] if cosine_first else halves, -1)
    return jnp.pad(result, ((0, 0), (0, features % 2)))


class UNet(nn.Module):
    """Noisy latents, time steps and text states -> what the diffusion model predicts.

    Attributes:
      config: sizes, see `UNetConfig`.
      checkpointed: in training, what is inside of a level is computed again for its gradient.
      dtype: dtype of the computation; parameters are float32, and so are statistics of norms,
        softmax and the result.
    """

    config: UNetConfig = UNetConfig()
    checkpointed: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, time: jax.Array, text: jax.Array) -> jax.Array:
        """Predicts.

        Args:
          x: (B, H, W, in_channels).
          time: (B,) steps, or one for all; whole numbers or floats.
          text: (B, tokens, cross_attention_dim).

        Returns:
          (B, H, W, out_channels) float32. The modules `time_embedding`, `conv_in` and those of the
          blocks have their outputs captured by `capture_intermediates`.
        """
        config = self.config
        wrap = nn.remat if self.checkpointed else lambda module: module
        x, text = x.astype(self.dtype), text.astype(self.dtype)
        time = jnp.broadcast_to(time, x.shape[:1])
        if config.center_input_sample:
            x = 2 * x - 1
        channels = config.block_out_channels
        time = TimeEmbedding(config, self.dtype, name="time_embedding")(time)
        x = conv(channels[0], x.shape[-1], self.dtype, "conv_in")(x)
        skips, last = [x], len(channels) - 1
        for level in range(len(channels)):
            block = wrap(DownBlock)(
                config, level, level < last, self.dtype, name=f"down_blocks_{level}"
            )
            x, more = block(x, time, text)
            skips += more
        x = wrap(MiddleBlock)(config, self.dtype, name="mid_block")(x, time, text)
        for index in range(len(channels)):
            count = config.layers_per_block[last - index] + 1
            used, skips = skips[-count:][::-1], skips[:-count]
            # Halves are rounded up on the way down: the map that is joined next knows the size.
            size = skips[-1].shape[1:3] if skips else None
            block = wrap(UpBlock)(config, index, size, self.dtype, name=f"up_blocks_{index}")
            x = block(x, used, time, text)
        norm = GroupNorm(
            config.norm_num_groups, config.norm_eps, True, self.dtype, name="conv_norm_out"
        )
        out = conv(config.out_channels, channels[0], self.dtype, "conv_out", zero=True)
        return out(norm(x)).astype(jnp.float32)


class TimeEmbedding(nn.Module):
    """Sinusoids of the time step, through two linear layers with SiLU between them."""

    config: UNetConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, time: jax.Array) -> jax.Array:
        """(B,) -> (B, four times the channels of the finest level)."""
        config = self.config
        features = config.block_out_channels[0]
        x = time_features(time, features, cosine_first=config.flip_sin_to_cos,
                          shift=config.freq_shift)
        x = dense(4 * features, features, self.dtype, "linear_1")(x)
        return dense(4 * features, 4 * features, self.dtype, "linear_2")(nn.silu(x))


def _resnet(
    config: UNetConfig, features: int, dtype: jnp.dtype, name: str, divisor: float = 1.0
) -> ResnetBlock:
    return ResnetBlock(features, config.norm_num_groups, config.norm_eps, divisor, dtype, name=name)


def _transformer(config: UNetConfig, level: int, dtype: jnp.dtype, name: str) -> Transformer:
    return Transformer(
        config.attention_head_dim[level],
        config.transformer_layers_per_block[level],
        config.norm_num_groups,
        config.use_linear_projection,
        dtype,
        name=name,
    )


class DownBlock(nn.Module):
    """A level on the way down; all its maps are kept for the way up."""

    config: UNetConfig
    level: int
    halves: bool
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, time: jax.Array, text: jax.Array
    ) -> tuple[jax.Array, list[jax.Array]]:
        """(B, H, W, C) -> the level's result and its maps, in order."""
        config, level, maps = self.config, self.level, []
        for index in range(config.layers_per_block[level]):
            features = config.block_out_channels[level]
            x = _resnet(config, features, self.dtype, f"resnets_{index}")(x, time)
            if config.down_block_types[level] in ATTENTION:
                x = _transformer(config, level, self.dtype, f"attentions_{index}")(x, text)
            maps.append(x)
        if self.halves:
            x = Downsample(config.downsample_padding, self.dtype, name="downsamplers_0")(x)
            maps.append(x)
        return x, maps


class MiddleBlock(nn.Module):
    """Resnets with transformers between them, one more of the former, at the coarsest level."""

    config: UNetConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, time: jax.Array, text: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, H, W, C)."""
        config = self.config
        resnet = lambda name: _resnet(
            config, x.shape[-1], self.dtype, name, config.mid_block_scale_factor
        )
        x = resnet("resnets_0")(x, time)
        x = _transformer(config, -1, self.dtype, "attentions_0")(x, text)
        return resnet("resnets_1")(x, time)


class UpBlock(nn.Module):
    """A level on the way up, the coarsest having index 0.

    Attributes:
      size: height and width of the next level's maps; None at the finest level.
    """

    config: UNetConfig
    index: int
    size: tuple[int, int] | None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, skips: list[jax.Array], time: jax.Array, text: jax.Array
    ) -> jax.Array:
        """(B, H, W, C) and the maps to join, in their order -> (B, *size, C')."""
        config, level = self.config, len(self.config.block_out_channels) - 1 - self.index
        features = config.block_out_channels[level]
        for number, skip in enumerate(skips):
            x = jnp.concatenate([x, skip], -1)
            x = _resnet(config, features, self.dtype, f"resnets_{number}")(x, time)
            if config.up_block_types[self.index] in ATTENTION:
                x = _transformer(config, level, self.dtype, f"attentions_{number}")(x, text)
        if self.size is not None:
            x = Upsample(self.dtype, name="upsamplers_0")(x, self.size)
        return x
