"""What iEdit is fine-tuned for: a network that has learned to denoise learns to edit.

The paper's formulas could not be read. From its abstract: the network learns the noise that turns
the noised source into the pseudo-target under the edit prompt, and masks say where. All of what
follows is derived from that by this project.

    z_t  = sqrt(a) z1 + sqrt(1 - a) n                      the SOURCE's latents, noised
    n*   = (z_t - sqrt(a) z2) / sqrt(1 - a)                the noise that leads to the TARGET
    pair = mean g (e - n*)^2                               e: what the network predicts
    mask = sum M g (e - n*)^2 / (C sum M) + sum (1 - M) (e - n)^2 / (C sum (1 - M))

a is the schedule's share of signal at t, and n* = n + sqrt(a / (1 - a)) (z1 - z2) is 34 times as
far from n at t = 0 as z1 is from z2: g = min(1, (1 - a) / a) keeps small steps from swamping all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from jax import lax

from jaxedit.host.names import check_choice
from jaxedit.layers.resampling import max_pool

WEIGHTINGS = ("capped", "none")
FORMS = ("separate", "composite")
TEXT_IMAGE = ("cosine", "contrastive")
_EPSILON = 1e-8


@dataclasses.dataclass(frozen=True)
class Weights:
    """How the terms are added.

    Attributes:
      pair: of the paired term; None is 0.1 beside the masked term, which it would drag away from
        the source, and 1 without it.
      mask: of the masked term.
      perceptual, text_image: of the terms on decoded pictures.
    """

    pair: float | None = None
    mask: float = 1.0
    perceptual: float = 0.1
    text_image: float = 0.0

    def total(self, terms: Mapping[str, jax.Array]) -> jax.Array:
        """Returns the sum of those of `pair`, `mask`, `perceptual`, `text_image` that there are."""
        pair = self.pair
        if pair is None:
            pair = 0.1 if self.mask else 1.0
        weights = dataclasses.asdict(self) | {"pair": pair}
        return sum(weight * terms[name] for name, weight in weights.items() if name in terms)


def target_noise(noised: jax.Array, target: jax.Array, signal: jax.Array) -> jax.Array:
    """Returns n*: noised source and target latents (B, h, w, C), shares of signal (B,)."""
    signal = _per_item(signal)
    return (noised - jnp.sqrt(signal) * target) / jnp.sqrt(1 - signal)


def step_weight(signal: jax.Array, weighting: str = "capped") -> jax.Array:
    """Returns g of shares of signal (B,): one of `WEIGHTINGS`."""
    check_choice("weighting", weighting, WEIGHTINGS)
    return jnp.ones_like(signal) if weighting == "none" else jnp.minimum(1, (1 - signal) / signal)


def paired(
    predicted: jax.Array, wanted: jax.Array, weight: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns the paired term, and its value for each item (B,).

    Args:
      predicted, wanted: e and n*, (B, h, w, C).
      weight: g, (B,).
    """
    values = weight * jnp.square(predicted - wanted).mean((1, 2, 3))
    return values.mean(), values


