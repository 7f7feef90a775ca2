"""SDIC's losses (section 3.4, as released): likeness, identity, and small compensations.

    L = l2 MSE(R, I) + perceptual LPIPS(R, I) + identity mean(1 - cos) + compensation L_F
        + residual |D - (I - Ro)|
    L_F = share MSE(f', f) + (1 - share) MSE(w', w)

L_F is what speaks for editable results: it holds the corrections small.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxedit.layers.normalization import unit_length
from jaxedit.models import imagenet, lpips
from jaxedit.models.arcface import ArcFace, crop_face
from jaxedit.models.resnet50 import ResNet50, moco_features
from jaxedit.models.vgg import VGG

PyTree = Any
FEATURES = ("lpips_alex", "random_features")
IDENTITIES = ("arcface", "moco", "none")
PERCEPTUAL, IDENTITY = "perceptual", "identity"  # the names of frozen networks


@dataclasses.dataclass(frozen=True)
class Settings:
    """Weights and networks of the losses; a weight of 0 leaves its network out."""

    l2: float = 1.0
    perceptual: float = 0.8
    identity: float = 0.1
    compensation: float = 0.5
    feature_share: float = 0.8
    residual: float = 0.0
    features: str = "lpips_alex"
    identity_network: str = "arcface"
    feature_channels: int = 16

    @property
    def random(self) -> VGG:
        """The network of random features, a stand-in that knows no pictures."""
        return VGG(16, lpips.LAYERS["vgg"], self.feature_channels)


def objective(
    settings: Settings,
    frozen: Mapping[str, PyTree],
    image: jax.Array,
    picture: jax.Array,
    found: Mapping[str, jax.Array],
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Returns (what is minimised, term -> its weighted value), scalars.

    Args:
      settings: weights and networks.
      frozen: `perceptual` and `identity`: variables of the networks that the settings use.
      image: (B, H, W, 3) in [-1, 1].
      picture: the reconstruction at that size, not bounded.
      found: what `Inversion` returns.
    """
    terms = alike(settings, frozen, image, picture)
    small = compensation(found, settings.feature_share)
    terms["compensation"] = settings.compensation * small
    if settings.residual:
        target = lax.stop_gradient(image - found["initial"])
        terms["residual"] = settings.residual * jnp.mean(jnp.abs(found["discrepancy"] - target))
    return sum(terms.values()), terms


def alike(
    settings: Settings, frozen: Mapping[str, PyTree], image: jax.Array, picture: jax.Array
) -> dict[str, jax.Array]:
    """Returns term -> its weighted value, of those that compare pictures; args of `objective`."""
    terms = {"l2": settings.l2 * jnp.mean(jnp.square(picture - image))}
    if settings.perceptual:
        value = _perceptual(settings, frozen[PERCEPTUAL], picture, image)
        terms[settings.features] = settings.perceptual * value
    if settings.identity and settings.identity_network != "none":
        same = identity(settings.identity_network, frozen[IDENTITY], picture, image)
        terms["identity"] = settings.identity * jnp.mean(1 - same)
    return terms


def likeness(
    settings: Settings, frozen: Mapping[str, PyTree], image: jax.Array, picture: jax.Array
) -> jax.Array:
    """Returns the weighted error of each picture (B,): squares, and where `frozen` has the network
    of the perceptual loss, that loss. Arguments as of `objective`."""
    each = settings.l2 * jnp.mean(jnp.square(picture - image), (1, 2, 3))
    if settings.perceptual and PERCEPTUAL in frozen:
        looked = jax.vmap(lambda a, b: _perceptual(settings, frozen[PERCEPTUAL], a[None], b[None]))
        each += settings.perceptual * looked(picture, image)
    return each


def compensation(found: Mapping[str, jax.Array], feature_share: float) -> jax.Array:
    """Returns L_F, how much map and codes were changed."""
    change = lambda key: jnp.mean(jnp.square(found[f"compensated_{key}"] - found[key]))
    return feature_share * change("feature") + (1 - feature_share) * change("codes")


def identity(network: str, variables: PyTree, a: jax.Array, b: jax.Array) -> jax.Array:
    """Returns the cosine of the embeddings of each pair of pictures, (B,).

    Args:
      network: "arcface" of faces, or "moco" of anything.
      variables: its own.
      a, b: (B, H, W, 3) in [-1, 1]; faces square and aligned.
    """
    both = jnp.concatenate([a, b])
    if network == "arcface":
        embedded = ArcFace().apply(variables, crop_face(both))
    else:
        embedded = moco_features(ResNet50(), variables, both)
    of_a, of_b = jnp.split(embedded, 2)
    return jnp.sum(of_a * of_b, -1)


def _perceptual(settings: Settings, variables: PyTree, a: jax.Array, b: jax.Array) -> jax.Array:
    if settings.features == "lpips_alex":
        return jnp.mean(lpips.distance("alex", variables, a, b))
    features = settings.random.apply(variables, imagenet.normalise(jnp.concatenate([a, b])))
    halves = (jnp.split(unit_length(layer), 2) for layer in features.values())
    return sum(jnp.mean(jnp.sum(jnp.square(x - y), -1)) for x, y in halves)
