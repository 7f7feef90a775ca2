"""SDIC's whole forward pass (section 3): invert, look at what is missing, compensate, then edit.

    w = E(I) + average            R0, f = G(w)               Ro = R0 at the picture's size
    D = DIPN(I, Ro)               f', w' = DICN(D, f, w)     R = G(w') with f' in the place of f

An edit moves w', takes the map f_e of a plain pass with the moved codes, and injects
f_e + (f' - f): what was compensated is carried over unmoved.

Pictures are 4 t pixels wide for a tap of t. Where they are less high (cars), what the generator
makes is cropped to their rows, and the discrepancy is padded with zeros to a square.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from jaxedit.layers.normalization import COLLECTION
from jaxedit.layers.resampling import adaptive_average_pool, resize_bilinear
from jaxedit.methods.sdic.dicn import DICN, SCALE
from jaxedit.methods.sdic.dipn import DIPN
from jaxedit.methods.sdic.e4e import Encoder
from jaxedit.models.stylegan2.generator import Generator

PyTree = Any
Noise = Sequence[jax.Array] | None  # of one pass of the generator; None is the stored one
SOURCES = ("dipn", "residual")


def generator_of(network: ml_collections.ConfigDict) -> Generator:
    """Returns the generator that `config.network` describes."""
    return Generator(
        network.size, network.style_width, network.mapping_layers,
        channel_multiplier=network.channel_multiplier, most_channels=network.most_channels,
    )


@dataclasses.dataclass(frozen=True)
class Inversion:
    """The four networks and how they hang together. Pure functions of their variables.

    Variables are a dict of `encoder`, `generator`, `dipn` and `dicn` (linen variables), and
    `average`, (W,) or (n, W): the code that the encoder's are relative to.

    Attributes:
      encoder, generator, dipn, dicn: the networks.
      tap: side in pixels of the generator's map that is compensated.
      height: of pictures; their width is 4 `tap`.
      source: where the discrepancy comes from: "dipn", or "residual", which is I - Ro as it is.
    """

    encoder: Encoder
    generator: Generator
    dipn: DIPN
    dicn: DICN
    tap: int = 64
    height: int = 256
    source: str = "dipn"

    @property
    def width(self) -> int:
        """Width of pictures, and side of the square that the discrepancy is seen in."""
        return SCALE * self.tap

    @property
    def rows(self) -> slice:
        """The rows of that square that a picture has."""
        above = (self.width - self.height) // 2
        return slice(above, above + self.height)

    def __call__(
        self,
        variables: Mapping[str, PyTree],
        image: jax.Array,
        noise: tuple[Noise, Noise] = (None, None),
        *,
        train: bool = False,
        train_encoder: bool = False,
    ) -> tuple[dict[str, jax.Array], dict[str, PyTree]]:
        """Inverts pictures.

        Args:
          variables: see the class.
          image: (B, `height`, `width`, 3) in [-1, 1].
          noise: of the first pass of the generator and of the second.
          train: whether DIPN and DICN normalise by the batch.
          train_encoder: whether the frozen encoder does, as the published code has it.

        Returns:
          What was found: `codes` (B, n, W) and `feature` (B, t, t, C) of the first pass,
          `initial_picture` (B, s, s, 3) as it was made and `initial` (B, height, width, 3),
          `discrepancy` (likewise), `compensated_codes`, `compensated_feature` and `picture`
          (B, s, s, 3), not bounded; and the batch statistics of the networks in training mode.
        """
        statistics: dict[str, PyTree] = {}

        def apply(name, *inputs, train):
            module = getattr(self, name)
            if not train:
                return module.apply(variables[name], *inputs, train=False)
            found, new = module.apply(
                variables[name], *inputs, train=True, mutable=[COLLECTION]
            )
            statistics[name] = new[COLLECTION]
            return found

        codes = apply("encoder", image, train=train_encoder) + variables["average"]
        first, feature = self.generate(variables, codes, noise[0])
        initial = self.seen(first)
        if self.source == "residual":
            discrepancy = image - initial
        else:
            discrepancy = apply("dipn", image, initial, train=train)
        new_feature, new_codes = apply(
            "dicn", self.squared(discrepancy), feature, codes, train=train
        )
        picture, _ = self.generate(variables, new_codes, noise[1], new_feature)
        return {
            "codes": codes,
            "feature": feature,
            "initial_picture": first,
            "initial": initial,
            "discrepancy": discrepancy,
            "compensated_codes": new_codes,
            "compensated_feature": new_feature,
            "picture": picture,
        }, statistics

    def generate(
        self,
        variables: Mapping[str, PyTree],
        codes: jax.Array,
        noise: Noise = None,
        feature: jax.Array | None = None,
        style_offsets: Mapping[int, jax.Array] | None = None,
    ) -> tuple[jax.Array, jax.Array]:
        """Returns pictures (B, s, s, 3) of codes and their own map at the tap.

        `feature` takes the place of that map; `style_offsets` are as of `Generator.synthesise`.
        """
        inject = {} if feature is None else {self.tap: feature}
        picture, tapped = self.generator.apply(
            variables["generator"], codes, noise, taps=(self.tap,), inject=inject,
            style_offsets=style_offsets, method="synthesise",
        )
        return picture, tapped[self.tap]

    def edit(
        self,
        variables: Mapping[str, PyTree],
        codes: jax.Array,
        residual: jax.Array,
        noise: Noise = None,
        style_offsets: Mapping[int, jax.Array] | None = None,
    ) -> tuple[jax.Array, jax.Array]:
        """Returns the picture of moved codes and the map that was injected.

        Args:
          variables: see the class; of the generator alone.
          codes: (B, n, W): the compensated codes, moved.
          residual: (B, t, t, C): compensated less first map of the inversion.
          noise: of both passes.
          style_offsets: of both passes, as of `Generator.synthesise`.
        """
        _, feature = self.generate(variables, codes, noise, style_offsets=style_offsets)
        feature = feature + residual
        picture, _ = self.generate(variables, codes, noise, feature, style_offsets)
        return picture, feature

    def edit_before(
        self, variables: Mapping[str, PyTree], codes: jax.Array, discrepancy: jax.Array
    ) -> jax.Array:
        """Compensates what was moved, where `edit` moves what was compensated: an ablation.

        Args:
          variables: see the class.
          codes: (B, n, W): the encoder's, moved.
          discrepancy: (B, height, width, 3), of the inversion.

        Returns:
          Pictures (B, s, s, 3), of the stored noise.
        """
        _, feature = self.generate(variables, codes)
        feature, codes = self.dicn.apply(
            variables["dicn"], self.squared(discrepancy), feature, codes, train=False
        )
        return self.generate(variables, codes, feature=feature)[0]

    def seen(self, picture: jax.Array) -> jax.Array:
        """Returns generated pictures as DIPN sees them: bounded, without a low-pass filter."""
        size = (self.width, self.width)
        small = resize_bilinear(jnp.clip(picture, -1, 1), size, align_corners=False)
        return small[:, self.rows]

    def pooled(self, picture: jax.Array) -> jax.Array:
        """Returns generated pictures as losses and metrics see them: means over cells."""
        return adaptive_average_pool(picture, (self.width, self.width))[:, self.rows]

    def squared(self, discrepancy: jax.Array) -> jax.Array:
        """Returns the discrepancy (B, 4 t, 4 t, 3), zero where pictures have no rows."""
        above = self.rows.start
        below = self.width - self.rows.stop
        return jnp.pad(discrepancy, ((0, 0), (above, below), (0, 0), (0, 0)))
