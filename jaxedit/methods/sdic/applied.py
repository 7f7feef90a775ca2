"""Published files of SDIC and e4e as a method and its state, for commands that apply them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxedit.layers.normalization import COLLECTION
from jaxedit.method import Method, State
from jaxedit.methods.sdic.encoder_method import EncoderMethod
from jaxedit.methods.sdic.inversion_method import InversionMethod
from jaxedit.methods.sdic.inverting import AVERAGE, Inverting
from jaxedit.weights import convert


def config_of(part: str, size: int, image_size: tuple[int, int]) -> ConfigDict:
    """Returns the configuration of a published network, as far as applying it reads it.

    Args:
      part: of the paper.
      size: of the generator, in pixels.
      image_size: height and width of the pictures that are inverted.
    """
    return ConfigDict({
        "method": "sdic", "part": part, "image_size": image_size, "remat": False,
        "layers": {"convolution": "auto"},
        "network": {
            "weights": "", "size": size, "style_width": 512, "mapping_layers": 8,
            "channel_multiplier": 2.0, "most_channels": 512, "tap": 64,
            "encoder_blocks": (3, 4, 14, 3), "encoder_width": 64, "encoder_heads": 512,
            "encoder_norm": "running", "noise": "stored", "discrepancy": "dipn",
            "attention": "original", "shared_down": False, "parts": "both", "gate": True,
        },
        "encoder": {"adversarial": 0.0, "delta_start": 0, "delta_every": 0},
        "train": {"steps": 0},
        # No network of a loss comes with these files.
        "loss": {
            "l2": 1.0, "perceptual": 0.0, "identity": 0.0, "compensation": 0.0,
            "feature_share": 0.8, "residual": 0.0, "features": "lpips_alex",
            "feature_channels": 16, "identity_network": "none",
        },
    })


def inversion(name: str, *, size: int, image_size: tuple[int, int]) -> tuple[Method, State]:
    """Returns SDIC's networks, of the weights called `name`.

    Raises:
      PretrainedWeightsMissing: they are not here; the message says how to get them.
    """
    return state_of(convert.load(name), InversionMethod(config_of("inversion", size, image_size)))


def encoder(name: str, *, size: int, image_size: tuple[int, int]) -> tuple[Method, State]:
    """Returns e4e's networks, as `inversion` does SDIC's: nothing is compensated."""
    return state_of(convert.load(name), EncoderMethod(config_of("encoder", size, image_size)))


def state_of(loaded: dict[str, Any], method: Inverting) -> tuple[Method, State]:
    """Returns the method with its state, of a bundle's networks by name."""
    trained = {name: loaded[name] for name in method.networks()}
    frozen = {
        "generator": loaded["generator"],
        AVERAGE: jax.tree.map(jnp.asarray, loaded["average"]["codes"]),
    }
    if "encoder" not in trained:
        frozen["encoder"] = loaded["encoder"]
    return method, State(
        step=np.zeros((), np.int32),
        params={name: one["params"] for name, one in trained.items()},
        stats={name: one[COLLECTION] for name, one in trained.items()},
        frozen=frozen,
    )
