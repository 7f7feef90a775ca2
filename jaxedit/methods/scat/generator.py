"""The inpainting generator: AOT-GAN's backbone (Zeng et al., 2022, section 3.1), used by SCAT.

Names of layers are those of the published files, with "." written as "_".
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.errors import UserError
from jaxedit.host.names import check_choice
from jaxedit.layers import membrane, repeated
from jaxedit.layers.convolution import Conv, formulation
from jaxedit.layers.convolution.trilinear import Geometry
from jaxedit.layers.resampling import upsample_bilinear, upsample_nearest

UPSAMPLING = ("nearest", "bilinear_ac")
SEAMS = ("as_is", "membrane")
# The published N(0, 0.02) keeps the signal's scale at the published width; a narrower network
# would fade from layer to layer, and He's initialisation follows the width.
INITIALISERS = {"published": nn.initializers.normal(0.02), "he": nn.initializers.he_normal()}


def corrupt(image: jax.Array, mask: jax.Array) -> jax.Array:
    """Returns the image with holes filled with white, +1.

    Args:
      image: (B, H, W, 3) in [-1, 1].
      mask: (B, H, W, 1), 1 = hole.
    """
    return image * (1 - mask) + mask


def composite(image: jax.Array, prediction: jax.Array, mask: jax.Array) -> jax.Array:
    """Returns `prediction` inside the holes and `image` outside; arguments as in `corrupt`."""
    return image * (1 - mask) + prediction * mask


class AOTBlock(nn.Module):
    """Aggregated contextual transformation: dilated branches, fused, gated against the input.

    Attributes:
      rates: the branches' dilation rates; the branches share the channels equally.
      dtype: dtype of the convolutions.
      init_scheme: see `Generator`.
    """

    rates: Sequence[int] = (1, 2, 4, 8)
    dtype: jnp.dtype = jnp.float32
    init_scheme: str = "published"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, H, W, C); H and W above the largest rate."""
        channels = x.shape[-1]
        if channels % len(self.rates):
            raise UserError(
                f"The generator's {channels} middle channels do not divide among "
                f"{len(self.rates)} dilation rates {tuple(self.rates)}: change channels or rates."
            )
        branches = [
            nn.relu(self._conv(channels // len(self.rates), rate, f"block{index:02d}")(x))
            for index, rate in enumerate(self.rates)
        ]
        fused = self._conv(channels, 1, "fuse")(jnp.concatenate(branches, axis=-1))
        logits = normalise_gate(self._conv(channels, 1, "gate")(x))
        self.sow("intermediates", "gate_logits", logits)
        gate = nn.sigmoid(logits).astype(self.dtype)
        return x * (1 - gate) + fused * gate

    def _conv(self, features: int, rate: int, name: str) -> Conv:
        return Conv(
            features,
            padding=rate,
            padding_mode="reflect",
            dilation=rate,
            kernel_init=INITIALISERS[self.init_scheme],
            dtype=self.dtype,
            name=name,
        )


def normalise_gate(x: jax.Array) -> jax.Array:
    """Returns 5 (2 (x - mean) / (deviation + 1e-9) - 1), float32, per sample and channel.

    Mean and unbiased standard deviation (over H W - 1) are taken over H and W, so the result has
    mean -5 and deviation 10: the gate starts mostly closed, and a bias before it has no effect.
    """
    x = x.astype(jnp.float32)
    centred = x - x.mean((1, 2), keepdims=True)
    variance = jnp.sum(jnp.square(centred), (1, 2), keepdims=True)
    variance = variance / (x.shape[1] * x.shape[2] - 1)
    # A constant map has deviation 0, where the root has no derivative; PyTorch defines it as 0.
    positive = variance > 0
    deviation = jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1.0)), 0.0)
    return 5 * (2 * centred / (deviation + 1e-9) - 1)


def meeting(prediction: jax.Array, image: jax.Array, mask: jax.Array) -> jax.Array:
    """Returns a prediction that meets the picture at the edge of the hole, see `host.membrane`.

    Outside of the hole it stays as it is; a constant prediction becomes the membrane itself.

    Args:
      prediction: (B, H, W, 3) in [-1, 1].
      image: (B, H, W, 3) in [-1, 1]; what lies under the mask has no influence.
      mask: (B, H, W, 1), 1 = hole.
    """
    lacking = membrane.continued(image.astype(jnp.float32) - prediction, mask)
    return prediction + mask * (jnp.clip(prediction + lacking, -1, 1) - prediction)


