"""CLIPSeg: where in a picture is what a text, or another picture, shows?

Lüddecke and Ecker, "Image Segmentation Using Text and Image Prompts", 2022, section 3: a narrow
transformer on three layers of CLIP's vision tower, its first layer modulated by CLIP's embedding.
"""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.layers import initializers
from jaxedit.layers.convolution import Conv
from jaxedit.layers.linear import Dense
from jaxedit.models.clip.configs import CLIPSegConfig
from jaxedit.models.clip.towers import CLIP, EncoderLayer


class CLIPSeg(nn.Module):
    """Pictures and texts to maps of logits.

    Attributes:
      config: see `CLIPSegConfig`.
      dtype: dtype of the computation; embeddings and logits are float32.
    """

    config: CLIPSegConfig = CLIPSegConfig()
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        self.clip = CLIP(self.config.clip, self.dtype)
        self.decoder = Decoder(self.config, self.dtype)

    def __call__(self, pixels: jax.Array, tokens: jax.Array) -> jax.Array:
        """(B, H, W, 3), int32 (B, N) -> logits (B, H', W'), H' the patches' part of H."""
        if self.is_initializing():
            # The decoder has no use for two parts that published files have.
            self.clip(pixels, tokens)
        return self.segment(pixels, self.clip.embed_tokens(tokens))

    def segment(self, pixels: jax.Array, condition: jax.Array) -> jax.Array:
        """(B, H, W, 3), embeddings of texts or of pictures (B, projection_dim) -> (B, H', W')."""
        states = self.clip.read_pixels(pixels)
        side = self.config.clip.vision.patch_size
        size = pixels.shape[1] // side, pixels.shape[2] // side
        taps = [states.layers[index] for index in self.config.extract_layers]
        return self.decoder(taps, condition, size)


class Decoder(nn.Module):
    """States of the vision tower to a map, the deepest first."""

    config: CLIPSegConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, taps: list[jax.Array], condition: jax.Array, size: tuple[int, int]
    ) -> jax.Array:
        """States (B, 1 + h w, C) each, (B, projection_dim), (h, w) -> (B, h patch, w patch)."""
        config = self.config
        width = config.reduce_dim
        dense = lambda inputs, name: Dense(
            width, kernel_init=initializers.torch_kernel,
            bias_init=initializers.torch_bias(inputs), dtype=self.dtype, name=name,
        )
        tower = dataclasses.replace(
            config.clip.vision, hidden_size=width, hidden_act="relu",
            num_attention_heads=config.decoder_num_attention_heads,
            intermediate_size=config.decoder_intermediate_size,
        )
        x = 0
        for index, tap in enumerate(taps[::-1]):
            x = dense(tap.shape[-1], f"reduces_{index}")(tap) + x
            if index == config.conditional_layer:
                film = lambda name: dense(condition.shape[-1], name)(condition)[:, None]
                x = film("film_mul") * x + film("film_add")
            x = EncoderLayer(tower, post_norm=True, dtype=self.dtype, name=f"layers_{index}")(x)
        x = x[:, 1:].reshape(len(x), *size, width)
        return self._upsampled(x)[..., 0].astype(jnp.float32)

    def _upsampled(self, x: jax.Array) -> jax.Array:
        side, width = self.config.clip.vision.patch_size, self.config.reduce_dim
        name = "transposed_convolution"
        if not self.config.use_complex_transposed_convolution:
            return TransposedConv(1, side, self.dtype, name=name)(x)
        x = Conv(
            width, kernel_size=3, padding=1, kernel_init=initializers.torch_kernel,
            bias_init=initializers.torch_bias(9 * width), dtype=self.dtype, name=f"{name}_0",
        )(x)
        x = TransposedConv(width // 2, side // 4, self.dtype, name=f"{name}_2")(nn.relu(x))
        return TransposedConv(1, side // 4, self.dtype, name=f"{name}_4")(nn.relu(x))


class TransposedConv(nn.Module):
    """A transposed convolution whose stride is its kernel's side: every pixel becomes a square.

    Attributes:
      features: output channels.
      side: of kernel and stride.
      dtype: dtype of the computation and of the result.
    """

    features: int
    side: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, side H, side W, features)."""
        batch, height, width, channels = x.shape
        side, features = self.side, self.features
        shape = (side, side, channels, features)
        # PyTorch counts the fan-in of such a layer over its outputs.
        limit = initializers.torch_bias(features * side**2)
        kernel = self.param("kernel", limit, shape, jnp.float32).astype(self.dtype)
        bias = self.param("bias", limit, (features,), jnp.float32).astype(self.dtype)
        squares = jnp.einsum("bhwc,ijcf->bhiwjf", x.astype(self.dtype), kernel) + bias
        return squares.reshape(batch, side * height, side * width, features)
