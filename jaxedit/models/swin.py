"""Swin transformer (Liu et al., "Hierarchical Vision Transformer using Shifted Windows", 2021).

The pieces of which other backbones are made (sections 3.1 and 3.2, figure 2), and the plain
backbone whose ImageNet weights are public. Maps are NHWC all the way; LayerNorm's epsilon is 1e-5,
GELU is exact.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.layers import initializers
from jaxedit.layers.linear import Dense
from jaxedit.weights.table import Entry

_MASKED = -100.0  # what the published code adds to the logits of tokens from elsewhere


def layer_norm(dtype: jnp.dtype, name: str) -> nn.LayerNorm:
    """Returns the LayerNorm that every Swin uses; parameters `scale` and `bias`."""
    return nn.LayerNorm(epsilon=1e-5, use_fast_variance=False, dtype=dtype, name=name)


def dense(
    features: int, inputs: int, dtype: jnp.dtype, name: str, use_bias: bool = True
) -> Dense:
    """Returns a linear layer from `inputs` channels, initialised as PyTorch does."""
    return Dense(
        features,
        use_bias=use_bias,
        kernel_init=initializers.torch_kernel,
        bias_init=initializers.torch_bias(inputs),
        dtype=dtype,
        name=name,
    )


def relative_position_index(window: int) -> np.ndarray:
    """Returns the (n, n) rows of the bias table, n = window^2, of (query, key) in a window.

    The table has (2 window - 1)^2 rows, ordered by the difference of rows, then of columns.
    """
    rows, columns = np.divmod(np.arange(window * window), window)
    difference = lambda at: at[:, None] - at[None, :] + window - 1
    return difference(rows) * (2 * window - 1) + difference(columns)


def shift_mask(height: int, width: int, window: int, shift: int) -> np.ndarray:
    """Returns what is added to attention logits when a map was rolled by `shift`.

    Args:
      height, width: of the map, multiples of `window`.
      window, shift: in tokens; the map was rolled up and to the left.

    Returns:
      (windows, window^2, window^2) float32: 0 where both tokens come from the same side of the
      seam, -100 elsewhere.
    """
    region = lambda size: np.digitize(np.arange(size), [size - window, size - shift])
    regions = 3 * region(height)[:, None] + region(width)[None, :]
    regions = regions.reshape(height // window, window, width // window, window)
    regions = regions.transpose(0, 2, 1, 3).reshape(-1, window * window)
    same = regions[:, :, None] == regions[:, None, :]
    return np.where(same, 0.0, _MASKED).astype(np.float32)


def to_windows(x: jax.Array, window: int, shift: int) -> jax.Array:
    """Pads with zeros at the right and bottom, rolls by `shift` and cuts into windows.

    Returns:
      (B, windows, window^2, C) of (B, H, W, C); windows and their tokens row by row.
    """
    batch, height, width, channels = x.shape
    x = jnp.pad(x, ((0, 0), (0, -height % window), (0, -width % window), (0, 0)))
    if shift:
        x = jnp.roll(x, (-shift, -shift), (1, 2))
    rows, columns = x.shape[1] // window, x.shape[2] // window
    x = x.reshape(batch, rows, window, columns, window, channels).swapaxes(2, 3)
    return x.reshape(batch, rows * columns, window * window, channels)


def from_windows(
    windows: jax.Array, height: int, width: int, window: int, shift: int
) -> jax.Array:
    """Undoes `to_windows`: (B, windows, window^2, C) -> (B, height, width, C)."""
    batch, channels = windows.shape[0], windows.shape[-1]
    rows, columns = -(-height // window), -(-width // window)
    x = windows.reshape(batch, rows, columns, window, window, channels).swapaxes(2, 3)
    x = x.reshape(batch, rows * window, columns * window, channels)
    if shift:
        x = jnp.roll(x, (shift, shift), (1, 2))
    return x[:, :height, :width]


def window_logits_mask(height: int, width: int, window: int, shift: int) -> np.ndarray | None:
    """Returns `shift_mask` on the padded grid of a map, or None where nothing was rolled."""
    if not shift:
        return None
    return shift_mask(height + -height % window, width + -width % window, window, shift)


def split_heads(x: jax.Array, heads: int) -> jax.Array:
    """(B, windows, n, C) -> (B * windows, heads, n, C / heads)."""
    *_, count, channels = x.shape
    return x.reshape(-1, count, heads, channels // heads).swapaxes(1, 2)


def attend(
    queries: jax.Array,
    keys: jax.Array,
    values: jax.Array,
    bias: jax.Array,
    mask: np.ndarray | None,
) -> jax.Array:
    """Returns attention within windows, softmax(q k^T / sqrt(d) + bias + mask) v.

    Args:
      queries: (B * windows, heads, n, d).
      keys, values: (B * windows, heads, m, d).
      bias: (heads, n, m) float32.
      mask: (windows, n, m) float32, or None.

    Returns:
      (B * windows, n, heads * d). Logits and softmax are float32.
    """
    count, heads, tokens, size = queries.shape
    logits = (queries * size**-0.5) @ keys.swapaxes(-1, -2)
    logits = logits.astype(jnp.float32) + bias
    if mask is not None:
        logits = logits.reshape(-1, mask.shape[0], *logits.shape[1:]) + mask[:, None]
        logits = logits.reshape(count, heads, tokens, -1)
    weights = jax.nn.softmax(logits, axis=-1).astype(values.dtype)
    return (weights @ values).swapaxes(1, 2).reshape(count, tokens, heads * size)


def drop_path(x: jax.Array, rate: float, rng: jax.Array | None, axes: int = 1) -> jax.Array:
    """Stochastic depth: drops each sample with probability `rate`, scales the others up.

    Args:
      x: output of a residual branch.
      rate: in [0, 1).
      rng: the key; None drops nothing.
      axes: how many leading axes enumerate the samples that are dropped independently.
    """
    if rng is None or rate == 0.0:
        return x
    shape = x.shape[:axes] + (1,) * (x.ndim - axes)
    kept = jax.random.bernoulli(rng, 1 - rate, shape)
    return jnp.where(kept, x / (1 - rate), 0).astype(x.dtype)


def drop_path_rates(highest: float, depths: tuple[int, ...]) -> list[tuple[float, ...]]:
    """Returns one tuple of rates per stage: they rise linearly from 0 over all blocks."""
    rates = np.linspace(0, highest, sum(depths))
    return [tuple(map(float, part)) for part in np.split(rates, np.cumsum(depths)[:-1])]


class PatchEmbedding(nn.Module):
    """Non-overlapping patches of 4 x 4 pixels, a linear map of each, LayerNorm."""

    features: int
    patch: int = 4
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, I) -> (B, H / patch, W / patch, features)."""
        batch, height, width, inputs = x.shape
        if height % self.patch or width % self.patch:
            raise ValueError(f"{height} x {width} pixels do not divide into {self.patch} x "
                             f"{self.patch} patches")
        # The convolution of stride `patch` as one matrix product; its kernel stays HWIO.
        x = x.reshape(batch, height // self.patch, self.patch, width // self.patch, -1)
        x = x.swapaxes(2, 3).reshape(batch, height // self.patch, width // self.patch, -1)
        x = _Patches(self.features, self.patch, inputs, self.dtype, name="proj")(x)
        return layer_norm(self.dtype, "norm")(x)


class _Patches(nn.Module):
    features: int
    patch: int
    inputs: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.patch, self.patch, self.inputs, self.features)
        kernel = initializers.parameter(self, "kernel", initializers.torch_kernel, shape)
        bias_init = initializers.torch_bias(x.shape[-1])
        bias = initializers.parameter(self, "bias", bias_init, (self.features,))
        kernel = kernel.reshape(-1, self.features).astype(self.dtype)
        return jnp.dot(x.astype(self.dtype), kernel) + bias.astype(self.dtype)


class PatchMerging(nn.Module):
    """Halves a map: 2 x 2 tokens side by side, LayerNorm, a linear map from 4C to 2C."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, ceil(H / 2), ceil(W / 2), 2C)."""
        channels = x.shape[-1]
        x = jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)))
        # (even row, even column), (odd, even), (even, odd), (odd, odd)
        x = jnp.concatenate([x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)], -1)
        x = layer_norm(self.dtype, "norm")(x)
        return dense(2 * channels, 4 * channels, self.dtype, "reduction", use_bias=False)(x)