class Generator(nn.Module):
    """Predicts a whole image from its valid part. 15,200,835 parameters as published.

    Attributes:
      channels: width after the first convolution; the middle has four times as many.
      blocks: number of AOT blocks.
      rates: dilation rates of each block.
      upsample: "nearest" (SCAT) or "bilinear_ac" (bilinear, align_corners: AOT-GAN).
      remat: whether activations inside AOT blocks are recomputed in the backward pass.
      dtype: dtype of the computation; parameters and result are float32.
      init_scheme: "published", N(0, 0.02), or "he", of the scale that the width wants.
      seam: "as_is", as published; or "membrane", ours: what the prediction lacks at the edge of
        the hole is continued smoothly over it and added, so that it meets the picture there.
    """

    channels: int = 64
    blocks: int = 8
    rates: Sequence[int] = (1, 2, 4, 8)
    upsample: str = "nearest"
    remat: bool = False
    dtype: jnp.dtype = jnp.float32
    init_scheme: str = "published"
    seam: str = "as_is"

    @nn.compact
    def __call__(self, image: jax.Array, mask: jax.Array) -> jax.Array:
        """Fills the holes.

        Args:
          image: (B, H, W, 3) in [-1, 1], white inside the holes (see `corrupt`); H and W
            multiples of 4 and above 4 times the largest rate.
          mask: (B, H, W, 1), 1 = hole.

        Returns:
          (B, H, W, 3) float32 in [-1, 1]: the prediction everywhere, not composited.
        """
        self._check(image.shape)
        width = self.channels
        conv = functools.partial(
            Conv, kernel_init=INITIALISERS[self.init_scheme], dtype=self.dtype
        )
        x = jnp.concatenate([image, mask], axis=-1).astype(self.dtype)
        x = conv(width, kernel_size=7, padding=3, padding_mode="reflect", name="encoder_1")(x)
        x = nn.relu(x)
        for name, features in (("encoder_3", 2 * width), ("encoder_5", 4 * width)):
            x = nn.relu(conv(features, kernel_size=4, strides=2, padding=1, name=name)(x))
        self.sow("intermediates", "encoder", x)
        x = self._middle(x)
        for name, features in (("decoder_0", 2 * width), ("decoder_2", width)):
            x = nn.relu(conv(features, padding=1, name=name)(self._upsample(x)))
        # Always small: a larger start would saturate the tanh before anything is learnt.
        x = Conv(3, padding=1, dtype=self.dtype, name="decoder_4")(x)
        prediction = jnp.tanh(x.astype(jnp.float32))
        return prediction if self.seam == "as_is" else meeting(prediction, image, mask)

    def _middle(self, x: jax.Array) -> jax.Array:
        block = functools.partial(
            nn.remat(AOTBlock) if self.remat else AOTBlock,
            tuple(self.rates),
            self.dtype,
            self.init_scheme,
        )
        names = [f"middle_{index}" for index in range(self.blocks)]
        observed = self.is_initializing() or self.is_mutable_collection("intermediates")
        if not observed and repeated.pays(self.blocks, self._matrix_products(x)):
            params = self.variables["params"]
            return repeated.apply_blocks(block(parent=None), [params[name] for name in names], x)
        for name in names:
            x = block(name=name)(x)
            self.sow("intermediates", "blocks", x)
        return x

    def _matrix_products(self, x: jax.Array) -> list[bool]:
        """Whether each convolution of a block becomes matrix products on CPU."""
        batch, height, width, channels = x.shape
        shapes = [(rate, channels // len(self.rates)) for rate in self.rates] + [(1, channels)]
        return [
            formulation.is_matrix_product(
                Geometry(
                    (batch, height + 2 * rate, width + 2 * rate, channels),
                    (3, 3, channels, features),
                    dilation=rate,
                ),
                x.dtype,
            )
            for rate, features in shapes
        ]

    def _upsample(self, x: jax.Array) -> jax.Array:
        if self.upsample == "nearest":
            return upsample_nearest(x)
        return upsample_bilinear(x, align_corners=True)

    def _check(self, shape: tuple[int, ...]) -> None:
        check_choice("The generator's upsample", self.upsample, UPSAMPLING)
        check_choice("The generator's seam", self.seam, SEAMS)
        check_choice("The generator's init", self.init_scheme, INITIALISERS)
        reach = max((1, *self.rates))
        if shape[1] % 4 or shape[2] % 4 or min(shape[1:3]) <= 4 * reach:
            raise UserError(
                f"The generator takes images whose height and width are multiples of 4 and above "
                f"{4 * reach} pixels (dilation rates {tuple(self.rates)}), "
                f"not {shape[1]} x {shape[2]}: pad or resize them."
            )
