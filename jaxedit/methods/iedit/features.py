"""What the perceptual term of fine-tuning looks at pictures with: `config.loss.features`.

The paper has a perceptual loss; its network, layers and weight are not known to us. VGG-16 where
its weights are here, or CLIP's vision tower, or random features, which need none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax

from jaxedit.methods.iedit import autoencoder_loss
from jaxedit.models import imagenet, vgg
from jaxedit.models.clip import configs, preprocessing
from jaxedit.models.clip.towers import CLIP
from jaxedit.models.vgg import VGG

PyTree = Any
KINDS = ("vgg16", "clip", "random_features")
FEATURES, TOWERS = "features", "clip"  # names among the frozen networks
CLIPS = {
    "clip-vit-large-patch14": configs.L14, "clip-vit-base-patch32": configs.B32,
}
_VGG_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
_CLIP_LAYERS = (3, 6, 9)  # counted from 1


@dataclasses.dataclass(frozen=True)
class Looker:
    """A network that looks at pictures.

    Attributes:
      kind: one of `KINDS`.
      channels: width of the random features' first block.
      clip: a key of `CLIPS`.
    """

    kind: str
    channels: int
    clip: str

    @property
    def frozen(self) -> str:
        """Returns its name among the frozen networks."""
        return TOWERS if self.kind == "clip" else FEATURES

    def start(self) -> tuple[tuple[str, str], ...]:
        """Returns the starting values that it needs, (from, to)."""
        return {
            "vgg16": (("weights:vgg16", f"frozen/{FEATURES}"),),
            "clip": (tower_start(self.clip),),
            "random_features": (),
        }[self.kind]

    def fresh(self) -> dict[str, PyTree]:
        """Returns the frozen networks that are drawn, not read."""
        if self.kind != "random_features":
            return {}
        return {FEATURES: vgg.random_features(autoencoder_loss.random_network(self.channels))}

    def __call__(self, frozen: Mapping[str, PyTree], images: jax.Array) -> Sequence[jax.Array]:
        """Pictures (B, H, W, 3) in [-1, 1] -> maps (B, h, w, C) of several layers."""
        variables = frozen[self.frozen]
        if self.kind == "clip":
            return _of_clip(towers(self.clip), variables, images)
        if self.kind == "vgg16":
            network: nn.Module = VGG(16, _VGG_LAYERS)
            return list(network.apply(variables, imagenet.normalise(images)).values())
        network = autoencoder_loss.random_network(self.channels)
        return list(network.apply(variables, images).values())


def towers(name: str) -> CLIP:
    """Returns the CLIP that a key of `CLIPS` names."""
    return CLIP(CLIPS[name])


def tower_start(name: str) -> tuple[str, str]:
    """Returns where a CLIP's weights are and where they go, (from, to)."""
    return f"weights:{name}:clip", f"frozen/{TOWERS}"


def embeddings(
    name: str, frozen: Mapping[str, PyTree]
) -> tuple[Callable[[jax.Array], jax.Array], Callable[[jax.Array], jax.Array]]:
    """Returns functions to CLIP's space: of pictures in [-1, 1], and of tokens int32 (B, 77)."""
    network, variables = towers(name), frozen[TOWERS]
    side = network.config.vision.image_size
    of_pictures = lambda images: network.apply(
        variables, preprocessing.from_unit_range(images, side), method="embed_pixels"
    )
    return of_pictures, lambda tokens: network.apply(variables, tokens, method="embed_tokens")


def _of_clip(network: CLIP, variables: PyTree, images: jax.Array) -> list[jax.Array]:
    config = network.config.vision
    pixels = preprocessing.from_unit_range(images, config.image_size)
    states = network.apply(variables, pixels, method="read_pixels")
    grid = config.grid
    # Without the class token, as maps.
    return [states.layers[number - 1][:, 1:].reshape(len(images), grid, grid, -1)
            for number in _CLIP_LAYERS]