def masked(
    predicted: jax.Array, wanted: jax.Array, noise: jax.Array, mask: jax.Array, weight: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns the masked term's parts inside and outside of the mask, whose sum it is.

    Args:
      predicted, wanted, noise: e, n* and n, (B, h, w, C).
      mask: M, (B, h, w, 1) in [0, 1]. Sums run over the batch; one that is less than 1 cell is
        taken as 1.
      weight: g, (B,), of the part inside.
    """
    channels = predicted.shape[-1]

    def mean(share: jax.Array, square: jax.Array) -> jax.Array:
        return jnp.sum(share * square) / (channels * jnp.maximum(share.sum(), 1))

    inside = mean(mask, _per_item(weight) * jnp.square(predicted - wanted))
    return inside, mean(1 - mask, jnp.square(predicted - noise))


def composite(
    predicted: jax.Array, wanted: jax.Array, noise: jax.Array, mask: jax.Array, weight: jax.Array
) -> jax.Array:
    """Returns the other form of the masked term: one mean, the target being n* inside, n outside.

    Arguments as of `masked`; the edit weighs as much as its area.
    """
    square = jnp.square(predicted - (mask * wanted + (1 - mask) * noise))
    return (square * (mask * _per_item(weight) + 1 - mask)).mean()


def estimate(noised: jax.Array, predicted: jax.Array, signal: jax.Array) -> jax.Array:
    """Returns the latents z_0 that a prediction of noise amounts to, (B, h, w, C)."""
    signal = _per_item(signal)
    return (noised - jnp.sqrt(1 - signal) * predicted) / jnp.sqrt(signal)


def noise_terms(
    predicted: jax.Array,
    noise: jax.Array,
    noised: jax.Array,
    target: jax.Array,
    mask: jax.Array | None,
    signal: jax.Array,
    *,
    unconditional: jax.Array | None = None,
    weighting: str = "capped",
    form: str = "separate",
) -> tuple[dict[str, jax.Array], jax.Array]:
    """Returns the terms on noise, unweighted, and the paired term of each item (B,).

    `pair`; with a mask also `mask`, and its parts `inside` and `outside` where it has them.

    Args:
      predicted, noise, noised, target: e, n, z_t and z2, (B, h, w, C).
      mask: M, (B, h, w, 1), see `latent_mask`; None leaves the masked term out.
      signal: a, (B,).
      unconditional: bool (B,), the items under the empty prompt: these are to keep the source,
        n* being n for them, so that guidance contrasts editing with keeping.
      weighting: one of `WEIGHTINGS`.
      form: of the masked term, one of `FORMS`.
    """
    check_choice("form", form, FORMS)
    wanted, weight = target_noise(noised, target, signal), step_weight(signal, weighting)
    if unconditional is not None:
        wanted = jnp.where(_per_item(unconditional), noise, wanted)
    total, values = paired(predicted, wanted, weight)
    terms = {"pair": total}
    if mask is None:
        return terms, values
    if form == "composite":
        return terms | {"mask": composite(predicted, wanted, noise, mask, weight)}, values
    inside, outside = masked(predicted, wanted, noise, mask, weight)
    return terms | {"mask": inside + outside, "inside": inside, "outside": outside}, values


def latent_mask(
    source: jax.Array, target: jax.Array | None, factor: int, grown: int = 1
) -> jax.Array:
    """Returns the mask of the latents, (B, H / factor, W / factor, 1).

    Args:
      source: of the changed thing in the source, (B, H, W, 1) in [0, 1].
      target: likewise in the target; None uses the source's alone.
      factor: of the autoencoder. A cell has the largest value of its pixels.
      grown: by how many cells the union is dilated.
    """
    mask = source if target is None else jnp.maximum(source, target)
    mask = max_pool(mask, factor)
    if not grown:
        return mask
    window = (1, 2 * grown + 1, 2 * grown + 1, 1)
    return lax.reduce_window(mask, -jnp.inf, lax.max, window, (1,) * 4, "SAME")


def perceptual(
    made: Sequence[jax.Array], source: Sequence[jax.Array], target: Sequence[jax.Array],
    mask: jax.Array, used: jax.Array,
) -> jax.Array:
    """Returns how far a made picture's features are from the target's inside, the source's outside.

    Squared distances of features of length 1, averaged over each side of the mask, summed over
    layers and both sides, averaged over the items that are used (0 where none is).

    Args:
      made, source, target: of each layer (B, h, w, C).
      mask: (B, H, W, 1) in [0, 1], averaged to each layer's size.
      used: bool (B,): at large steps a picture of z_0 says nothing.
    """
    total = 0
    for ours, before, wanted in zip(made, source, target, strict=True):
        inside = jax.image.resize(mask, (*ours.shape[:3], 1), "linear")
        for share, reference in ((inside, wanted), (1 - inside, before)):
            far = jnp.sum(jnp.square(_unit(ours) - _unit(reference)), -1, keepdims=True)
            total += jnp.sum(share * far, (1, 2, 3)) / jnp.maximum(share.sum((1, 2, 3)), 1)
    return _mean_of(total, used)


def text_image(
    pictures: jax.Array,
    texts: jax.Array,
    used: jax.Array,
    *,
    how: str = "cosine",
    temperature: float = 0.07,
    same: jax.Array | None = None,
) -> jax.Array:
    """Returns how far made pictures are from their edit prompts in CLIP's space.

    Args:
      pictures, texts: embeddings (B, D), of any length.
      used: bool (B,), which pictures count.
      how: "cosine" is 1 - cos; "contrastive" the cross-entropy of a picture's own prompt among all
        of the batch.
      temperature: of the contrastive form.
      same: bool (B, B), which prompts are the same and so are no contrast; by default each is
        itself alone.
    """
    check_choice("how", how, TEXT_IMAGE)
    pictures, texts = _unit(pictures), _unit(texts)
    if how == "cosine":
        return _mean_of(1 - jnp.sum(pictures * texts, -1), used)
    own = jnp.eye(len(texts), dtype=bool)
    cosines = pictures @ texts.T / temperature
    if same is not None:
        cosines = jnp.where(same & ~own, -jnp.inf, cosines)
    return _mean_of(-jnp.diagonal(jax.nn.log_softmax(cosines, -1)), used)


def _mean_of(values: jax.Array, used: jax.Array) -> jax.Array:
    used = used.astype(values.dtype)
    return jnp.sum(jnp.where(used > 0, values, 0)) / jnp.maximum(used.sum(), 1)


def _unit(x: jax.Array) -> jax.Array:
    return x * lax.rsqrt(jnp.sum(jnp.square(x), -1, keepdims=True) + _EPSILON)


def _per_item(values: jax.Array) -> jax.Array:
    return values[:, None, None, None]
