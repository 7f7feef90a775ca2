"""The autoencoder whose latents latent diffusion works on (Rombach et al., 2022, section 3.1).

Its encoder gives mean and log-variance of a normal distribution; the diffusion model sees
`scaling_factor` times a sample of it, or times its mean.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.layers.group_norm import GroupNorm
from jaxedit.models.diffusion.blocks import Downsample, ResnetBlock, Upsample, conv
from jaxedit.models.diffusion.configs import AutoencoderConfig
from jaxedit.models.diffusion.transformer import MapAttention

_EPSILON = 1e-6  # of all group norms
LOG_VARIANCE = (-30.0, 20.0)


def distribution(moments: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Splits the encoder's output (..., 2C) into mean and log-variance, this one clipped."""
    mean, log_variance = jnp.split(moments, 2, -1)
    return mean, jnp.clip(log_variance, *LOG_VARIANCE)


def draw(moments: jax.Array, noise: jax.Array) -> jax.Array:
    """Returns a sample of the latents' distribution: moments (..., 2C), normal noise (..., C)."""
    mean, log_variance = distribution(moments)
    return mean + jnp.exp(0.5 * log_variance) * noise


def divergence(moments: jax.Array) -> jax.Array:
    """Returns the Kullback-Leibler divergence from the standard normal: (B, ..., 2C) -> (B,)."""
    mean, log_variance = distribution(moments)
    values = jnp.square(mean) + jnp.exp(log_variance) - 1 - log_variance
    return 0.5 * values.reshape(len(values), -1).sum(1)


class AutoencoderKL(nn.Module):
    """Pictures in [-1, 1] to moments of latents, and latents to pictures.

    Attributes:
      config: sizes, see `AutoencoderConfig`.
      checkpointed: in training, what is inside of a level is computed again for its gradient.
      dtype: dtype of the computation; results are float32.
    """

    config: AutoencoderConfig = AutoencoderConfig()
    checkpointed: bool = False
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        config, latents = self.config, self.config.latent_channels
        self.encoder = Encoder(config, self.checkpointed, self.dtype)
        self.decoder = Decoder(config, self.checkpointed, self.dtype)
        if config.use_quant_conv:
            self.quant_conv = conv(2 * latents, 2 * latents, self.dtype, None, kernel_size=1)
        if config.use_post_quant_conv:
            self.post_quant_conv = conv(latents, latents, self.dtype, None, kernel_size=1)

    def __call__(self, image: jax.Array) -> jax.Array:
        """Returns the picture again, of its latents' mean: (B, H, W, 3) -> (B, H, W, 3)."""
        return self.decode(distribution(self.encode(image))[0])

    def encode(self, image: jax.Array) -> jax.Array:
        """(B, H, W, in_channels) -> moments (B, H / factor, W / factor, 2 latent_channels).

        Sides that the factor does not divide lose what is over, as in the published network.
        """
        x = self.encoder(image)
        return (self.quant_conv(x) if self.config.use_quant_conv else x).astype(jnp.float32)

    def decode(self, latents: jax.Array) -> jax.Array:
        """(B, h, w, latent_channels), not scaled -> (B, h factor, w factor, out_channels)."""
        if self.config.use_post_quant_conv:
            latents = self.post_quant_conv(latents)
        return self.decoder(latents).astype(jnp.float32)

    def to_diffusion(self, latents: jax.Array) -> jax.Array:
        """Shifts and scales latents as the diffusion model sees them."""
        return (latents - self.config.shift_factor) * self.config.scaling_factor

    def from_diffusion(self, latents: jax.Array) -> jax.Array:
        """Undoes `to_diffusion`."""
        return latents / self.config.scaling_factor + self.config.shift_factor


class Encoder(nn.Module):
    """Picture -> moments, before the convolution around the latents."""

    config: AutoencoderConfig
    checkpointed: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, in_channels) -> (B, H / factor, W / factor, 2 latent_channels)."""
        config = self.config
        wrap = nn.remat if self.checkpointed else lambda module: module
        channels = config.block_out_channels
        x = conv(channels[0], x.shape[-1], self.dtype, "conv_in")(x)
        for level, features in enumerate(channels):
            block = wrap(EncoderBlock)(config, features, level < len(channels) - 1, self.dtype,
                                       name=f"down_blocks_{level}")
            x = block(x)
        x = wrap(MiddleBlock)(config, self.dtype, name="mid_block")(x)
        x = _norm(config, self.dtype, "conv_norm_out")(x)
        return conv(2 * config.latent_channels, channels[-1], self.dtype, "conv_out")(x)


class Decoder(nn.Module):
    """Latents -> picture, behind the convolution around the latents."""

    config: AutoencoderConfig
    checkpointed: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, h, w, latent_channels) -> (B, h factor, w factor, out_channels)."""
        config = self.config
        wrap = nn.remat if self.checkpointed else lambda module: module
        channels = config.block_out_channels[::-1]
        x = conv(channels[0], x.shape[-1], self.dtype, "conv_in")(x)
        x = wrap(MiddleBlock)(config, self.dtype, name="mid_block")(x)
        for index, features in enumerate(channels):
            block = wrap(DecoderBlock)(config, features, index < len(channels) - 1, self.dtype,
                                       name=f"up_blocks_{index}")
            x = block(x)
        x = _norm(config, self.dtype, "conv_norm_out")(x)
        return conv(config.out_channels, channels[-1], self.dtype, "conv_out")(x)


def _norm(config: AutoencoderConfig, dtype: jnp.dtype, name: str) -> GroupNorm:
    return GroupNorm(config.norm_num_groups, _EPSILON, True, dtype, name=name)


def _resnet(
    config: AutoencoderConfig, features: int, dtype: jnp.dtype, name: str
) -> ResnetBlock:
    return ResnetBlock(features, config.norm_num_groups, _EPSILON, dtype=dtype, name=name)


class EncoderBlock(nn.Module):
    """A level of the encoder: resnets, then half the size."""

    config: AutoencoderConfig
    features: int
    halves: bool
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, H / 2, W / 2, features), or of the same size."""
        for index in range(self.config.layers_per_block):
            x = _resnet(self.config, self.features, self.dtype, f"resnets_{index}")(x)
        return Downsample(0, self.dtype, name="downsamplers_0")(x) if self.halves else x


class DecoderBlock(nn.Module):
    """A level of the decoder: resnets, then double the size."""

    config: AutoencoderConfig
    features: int
    doubles: bool
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, 2H, 2W, features), or of the same size."""
        for index in range(self.config.layers_per_block + 1):
            x = _resnet(self.config, self.features, self.dtype, f"resnets_{index}")(x)
        return Upsample(self.dtype, name="upsamplers_0")(x) if self.doubles else x


class MiddleBlock(nn.Module):
    """Resnet, attention, resnet."""

    config: AutoencoderConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, H, W, C)."""
        config = self.config
        x = _resnet(config, x.shape[-1], self.dtype, "resnets_0")(x)
        if config.mid_block_add_attention:
            x = MapAttention(config.norm_num_groups, self.dtype, name="attentions_0")(x)
        return _resnet(config, x.shape[-1], self.dtype, "resnets_1")(x)
