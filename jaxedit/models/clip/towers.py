"""CLIP: a text and a vision transformer into one space (Radford et al., 2021, section 2).

Modules and their parts have the names of the publishers' library, a number in a list being joined
by "_": `layers_0` is `layers.0` there.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.layers import flash_attention
from jaxedit.layers.convolution import Conv
from jaxedit.layers.linear import Dense
from jaxedit.layers.resampling import resize_bicubic
from jaxedit.models.clip.configs import CLIPConfig, TextConfig, Tower, VisionConfig

_ACTIVATIONS = {
    "quick_gelu": lambda x: x * nn.sigmoid(1.702 * x),
    "gelu": lambda x: nn.gelu(x, approximate=False),
    "gelu_new": nn.gelu,
    "gelu_pytorch_tanh": nn.gelu,
    "relu": nn.relu,
    "silu": nn.silu,
    "swish": nn.silu,
}


class States(NamedTuple):
    """What a tower says.

    Attributes:
      embeddings: what goes into the first layer, (B, N, C).
      layers: the result of each layer, (B, N, C) each.
      last: the states that others attend to, (B, N, C): a text's behind the final norm, a
        picture's those of the last layer.
      pooled: the normed state of a text's end or of the class token, (B, C).
    """

    embeddings: jax.Array
    layers: tuple[jax.Array, ...]
    last: jax.Array
    pooled: jax.Array


class CLIP(nn.Module):
    """Both towers, or one.

    Attributes:
      config: see `CLIPConfig`.
      dtype: dtype of the computation; embeddings and logits are float32.
    """

    config: CLIPConfig = CLIPConfig()
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        config = self.config
        projection = lambda tower: Dense(
            config.projection_dim, use_bias=False,
            kernel_init=nn.initializers.normal(tower.hidden_size**-0.5), dtype=self.dtype,
        )
        if config.text is not None:
            self.text_model = TextTransformer(config.text, self.dtype)
            if config.projection_dim is not None:
                self.text_projection = projection(config.text)
        if config.vision is not None:
            self.vision_model = VisionTransformer(config.vision, self.dtype)
            if config.projection_dim is not None:
                self.visual_projection = projection(config.vision)
        if config.text is not None and config.vision is not None:
            scale = nn.initializers.constant(config.logit_scale_init_value)
            self.logit_scale = self.param("logit_scale", scale, (), jnp.float32)

    def __call__(
        self, pixels: jax.Array | None = None, tokens: jax.Array | None = None
    ) -> jax.Array | tuple[jax.Array, jax.Array]:
        """Returns embeddings of pictures and of texts, or of what this has a tower for.

        Those of a CLIP of one tower alone are what `embed_pixels` or `embed_tokens` gives; with
        both they have length 1.
        """
        if self.config.text is None:
            return self.embed_pixels(pixels)
        if self.config.vision is None:
            return self.embed_tokens(tokens)
        return unit(self.embed_pixels(pixels)), unit(self.embed_tokens(tokens))

    def read_tokens(self, tokens: jax.Array) -> States:
        """int32 (B, N) -> the states of the text tower."""
        return self.text_model(tokens)

    def read_pixels(self, pixels: jax.Array) -> States:
        """(B, H, W, 3), as `preprocessing` makes them -> the states of the vision tower."""
        return self.vision_model(pixels)

    def embed_tokens(self, tokens: jax.Array) -> jax.Array:
        """int32 (B, N) -> (B, projection_dim), not of length 1."""
        return self.project_text(self.text_model(tokens).pooled)

    def embed_pixels(self, pixels: jax.Array) -> jax.Array:
        """(B, H, W, 3) -> (B, projection_dim), not of length 1."""
        return self.project_picture(self.vision_model(pixels).pooled)

    def project_text(self, pooled: jax.Array) -> jax.Array:
        """Pooled states of texts (B, C) -> (B, projection_dim), float32."""
        projected = self.config.projection_dim is not None
        return (self.text_projection(pooled) if projected else pooled).astype(jnp.float32)

    def project_picture(self, pooled: jax.Array) -> jax.Array:
        """Pooled states of pictures (B, C) -> (B, projection_dim), float32."""
        projected = self.config.projection_dim is not None
        return (self.visual_projection(pooled) if projected else pooled).astype(jnp.float32)

    def logits(self, pictures: jax.Array, texts: jax.Array) -> jax.Array:
        """Embeddings of length 1, (A, D) and (B, D) -> scaled cosines (A, B)."""
        return jnp.exp(self.logit_scale) * pictures @ texts.T


def unit(x: jax.Array) -> jax.Array:
    """Returns vectors of length 1, along the last axis."""
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


class TextTransformer(nn.Module):
    """The text tower: every token attends to those before it."""

    config: TextConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, tokens: jax.Array) -> States:
        """int32 (B, N), N at most max_position_embeddings."""
        config = self.config
        length = tokens.shape[1]
        if length > config.max_position_embeddings:
            raise ValueError(f"Texts of {length} tokens; this tower reads "
                             f"{config.max_position_embeddings}")
        embedded = _TextEmbeddings(config, name="embeddings")(tokens).astype(self.dtype)
        layers = Encoder(config, True, self.dtype, name="encoder")(embedded)
        last = norm(config, self.dtype, "final_layer_norm")(layers[-1])
        if config.ends_at_largest:
            end = jnp.argmax(tokens, -1)
        else:
            end = jnp.argmax(tokens == config.eos_token_id, -1)
        pooled = jnp.take_along_axis(last, end[:, None, None], 1)[:, 0]
        return States(embedded, layers, last, pooled)


class _TextEmbeddings(nn.Module):
    config: TextConfig

    @nn.compact
    def __call__(self, tokens: jax.Array) -> jax.Array:
        config = self.config
        embed = lambda count, deviation, name: nn.Embed(
            count, config.hidden_size, embedding_init=nn.initializers.normal(deviation), name=name
        )
        places = embed(config.max_position_embeddings, 0.01, "position_embedding")
        return embed(config.vocab_size, 0.02, "token_embedding")(tokens) + places(
            jnp.arange(tokens.shape[1])
        )


class VisionTransformer(nn.Module):
    """The vision tower: a class token ahead of the patches.

    Pictures of another size than the configuration's have the embeddings of places resized.
    """

    config: VisionConfig
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, pixels: jax.Array) -> States:
        """(B, H, W, num_channels)."""
        config = self.config
        embedded = _VisionEmbeddings(config, self.dtype, name="embeddings")(pixels)
        embedded = norm(config, self.dtype, "pre_layrnorm")(embedded)  # published with this slip
        layers = Encoder(config, False, self.dtype, name="encoder")(embedded)
        pooled = norm(config, self.dtype, "post_layernorm")(layers[-1][:, 0])
        return States(embedded, layers, layers[-1], pooled)


class _VisionEmbeddings(nn.Module):
    config: VisionConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, pixels: jax.Array) -> jax.Array:
        config = self.config
        width, side, grid = config.hidden_size, config.patch_size, config.grid
        patches = Conv(
            width, kernel_size=side, strides=side, padding=0, use_bias=False,
            kernel_init=nn.initializers.normal(0.02), dtype=self.dtype, name="patch_embedding",
        )(pixels)
        batch, *size, _ = patches.shape
        first = self.param(
            "class_embedding", nn.initializers.normal(width**-0.5), (width,), jnp.float32
        )
        places = nn.Embed(
            grid**2 + 1, width, embedding_init=nn.initializers.normal(width**-0.5),
            name="position_embedding",
        )(jnp.arange(grid**2 + 1))
        of_patches = places[1:].reshape(1, grid, grid, width)
        if tuple(size) != (grid, grid):
            of_patches = resize_bicubic(of_patches, tuple(size))
        tokens = (patches + of_patches).reshape(batch, -1, width)
        first = jnp.broadcast_to(first + places[0], (batch, 1, width))
        return jnp.concatenate([first.astype(self.dtype), tokens.astype(self.dtype)], 1)


class Encoder(nn.Module):
    """Layers of attention and feed-forward, each behind a norm, and added."""

    config: Tower
    causal: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, ...]:
        """(B, N, C) -> the result of each layer."""
        results = []
        for index in range(self.config.num_hidden_layers):
            x = EncoderLayer(self.config, self.causal, False, self.dtype, name=f"layers_{index}")(x)
            results.append(x)
        return tuple(results)


class EncoderLayer(nn.Module):
    """Attention and feed-forward.

    Attributes:
      causal: tokens attend to themselves and to those before.
      post_norm: the norms stand behind the sums, not ahead of attention and feed-forward.
    """

    config: Tower
    causal: bool = False
    post_norm: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, N, C) -> (B, N, C)."""
        attention = Attention(self.config, self.causal, self.dtype, name="self_attn")
        feed_forward = FeedForward(self.config, self.dtype, name="mlp")
        norms = [norm(self.config, self.dtype, f"layer_norm{number}") for number in (1, 2)]
        for part, normed in zip((attention, feed_forward), norms, strict=True):
            x = normed(x + part(x)) if self.post_norm else x + part(normed(x))
        return x


