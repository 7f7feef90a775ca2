"""Guided contextual attention (GCA-Matting, Li and Lu, AAAI 2020, section 3.2).

Opacity features are rebuilt from patches of themselves. How much of a patch goes where is decided
by how alike the picture looks at both places, not by the features.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxedit.layers import initializers
from jaxedit.layers.convolution import Conv
from jaxedit.layers.normalization import BatchNorm
from jaxedit.layers.padding import reflect_pad
from jaxedit.methods.matting.spectral_conv import XAVIER, spectral_conv

_RATE = 2  # attention is computed on a grid this many times coarser than the features
_SELF = -1e4  # logit of an unknown patch for itself
_SCALES = (0.1, 10.0)  # the sharpness for known and for unknown patches stays within these
_SMALLEST = 1e-4  # length of a patch below which it is not normalised


class GuidanceHead(nn.Module):
    """Colour to guidance at 1/8: three SN convolutions 3 x 3 with stride 2, mirrored at the rim.

    Attributes:
      width: of the encoder; the layers have width / 2, width and 4 width channels.
      axis_name: as in `layers.normalization.BatchNorm`.
      dtype: dtype of the computation and of the result.
    """

    width: int = 32
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        """(B, H, W, 3) normalised colour -> (B, H / 8, W / 8, 4 width)."""
        x = image
        for index, features in enumerate((self.width // 2, self.width, 4 * self.width), 1):
            x = spectral_conv(
                features,
                strides=2,
                padding_mode="reflect",
                kernel_init=initializers.torch_kernel,
                dtype=self.dtype,
                name=f"conv{index}",
            )(x)
            norm = BatchNorm(axis_name=self.axis_name, dtype=self.dtype, name=f"bn{index}")
            x = norm(nn.relu(x), train=train)
        return x


class GuidedAttention(nn.Module):
    """Adds to features what attention over their own 4 x 4 patches gives; almost nothing at first.

    Queries and keys are 3 x 3 patches of the guidance on a grid twice as coarse, the keys of unit
    length. Where unknown pixels are rare, patches that hold any count less, and known ones more. An
    unknown patch never attends to itself. Cost and memory grow with the square of H W / 4.

    Attributes:
      axis_name: as in `layers.normalization.BatchNorm`.
      dtype: dtype of the computation and of the result; the softmax is in float32.
    """

    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: jax.Array, guidance: jax.Array, unknown: jax.Array, *, train: bool
    ) -> jax.Array:
        """(B, H, W, C) -> (B, H, W, C).

        Args:
          features: opacity features; H and W even and at least 4.
          guidance: (B, H, W, G) from the picture.
          unknown: (B, H, W, 1), 1 where the trimap is unknown, else 0.
          train: whether batch statistics are used and updated.
        """
        options = {"kernel_size": 1, "kernel_init": XAVIER, "dtype": self.dtype}
        guidance = Conv(guidance.shape[-1] // 2, name="guidance_conv", **options)(guidance)
        weights = attention(guidance[:, ::_RATE, ::_RATE], unknown[:, ::_RATE, ::_RATE])
        rebuilt = rebuild(features.astype(self.dtype), weights.astype(self.dtype))
        rebuilt = Conv(features.shape[-1], use_bias=False, name="out_conv", **options)(rebuilt)
        norm = BatchNorm(
            axis_name=self.axis_name,
            scale_init=nn.initializers.constant(1e-3),
            dtype=self.dtype,
            name="out_bn",
        )
        return features + norm(rebuilt, train=train)


def attention(guidance: jax.Array, unknown: jax.Array) -> jax.Array:
    """Returns (B, N, N) float32, how much of each patch (last axis) goes to each place.

    Args:
      guidance: (B, h, w, G), h w = N.
      unknown: (B, h, w, 1) of 0 and 1.
    """
    batch, height, width, _ = guidance.shape
    count = height * width
    queries = _patches(guidance, 3, 1).reshape(batch, count, -1)
    lengths = jnp.sqrt(jnp.sum(jnp.square(queries.astype(jnp.float32)), -1, keepdims=True))
    keys = queries / jnp.maximum(lengths, _SMALLEST).astype(queries.dtype)
    logits = jnp.einsum("bqd,bkd->bqk", queries, keys, preferred_element_type=jnp.float32)
    share = jnp.mean(unknown.astype(jnp.float32), (1, 2, 3))[:, None]
    is_unknown = jnp.max(_patches(unknown, 3, 1).reshape(batch, count, -1), -1) > 0
    scale = jnp.where(is_unknown, _sharpness(share, 1 - share), _sharpness(1 - share, share))
    itself = jnp.eye(count, dtype=bool) & is_unknown[:, None, :]
    return jax.nn.softmax(logits * scale[:, None, :] + jnp.where(itself, _SELF, 0.0), -1)


def rebuild(features: jax.Array, weights: jax.Array) -> jax.Array:
    """Returns the features made of their own patches: overlapping ones, averaged by four.

    Args:
      features: (B, H, W, C).
      weights: (B, N, N) as `attention` returns them, N = H W / 4.
    """
    batch, height, width, channels = features.shape
    size = 2 * _RATE
    patches = _patches(features, size, _RATE)
    values = jnp.einsum("bqk,bkd->bqd", weights, patches.reshape(batch, weights.shape[-1], -1))
    values = values.reshape(batch, height // _RATE, width // _RATE, size, size, channels)
    # Every pixel lies in two rows and two columns of patches.
    return _overlap(_overlap(values, 1), 2) / 4


def _sharpness(share: jax.Array, other: jax.Array) -> jax.Array:
    ratio = share / jnp.maximum(other, 1e-12)
    return jnp.clip(jnp.sqrt(ratio), *_SCALES)


def _patches(x: jax.Array, size: int, step: int) -> jax.Array:
    """Returns (B, H / step, W / step, size, size, C): patches that begin one pixel outside.

    Outside mirrors the map. With size 3 and step 1, or 4 and 2, the patches are centred.
    """
    batch, height, width, channels = x.shape
    x = reflect_pad(x, 1)
    rows = [
        [x[:, i : i + height : step, j : j + width : step] for j in range(size)]
        for i in range(size)
    ]
    return jnp.stack([jnp.stack(row, 3) for row in rows], 3)


def _overlap(values: jax.Array, axis: int) -> jax.Array:
    """Adds up patches of four pixels that begin one pixel outside, two pixels apart.

    Args:
      values: patches along `axis`, their pixels along axis 3.
      axis: 1 or 2.

    Returns:
      An array with axis 3 gone and `axis` twice as long.
    """
    first, second, third, fourth = (
        lax.index_in_dim(values, pixel, 3, keepdims=False) for pixel in range(4)
    )
    part = lambda x, start, stop: lax.slice_in_dim(x, start, stop, axis=axis)
    none = jnp.zeros_like(part(first, 0, 1))
    even = second + jnp.concatenate([none, part(fourth, 0, -1)], axis)
    odd = third + jnp.concatenate([part(first, 1, None), none], axis)
    shape = list(even.shape)
    shape[axis] *= 2
    return jnp.stack([even, odd], axis + 1).reshape(shape)
