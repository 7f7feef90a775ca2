"""StyleGAN2's generator: mapping network, synthesis with summed RGB outputs, taps and injection."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxedit.errors import UserError
from jaxedit.layers import initializers
from jaxedit.models.stylegan2.layers import (
    EqualLinear,
    ModulatedConv,
    channels,
    check_size,
    double_picture,
    leaky_relu,
)

NOISE = "noise"  # the variable collection of the stored noise


def code_count(size: int) -> int:
    """Returns how many codes a generator of `size` pixels takes: 2 log2(size) - 2."""
    return 2 * int(math.log2(size)) - 2


def noise_sizes(size: int) -> tuple[int, ...]:
    """Returns the side in pixels of the noise of every convolution."""
    return tuple(2 ** ((i + 5) // 2) for i in range(2 * int(math.log2(size)) - 3))


def draw_noise(rng: jax.Array, size: int, batch: int) -> tuple[jax.Array, ...]:
    """Returns fresh noise for every convolution, (batch, r, r, 1) each."""
    sides = noise_sizes(size)
    return tuple(
        jax.random.normal(key, (batch, side, side, 1))
        for key, side in zip(jax.random.split(rng, len(sides)), sides, strict=True)
    )


def draw_noise_of_samples(
    keys: jax.Array, size: int, number: int = 0
) -> tuple[jax.Array, ...]:
    """Returns what `draw_noise` does, (B, r, r, 1) each, of each sample's own key alone.

    Args:
      keys: (B,).
      size: of the pictures.
      number: which pass of the generator it is for.
    """
    draw = lambda key: draw_noise(jax.random.fold_in(key, number), size, 1)
    return tuple(one[:, 0] for one in jax.vmap(draw)(keys))


def truncate(codes: jax.Array, average: jax.Array, psi: float | jax.Array) -> jax.Array:
    """Moves codes (..., W) towards the average (W,): psi 1 leaves them, 0 gives the average."""
    return average + psi * (codes - average)


def average_code(generator: Generator, variables: Mapping, count: int = 10_000) -> jax.Array:
    """Returns the mean of `count` mapped codes, (W,), towards which codes are truncated.

    The random vectors are the same at every call, so that it depends on the network alone.
    """
    z = jax.random.normal(jax.random.key(0), (count, generator.style_width))
    return generator.apply(variables, z, method="map").mean(0)


class StyledConv(nn.Module):
    """Modulated convolution, noise, bias, activation."""

    features: int
    double: bool = False

    @nn.compact
    def __call__(
        self, x: jax.Array, code: jax.Array, noise: jax.Array, style_offset: jax.Array | None
    ) -> jax.Array:
        y = ModulatedConv(self.features, double=self.double, name="conv")(x, code, style_offset)
        strength = initializers.parameter(self, "noise_strength", nn.initializers.zeros, ())
        bias = initializers.parameter(self, "bias", nn.initializers.zeros, (self.features,))
        y = y + strength.astype(y.dtype) * noise.astype(y.dtype) + bias.astype(y.dtype)
        return leaky_relu(y)


class ToRGB(nn.Module):
    """A 1x1 modulated convolution to colours, added to the doubled colours so far."""

    @nn.compact
    def __call__(
        self, x: jax.Array, code: jax.Array, so_far: jax.Array | None,
        style_offset: jax.Array | None,
    ) -> jax.Array:
        y = ModulatedConv(3, kernel_size=1, demodulate=False, name="conv")(x, code, style_offset)
        y = y + initializers.parameter(self, "bias", nn.initializers.zeros, (3,)).astype(y.dtype)
        return y if so_far is None else y + double_picture(so_far)


class Generator(nn.Module):
    """StyleGAN2's generator.

    Attributes:
      size: pixels of a side of the result: a power of two, 8 or more.
      style_width: length of a code.
      mapping_layers: dense layers of the mapping network.
      mapping_rate: factor of their learning rate.
      channel_multiplier: see `layers.channels`.
      most_channels: see `layers.channels`.
      dtype: of the computation of the synthesis.
    """

    size: int
    style_width: int = 512
    mapping_layers: int = 8
    mapping_rate: float = 0.01
    channel_multiplier: float = 2
    most_channels: int = 512
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        check_size(self.size, "A generator")
        width = lambda side: channels(side, self.channel_multiplier, self.most_channels)
        self.mapping = [
            EqualLinear(self.style_width, rate=self.mapping_rate, activate=True)
            for _ in range(self.mapping_layers)
        ]
        self.constant = self.param(
            "constant", nn.initializers.normal(1.0), (4, 4, width(4)), jnp.float32
        )
        self.conv1 = StyledConv(width(4))
        self.to_rgb1 = ToRGB()
        sides = [2**power for power in range(3, int(math.log2(self.size)) + 1)]
        self.convs = [
            StyledConv(width(side), double=first) for side in sides for first in (True, False)
        ]
        self.to_rgbs = [ToRGB() for _ in sides]
        self.stored_noise = [
            self.variable(
                NOISE, f"noise_{i}",
                lambda side=side: jax.random.normal(self.make_rng("params"), (side, side)),
            )
            for i, side in enumerate(noise_sizes(self.size))
        ]

    @property
    def codes(self) -> int:
        """How many codes the synthesis takes."""
        return code_count(self.size)

    def __call__(self, z: jax.Array) -> jax.Array:
        """Maps z (B, W) and synthesises; returns (B, size, size, 3)."""
        codes = self.map(z)
        codes = jnp.broadcast_to(codes[:, None], (len(z), self.codes, self.style_width))
        return self.synthesise(codes)[0]

    def map(self, z: jax.Array) -> jax.Array:
        """Returns the codes (B, W) of random vectors (B, W)."""
        z = z * lax.rsqrt(jnp.square(z).mean(-1, keepdims=True) + 1e-8)
        for layer in self.mapping:
            z = layer(z)
        return z

    def synthesise(
        self,
        codes: jax.Array,
        noise: Sequence[jax.Array] | None = None,
        *,
        taps: Sequence[int] = (),
        inject: Mapping[int, jax.Array] | None = None,
        style_offsets: Mapping[int, jax.Array] | None = None,
    ) -> tuple[jax.Array, dict[int, jax.Array]]:
        """Makes pictures of codes.

        Args:
          codes: (B, `codes`, W), one per convolution and RGB output in their order.
          noise: as `draw_noise` returns it; None takes the stored noise.
          taps: resolutions whose first convolution's output (after noise, bias and activation)
            is returned.
          inject: resolution -> (B, r, r, C), put in place of that output; what the colours of
            lower resolutions contribute stays.
          style_offsets: number of a style -> (B, C), added to it. Styles are numbered in their
            order: convolution 0 at 4 pixels, its RGB output 1, then per resolution two
            convolutions and one RGB output.

        Returns:
          Pictures (B, size, size, 3), about [-1, 1] and not bounded, and resolution -> tapped
          map (B, r, r, C), before any injection.

        Raises:
          UserError: a tap or an injection at a resolution without one.
        """
        sides = [2**power for power in range(3, int(math.log2(self.size)) + 1)]
        inject, offsets = dict(inject or {}), dict(style_offsets or {})
        for side in (*taps, *inject):
            if side not in sides:
                raise UserError(
                    f"A generator of {self.size} pixels has no map of {side} pixels to tap; there "
                    f"are {', '.join(map(str, sides))}."
                )
        if noise is None:
            noise = [stored.value[None, ..., None] for stored in self.stored_noise]
        codes = codes.astype(self.dtype)
        code = lambda index: codes[:, index]
        x = jnp.broadcast_to(self.constant.astype(self.dtype), (len(codes), *self.constant.shape))
        x = self.conv1(x, code(0), noise[0], offsets.get(0))
        picture = self.to_rgb1(x, code(1), None, offsets.get(1))
        tapped = {}
        for block, side in enumerate(sides):
            first, second = self.convs[2 * block : 2 * block + 2]
            at = 2 * block + 1  # of codes and noises; three styles belong to two codes
            style = 3 * block + 2
            x = first(x, code(at), noise[at], offsets.get(style))
            if side in taps:
                tapped[side] = x
            if side in inject:
                x = inject[side].astype(self.dtype)
            x = second(x, code(at + 1), noise[at + 1], offsets.get(style + 1))
            picture = self.to_rgbs[block](x, code(at + 2), picture, offsets.get(style + 2))
        return picture.astype(jnp.float32), tapped