class Attention(nn.Module):
    """Multi-head self-attention, all layers with bias; softmax is float32."""

    config: Tower
    causal: bool
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, N, C) -> (B, N, C)."""
        heads, width = self.config.num_attention_heads, x.shape[-1]
        inside = _dense(width, width**-0.5, self.dtype)
        split = lambda name: inside(name)(x).reshape(*x.shape[:2], heads, width // heads)
        q, k, v = (split(f"{name}_proj") for name in "qkv")
        attended = causal_attention(q, k, v) if self.causal else flash_attention.attention(q, k, v)
        deviation = (2 * width * self.config.num_hidden_layers) ** -0.5
        return _dense(width, deviation, self.dtype)("out_proj")(attended.reshape(x.shape))


def causal_attention(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """Returns softmax(q k^T / sqrt(D)) v over the keys up to the query: (B, N, heads, D) each."""
    logits = jnp.einsum("bqhd,bkhd->bhqk", q, k).astype(jnp.float32) / math.sqrt(q.shape[-1])
    seen = jnp.tril(jnp.ones(logits.shape[-2:], bool))
    weights = jax.nn.softmax(jnp.where(seen, logits, -jnp.inf)).astype(v.dtype)
    return jnp.einsum("bhqk,bkhd->bqhd", weights, v)


class FeedForward(nn.Module):
    """Two linear layers around an activation."""

    config: Tower
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., C) -> (..., C)."""
        config, width = self.config, x.shape[-1]
        wide = _dense(config.intermediate_size, (2 * width) ** -0.5, self.dtype)("fc1")(x)
        deviation = (2 * width * config.num_hidden_layers) ** -0.5
        return _dense(width, deviation, self.dtype)("fc2")(_ACTIVATIONS[config.hidden_act](wide))


def norm(config: Tower, dtype: jnp.dtype, name: str) -> nn.LayerNorm:
    """Returns a layer norm of a tower."""
    return nn.LayerNorm(
        epsilon=config.layer_norm_eps, use_fast_variance=False, dtype=dtype, name=name
    )


def _dense(features: int, deviation: float, dtype: jnp.dtype):
    """Returns name -> linear layer, initialised as the publishers' own code does."""
    return lambda name: Dense(
        features, kernel_init=nn.initializers.normal(deviation), dtype=dtype, name=name
    )
