"""What MatteFormer and DPT minimise: alpha, composition and Laplacian terms of three predictions.

After MatteFormer (Park et al., 2022, section 4) and its published trainer, which DPT's pre-training
keeps. Every term counts a prediction in a region, and each is a ratio: a sum over the region,
over the region's size. Under `jit` both sums run over the global batch; under `pmap`, and with
micro-batches, every part is divided by its own region, as every GPU of the published trainers does.

The alphas are dicts of `os1`, `os4` and `os8`, (B, H, W, 1) in [0, 1], all of full size.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxedit.errors import UserError
from jaxedit.methods.matting import refinement

Alphas = Mapping[str, jax.Array]

SHARES = {"os1": 2.0, "os4": 1.0, "os8": 1.0}
"""What each prediction counts in a term; their sum is divided by 5, as published."""

LAPLACIAN_LEVELS = 5
_EPSILON = 1e-8


@dataclasses.dataclass(frozen=True)
class Settings:
    """Weights of the terms and where each prediction counts; the defaults are DPT's.

    Attributes:
      alpha, composition, laplacian: weights in the total; 0 skips the computation.
      regions: "pretrain", "self_guided" or "whole", see `regions`.
      warmup: of self-guided regions, in steps.
      band: limits of the ellipses of self-guided regions, see `refinement.random_bands`.
      band_side: side of the square in whose pixels they are.
    """

    alpha: float = 1.0
    composition: float = 1.0
    laplacian: float = 1.0
    regions: str = "pretrain"
    warmup: int = 10_000
    band: tuple[int, int] = refinement.TRAINING_LIMITS
    band_side: int = refinement.BAND_SIDE

    def __post_init__(self):
        if not any(self.terms.values()):
            raise UserError(
                "loss.alpha, loss.composition and loss.laplacian are all 0, so there is nothing "
                "to minimise: give at least one a positive weight."
            )

    @property
    def terms(self) -> dict[str, float]:
        """The weights by the names of the terms."""
        return {name: getattr(self, name) for name in ("alpha", "composition", "laplacian")}


def loss(
    alphas: Alphas,
    *,
    alpha: jax.Array,
    unknown: jax.Array,
    image: jax.Array,
    foreground: jax.Array,
    background: jax.Array,
    step: jax.Array,
    rng: jax.Array,
    settings: Settings,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Returns the total and its terms, each weighted as in the total; float32 scalars.

    Args:
      alphas: the predictions.
      alpha: (B, H, W, 1) in [0, 1], the truth.
      unknown: (B, H, W, 1), 1 where the trimap is unknown, else 0.
      image, foreground, background: (B, H, W, 3) in the network's normalised colour.
      step: number of finished steps; may be traced.
      rng: a key, used by self-guided regions only.
      settings: weights and regions.
    """
    alphas, weights = regions(alphas, unknown, step, rng, settings)
    return matting_loss(
        alphas, alpha, image, foreground, background, weights=weights, terms=settings.terms
    )


def regions(
    alphas: Alphas, unknown: jax.Array, step: jax.Array, rng: jax.Array, settings: Settings
) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    """Returns the predictions as the losses see them, and the weight of every pixel.

    - "pretrain": os8 counts everywhere, os4 and os1 where the trimap is unknown. Outside of it
      os4 is overwritten by os8, and then os1 by os4.
    - "self_guided": the same without overwriting in `warmup` steps. After them bands around what
      is uncertain take the place of the unknown region, and the coarser prediction overwrites the
      finer outside of them; until three times `warmup` only if a coin, one for the batch, says so.
    - "whole": everything counts everywhere.

    Overwriting matters to the Laplacian term alone, which looks at neighbouring pixels.
    Arguments are those of `loss`; both results are dicts like `alphas`.
    """
    everywhere = jnp.ones(unknown.shape, jnp.float32)
    if settings.regions == "whole":
        return dict(alphas), dict.fromkeys(alphas, everywhere)
    unknown = unknown.astype(jnp.float32)
    if settings.regions == "pretrain":
        inside = (unknown, unknown)
        kept = inside
    else:
        guided, inside = _self_guided(alphas, unknown, step, rng, settings)
        kept = tuple(jnp.where(guided, region, everywhere) for region in inside)
    os4 = refinement.fuse(alphas["os8"], alphas["os4"], kept[0])
    os1 = refinement.fuse(os4, alphas["os1"], kept[1])
    return (
        {"os1": os1, "os4": os4, "os8": alphas["os8"]},
        {"os1": inside[1], "os4": inside[0], "os8": everywhere},
    )


def _self_guided(alphas, unknown, step, rng, settings):
    """Returns whether bands are in force, and the regions of os4 and os1 either way."""
    coin, draws = jax.random.split(rng)
    guided = (step >= 3 * settings.warmup) | (
        (step >= settings.warmup) & jax.random.bernoulli(coin)
    )
    os8, os4 = lax.stop_gradient((alphas["os8"], alphas["os4"]))
    bands = lambda: refinement.random_bands(
        os8, os4, draws, settings.band, settings.band_side
    )
    return guided, lax.cond(guided, bands, lambda: (unknown, unknown))


