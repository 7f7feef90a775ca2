"""The networks that a latent diffusion model is published as, and how each stands in its folder."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from jaxedit.models.autoencoder_kl import AutoencoderKL
from jaxedit.models.diffusion import names
from jaxedit.models.diffusion.configs import AutoencoderConfig, UNetConfig
from jaxedit.models.unet import UNet
from jaxedit.weights.table import Entry

Config = UNetConfig | AutoencoderConfig


def _unet_inputs(config: UNetConfig) -> tuple[tuple[int, ...], ...]:
    side = 2 ** (len(config.block_out_channels) - 1)
    return (1, side, side, config.in_channels), (1,), (1, 1, config.cross_attention_dim)


def _autoencoder_inputs(config: AutoencoderConfig) -> tuple[tuple[int, ...], ...]:
    return ((1, config.factor, config.factor, config.in_channels),)


@dataclasses.dataclass(frozen=True)
class Part:
    """One network of a published folder.

    Attributes:
      folder: where it stands, which is also what it is called.
      config: kind of its description.
      module: makes the network of a description.
      inputs: the shapes of what it is called with, of a description; small.
      class_name: of the publisher's class, as his description has it.
      prepare: gives the published arrays today's names and shapes.
    """

    folder: str
    config: type
    module: Callable[[Any], nn.Module]
    inputs: Callable[[Any], tuple[tuple[int, ...], ...]]
    class_name: str
    prepare: Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]] = dict

    def variables(self, config: Config) -> dict[str, Any]:
        """Returns our variables as shape structs."""
        return _variables(self, config)

    def table(self, config: Config) -> dict[str, Entry]:
        """Returns the conversion table."""
        return names.conversion_table(self.variables(config))


@functools.lru_cache(maxsize=8)  # tracing a whole network takes a second
def _variables(part: Part, config: Config) -> dict[str, Any]:
    shapes = [jax.ShapeDtypeStruct(shape, np.float32) for shape in part.inputs(config)]
    return jax.eval_shape(part.module(config).init, jax.random.key(0), *shapes)


UNET = Part("unet", UNetConfig, UNet, _unet_inputs, "UNet2DConditionModel")
AUTOENCODER = Part(
    "vae", AutoencoderConfig, AutoencoderKL, _autoencoder_inputs, "AutoencoderKL",
    names.prepare_autoencoder,
)
PARTS = {part.folder: part for part in (UNET, AUTOENCODER)}


def options(published: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """Returns {"config": ...} of the published description of the part in `folder`."""
    where = f"{folder}/config.json"
    return {"config": PARTS[folder].config.from_published(published, where)}


def table(folder: str, config: Config | None = None) -> dict[str, Entry]:
    """Returns the conversion table of the part in `folder`; of Stable Diffusion 1.x by default."""
    part = PARTS[folder]
    return part.table(part.config() if config is None else config)


def variables(folder: str, config: Config | None = None) -> dict[str, Any]:
    """Returns the part's variables as shape structs; of Stable Diffusion 1.x by default."""
    part = PARTS[folder]
    return part.variables(part.config() if config is None else config)