class MLP(nn.Module):
    """Linear to 4C, GELU, linear back."""

    ratio: int = 4
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., C) -> (..., C)."""
        channels = x.shape[-1]
        x = dense(self.ratio * channels, channels, self.dtype, "fc1")(x)
        x = nn.gelu(x, approximate=False)
        return dense(channels, self.ratio * channels, self.dtype, "fc2")(x)


class WindowAttention(nn.Module):
    """Multi-head self-attention inside windows, with a learned bias per relative position."""

    heads: int
    window: int = 7
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, windows: jax.Array, mask: np.ndarray | None) -> jax.Array:
        """(B, windows, window^2, C) -> the same; `mask` as in `attend`."""
        channels = windows.shape[-1]
        bias = PositionBias(self.heads, self.window, name="bias")()
        tokens = dense(3 * channels, channels, self.dtype, "qkv")(windows)
        parts = [split_heads(part, self.heads) for part in jnp.split(tokens, 3, -1)]
        attended = attend(*parts, bias, mask)
        return dense(channels, channels, self.dtype, "proj")(attended).reshape(windows.shape)


class PositionBias(nn.Module):
    """The bias of attention logits: parameter `table` ((2 window - 1)^2 + tokens, heads).

    Attributes:
      heads, window: as in `WindowAttention`.
      tokens: keys outside of the window; each has a row of its own, the same for every query.
    """

    heads: int
    window: int = 7
    tokens: int = 0

    @nn.compact
    def __call__(self) -> jax.Array:
        """Returns (heads, window^2, window^2 + tokens) float32."""
        inside = (2 * self.window - 1) ** 2
        shape = (inside + self.tokens, self.heads)
        init = initializers.normal(0.02)  # published as truncated, but at 100 deviations
        table = initializers.parameter(self, "table", init, shape)
        index = relative_position_index(self.window)
        outside = np.broadcast_to(inside + np.arange(self.tokens), (len(index), self.tokens))
        return table[np.concatenate([index, outside], 1)].transpose(2, 0, 1)


class Block(nn.Module):
    """A transformer block: (shifted) window attention, then the MLP, both residual."""

    heads: int
    window: int = 7
    shift: int = 0
    drop_path: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """(B, H, W, C) -> (B, H, W, C); draws from the rng `drop_path` when `train`."""
        height, width = x.shape[1:3]
        drop = lambda y: drop_path(
            y, self.drop_path, self.make_rng("drop_path") if train and self.drop_path else None
        )
        windows = to_windows(layer_norm(self.dtype, "norm1")(x), self.window, self.shift)
        mask = window_logits_mask(height, width, self.window, self.shift)
        attended = WindowAttention(self.heads, self.window, self.dtype, name="attn")(windows, mask)
        x = x + drop(from_windows(attended, height, width, self.window, self.shift))
        return x + drop(MLP(dtype=self.dtype, name="mlp")(layer_norm(self.dtype, "norm2")(x)))


class SwinTransformer(nn.Module):
    """The plain backbone, without its final norm and classifier; Swin-T by default.

    Attributes:
      embed_dim: channels of the first stage; every further one has twice as many.
      depths, heads: blocks, and attention heads, of each stage.
      window: side of the attention windows in tokens; every second block shifts by half of it.
      drop_path: the highest rate of stochastic depth.
      dtype: dtype of the computation and of the result.
    """

    embed_dim: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    window: int = 7
    drop_path: float = 0.2
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> list[jax.Array]:
        """(B, H, W, I) normalised image -> the output of every stage at 1/4, 1/8, ... size."""
        x = PatchEmbedding(self.embed_dim, dtype=self.dtype, name="patch_embed")(x)
        outputs = []
        rates = drop_path_rates(self.drop_path, self.depths)
        for stage, (heads, stage_rates) in enumerate(zip(self.heads, rates, strict=True)):
            if stage:
                x = PatchMerging(self.dtype, name=f"downsample_{stage - 1}")(x)
            for block, rate in enumerate(stage_rates):
                shift = self.window // 2 if block % 2 else 0
                name = f"layers_{stage}_{block}"
                x = Block(heads, self.window, shift, rate, self.dtype, name=name)(x, train)
            outputs.append(x)
        return outputs


def conversion_table(
    depths: tuple[int, ...] = (2, 2, 6, 2),
    prefix: str = "",
    path: tuple[str, ...] = ("params",),
) -> dict[str, Entry]:
    """Returns the table of a published Swin, without its final norm and classifier.

    Args:
      depths: blocks of each stage.
      prefix: what the published names begin with.
      path: where the network is in our variables.
    """
    names = {"patch_embed.proj": "conv", "patch_embed.norm": "norm"}
    for stage, depth in enumerate(depths):
        for block in range(depth):
            name = f"layers.{stage}.blocks.{block}"
            names |= {f"{name}.{norm}": "norm" for norm in ("norm1", "norm2")}
            names |= {
                f"{name}.{layer}": "linear"
                for layer in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
            }
            names[f"{name}.attn.relative_position_bias_table"] = "table"
        if stage + 1 < len(depths):
            names[f"layers.{stage}.downsample.norm"] = "norm"
            names[f"layers.{stage}.downsample.reduction"] = "unbiased"
    table = {}
    for name, kind in names.items():
        ours = (*path, *_our_path(name))
        if kind == "table":
            table[prefix + name] = Entry(ours)
            continue
        weight = "scale" if kind == "norm" else "kernel"
        axes = {"norm": "same", "unbiased": "linear"}.get(kind, kind)
        table[f"{prefix}{name}.weight"] = Entry((*ours, weight), axes)
        if kind != "unbiased":
            table[f"{prefix}{name}.bias"] = Entry((*ours, "bias"))
    return table


def _our_path(name: str) -> tuple[str, ...]:
    """`layers.0.blocks.1.attn.qkv` -> ("layers_0_1", "attn", "qkv"), and so on."""
    parts = name.split(".")
    if parts[0] != "layers":
        return tuple(parts)
    if parts[2] == "downsample":
        return (f"downsample_{parts[1]}", *parts[3:])
    rest = parts[4:]
    if rest[-1] == "relative_position_bias_table":
        rest = ["attn", "bias", "table"]
    return (f"layers_{parts[1]}_{parts[3]}", *rest)