def matting_loss(
    alphas: Alphas,
    alpha: jax.Array,
    image: jax.Array,
    foreground: jax.Array,
    background: jax.Array,
    *,
    weights: Mapping[str, jax.Array],
    terms: Mapping[str, float],
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Returns the total and its terms, each weighted as in the total; float32 scalars.

    Args:
      alphas: the predictions as `regions` returns them.
      alpha: (B, H, W, 1), the truth.
      image, foreground, background: (B, H, W, 3) in normalised colour.
      weights: like `alphas`, the weight of every pixel.
      terms: weights of `alpha`, `composition` and `laplacian`; one of 0 is not computed.
    """
    measures = {
        "alpha": lambda prediction, weight: regression(prediction, alpha, weight),
        "composition": lambda prediction, weight: composition(
            prediction, foreground, background, image, weight
        ),
        "laplacian": lambda prediction, weight: laplacian(prediction, alpha, weight),
    }
    named = {}
    for name, measure in measures.items():
        if terms[name]:
            parts = {head: measure(alphas[head], weights[head]) for head in SHARES}
            named[name] = terms[name] * combine(**parts)
    return sum(named.values(), start=jnp.zeros((), jnp.float32)), named


def combine(os1: jax.Array, os4: jax.Array, os8: jax.Array) -> jax.Array:
    """Returns (2 os1 + os4 + os8) / 5: the shares add up to 4, the published divisor is 5."""
    parts = {"os1": os1, "os4": os4, "os8": os8}
    return sum(SHARES[head] * part for head, part in parts.items()) / 5.0


def regression(
    prediction: jax.Array,
    target: jax.Array,
    weight: jax.Array | None = None,
    *,
    squared: bool = False,
) -> jax.Array:
    """Returns the weighted absolute (or squared) difference, a float32 scalar.

    `sum |p w - t w| / (sum w + 1e-8)`, or `sum (p w - t w)^2 / (sum w + 1e-8)`. The numerator adds
    up the channels and the denominator counts a pixel once: three channels give three times their
    mean. Without a weight, it is the mean over all values.

    Args:
      prediction, target: (B, H, W, C).
      weight: (B, H, W, 1), not negative.
    """
    difference = prediction.astype(jnp.float32) - target.astype(jnp.float32)
    measure = jnp.square if squared else jnp.abs
    if weight is None:
        return jnp.mean(measure(difference))
    weight = weight.astype(jnp.float32)
    return jnp.sum(measure(difference * weight)) / (jnp.sum(weight) + _EPSILON)


def composition(
    alpha: jax.Array,
    foreground: jax.Array,
    background: jax.Array,
    image: jax.Array,
    weight: jax.Array | None = None,
    *,
    squared: bool = False,
) -> jax.Array:
    """Returns how far `foreground` over `background` by `alpha` is from `image`.

    As `regression`, so with a weight the three channels are added up. (B, H, W, 1) alpha;
    (B, H, W, 3) colours, normalised by ImageNet's statistics where the published value is wanted.
    """
    alpha = alpha.astype(jnp.float32)
    merged = foreground * alpha + background * (1 - alpha)
    return regression(merged, image, weight, squared=squared)


def laplacian(
    prediction: jax.Array,
    target: jax.Array,
    weight: jax.Array | None = None,
    *,
    levels: int = LAPLACIAN_LEVELS,
    squared: bool = False,
) -> jax.Array:
    """Returns the difference of Laplacian pyramids, sum over levels i of 2^i `regression`.

    Level i is what the 5 x 5 binomial blur takes from the level before. The last low-pass is not
    compared. A pyramid is linear, so it is that of the difference that is built.

    Args:
      prediction, target: (B, H, W, 1); H and W multiples of 2^levels, of at least 2^(levels + 1).
      weight: (B, H, W, 1); its every second row and column count at each coarser level. Without
        one, every level is a plain mean.
      levels: number of levels compared.

    Raises:
      ValueError: a side does not divide, or is too short to be mirrored at the coarsest level.
    """
    cell = 2**levels
    if any(side % cell or side < 2 * cell for side in prediction.shape[1:3]):
        raise ValueError(
            f"A Laplacian pyramid of {levels} levels needs sides that are multiples of {cell} and "
            f"at least {2 * cell}; the picture is {prediction.shape[1]} x {prediction.shape[2]}"
        )
    current = prediction.astype(jnp.float32) - target.astype(jnp.float32)
    total = jnp.zeros((), jnp.float32)
    for level in range(levels):
        blurs = [_blur(side) for side in current.shape[1:3]]
        smaller = _separable(current, *(blur[::2] for blur in blurs))
        # Zeros in between, then the blur with its kernel times four: times two along each axis.
        detail = current - _separable(smaller, *(2 * blur[:, ::2] for blur in blurs))
        total += 2**level * regression(detail, jnp.zeros_like(detail), weight, squared=squared)
        current = smaller
        weight = None if weight is None else weight[:, ::2, ::2]
    return total


def _blur(length: int) -> np.ndarray:
    """Returns the (length, length) matrix of the blur (1, 4, 6, 4, 1) / 16, mirrored at the ends.

    Dense matrices compile ten times faster than shifted sums, and run no slower.
    """
    taps = np.array([1, 4, 6, 4, 1], np.float32) / 16
    mirrored = np.pad(np.arange(length), 2, mode="reflect")
    matrix = np.zeros((length, length), np.float32)
    for tap, weight in enumerate(taps):
        np.add.at(matrix, (np.arange(length), mirrored[tap : tap + length]), weight)
    return matrix


def _separable(x: jax.Array, rows: np.ndarray, columns: np.ndarray) -> jax.Array:
    """Applies a matrix to each axis of the picture: (B, H, W, C) -> (B, H', W', C)."""
    x = jnp.einsum("Hh,bhwc->bHwc", rows, x, precision=lax.Precision.HIGHEST)
    return jnp.einsum("Ww,bhwc->bhWc", columns, x, precision=lax.Precision.HIGHEST)
