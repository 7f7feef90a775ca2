"""Attention of latent diffusion: to the map itself, to a text, and the feed-forward layer.

Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", 2022, section 3.3.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.layers import flash_attention
from jaxedit.layers.group_norm import GroupNorm
from jaxedit.models.diffusion.blocks import conv, dense

_GROUP_EPSILON = 1e-6  # of the norm ahead of attention, also where the resnets have 1e-5


class Attention(nn.Module):
    """Multi-head attention of tokens to `context`, or to themselves.

    Queries, keys and values have no bias, the output has one.

    Attributes:
      heads: how many.
      head_width: channels of each.
      dtype: dtype of the computation and of the result; softmax is float32.
    """

    heads: int
    head_width: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, context: jax.Array | None = None) -> jax.Array:
        """(B, N, C), (B, M, D) -> (B, N, C)."""
        context = x if context is None else context
        return _attend(x, context, self.heads, self.head_width, False, self.dtype)


def _attend(
    x: jax.Array, context: jax.Array, heads: int, width: int, bias: bool, dtype: jnp.dtype
) -> jax.Array:
    """What `Attention` computes, with its four layers in the module that calls this."""
    inner = heads * width

    def project(tokens: jax.Array, name: str) -> jax.Array:
        layer = dense(inner, tokens.shape[-1], dtype, name, use_bias=bias)
        return layer(tokens).reshape(*tokens.shape[:2], heads, width)

    attended = flash_attention.attention(
        project(x, "to_q"), project(context, "to_k"), project(context, "to_v")
    )
    return dense(x.shape[-1], inner, dtype, "to_out_0")(attended.reshape(*x.shape[:2], inner))


class FeedForward(nn.Module):
    """A linear layer to 8C, half of it a gate through the exact GELU, and one back."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, N, C) -> (B, N, C)."""
        channels = x.shape[-1]
        value, gate = jnp.split(_Projection(8 * channels, self.dtype, name="net_0")(x), 2, -1)
        gated = value * nn.gelu(gate, approximate=False)
        return dense(channels, 4 * channels, self.dtype, "net_2")(gated)


class _Projection(nn.Module):
    """The linear layer that the published names have one step further down."""

    features: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return dense(self.features, x.shape[-1], self.dtype, "proj")(x)


class TransformerBlock(nn.Module):
    """Self-attention, attention to the text, feed-forward; each behind a LayerNorm, and added."""

    heads: int
    head_width: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, text: jax.Array) -> jax.Array:
        """(B, N, C), (B, M, D) -> (B, N, C)."""
        norm = lambda name: nn.LayerNorm(
            epsilon=1e-5, use_fast_variance=False, dtype=self.dtype, name=name
        )
        attention = lambda name: Attention(
            self.heads, self.head_width, dtype=self.dtype, name=name
        )
        x = x + attention("attn1")(norm("norm1")(x))
        x = x + attention("attn2")(norm("norm2")(x), text)
        return x + FeedForward(self.dtype, name="ff")(norm("norm3")(x))


class Transformer(nn.Module):
    """Transformer blocks over the pixels of a map as tokens; the result is added to the map.

    Attributes:
      heads: of every attention; each is floor(C / heads) wide.
      depth: how many blocks.
      groups: of the norm ahead of them.
      linear: the projections around them are linear layers, not 1 x 1 convolutions: the same
        arithmetic, other published shapes.
      dtype: dtype of the computation and of the result.
    """

    heads: int
    depth: int = 1
    groups: int = 32
    linear: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, text: jax.Array) -> jax.Array:
        """(B, H, W, C), (B, M, D) -> (B, H, W, C)."""
        batch, height, width, channels = x.shape
        head_width = channels // self.heads
        inner = self.heads * head_width

        def project(y: jax.Array, features: int, name: str, **options) -> jax.Array:
            if self.linear:
                return dense(features, y.shape[-1], self.dtype, name, **options)(y)
            return conv(features, y.shape[-1], self.dtype, name, kernel_size=1, **options)(y)

        y = GroupNorm(self.groups, _GROUP_EPSILON, dtype=self.dtype, name="norm")(x)
        y = project(y, inner, "proj_in").reshape(batch, height * width, inner)
        for index in range(self.depth):
            block = TransformerBlock(
                self.heads, head_width, self.dtype, name=f"transformer_blocks_{index}"
            )
            y = block(y, text)
        y = y.reshape(batch, height, width, inner)
        # From zero: at first the block passes its input on.
        return x + project(y, channels, "proj_out", zero=True)


class MapAttention(nn.Module):
    """The attention in the middle of the autoencoder: one head, all layers with bias."""

    groups: int = 32
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, H, W, C)."""
        batch, height, width, channels = x.shape
        y = GroupNorm(self.groups, _GROUP_EPSILON, dtype=self.dtype, name="group_norm")(x)
        y = y.reshape(batch, height * width, channels)
        y = _attend(y, y, 1, channels, True, self.dtype)
        return x + y.reshape(x.shape)
