"""Edits of codes: InterFaceGAN, GANSpace, SeFa, and StyleCLIP's global directions.

Codes are (B, n, W), one per layer; directions (W,), (1, W) or (n, W). The arithmetic is the same on
NumPy and JAX arrays. Shen et al., CVPR 2020; Harkonen et al., NeurIPS 2020; Shen and Zhou, CVPR
2021; Patashnik et al., ICCV 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy import optimize

from jaxedit.errors import UserError
from jaxedit.models.stylegan2.generator import code_count

Array = Any  # of NumPy or JAX

_SHARE = 0.02  # of the codes with the highest and with the lowest scores
_TRAINED = 0.7  # of those, the rest tells how well the plane divides
EDITED_STYLES = 11  # StyleCLIP's released branch edits the first so many that are not RGB's


def move(codes: Array, direction: Array, strength: Array) -> Array:
    """Returns codes moved along a direction (InterFaceGAN's edit).

    Args:
      codes: (B, n, W).
      direction: of unit length, for all layers or one per layer.
      strength: a number or (B,).
    """
    strength = jnp.reshape(jnp.asarray(strength), (-1, 1, 1))
    return codes + strength * direction


def conditional(direction: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """Returns a direction (W,) that leaves other attributes as they are, of unit length.

    Args:
      direction: (W,), the normal of the attribute to change.
      others: normals of those to keep; the plane that they span is projected out.

    Raises:
      UserError: nothing of the direction is left.
    """
    result = np.asarray(direction, np.float64)
    if len(others):
        basis = np.linalg.qr(np.stack([np.asarray(one, np.float64) for one in others], 1))[0]
        result = result - basis @ (basis.T @ result)
    length = np.linalg.norm(result)
    if length < 1e-6 * np.linalg.norm(direction):
        raise UserError(
            "Nothing is left of the direction once the others are kept: they say the same."
        )
    return (result / length).astype(np.float32)


class Plane(NamedTuple):
    """A direction by a separating plane: its unit normal (W,), and the share of held-out codes that
    it puts on the right side."""

    normal: np.ndarray
    accuracy: float


def separating_plane(codes: np.ndarray, scores: np.ndarray, seed: int = 0) -> Plane:
    """Finds an attribute's direction in codes (N, W) with its scores (N,), as InterFaceGAN does.

    The 2 % of highest and of lowest scores are divided by a linear support vector machine (squared
    hinge loss), fitted to 70 % of them.

    Raises:
      UserError: there are too few codes, or all scores are alike.
    """
    count = int(_SHARE * len(codes))
    if count < 4 or np.ptp(scores) == 0:
        raise UserError(
            f"{len(codes)} codes whose scores go from {np.min(scores):g} to {np.max(scores):g} "
            "give no direction: it takes 200 codes or more, and scores that differ."
        )
    order = np.argsort(scores, kind="stable")
    rng = np.random.default_rng(seed)
    low, high = (rng.permutation(part) for part in (order[:count], order[-count:]))
    kept = int(_TRAINED * count)
    split = lambda part: (
        codes[np.concatenate([low[part], high[part]])].astype(np.float64),
        np.repeat([-1.0, 1.0], len(low[part])),
    )
    (x, y), (held_x, held_y) = split(slice(kept)), split(slice(kept, None))
    centre = x.mean(0)
    scale = max(float(np.sqrt(np.square(x - centre).mean())), 1e-12)
    weights, offset = _support_vectors((x - centre) / scale, y)
    side = np.sign((held_x - centre) / scale @ weights + offset)
    normal = weights / np.linalg.norm(weights)
    return Plane(normal.astype(np.float32), float(np.mean(side == held_y)))


def _support_vectors(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Minimises |w|^2 / 2 + the sum of squared hinges, over w and the offset."""

    def objective(both):
        weights, offset = both[:-1], both[-1]
        hinge = np.maximum(0, 1 - y * (x @ weights + offset))
        slope = -2 * hinge * y
        gradient = np.append(weights + x.T @ slope, slope.sum())
        return 0.5 * weights @ weights + hinge @ hinge, gradient

    found = optimize.minimize(objective, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B")
    return found.x[:-1], float(found.x[-1])


class Components(NamedTuple):
    """Principal components of codes: `mean` (1, W), `vectors` (k, 1, W) of unit length in falling
    order, `deviations` (k,) along them."""

    mean: np.ndarray
    vectors: np.ndarray
    deviations: np.ndarray


def principal_components(codes: np.ndarray, count: int = 80) -> Components:
    """Returns the principal components of codes (N, W), as GANSpace finds directions."""
    codes = np.asarray(codes, np.float64)
    mean = codes.mean(0, keepdims=True)
    count = min(count, codes.shape[1], len(codes) - 1)
    _, lengths, vectors = np.linalg.svd(codes - mean, full_matrices=False)
    parts = (mean, _signed(vectors[:count])[:, None], lengths[:count] / np.sqrt(len(codes) - 1))
    return Components(*(part.astype(np.float32) for part in parts))


def ganspace(
    codes: Array, components: Components, component: int, layers: tuple[int, int], target: float
) -> Array:
    """Brings a principal coordinate of codes to a target, in some layers.

    The coordinate is that of the first layer's code, in deviations; what is missing to the target
    is added to all layers of the range.

    Args:
      codes: (B, n, W).
      components: of the generator's codes.
      component: which, from 0.
      layers: first layer, and the layer after the last.
      target: in deviations.

    Raises:
      UserError: there is no such component or layer.
    """
    known, (first, end), count = len(components.deviations), layers, codes.shape[1]
    if not 0 <= component < known:
        raise UserError(f"Component {component}: there are {known}, from 0 to {known - 1}.")
    if not 0 <= first < end <= count:
        raise UserError(f"Layers {first} to {end}: there are {count}, the end not included.")
    vector, deviation = components.vectors[component, 0], components.deviations[component]
    coordinate = (codes[:, 0] - components.mean) @ vector / deviation
    step = (target - coordinate)[:, None] * vector * deviation
    chosen = (jnp.arange(count) >= first) & (jnp.arange(count) < end)
    return codes + chosen[:, None] * step[:, None]


def closed_form(kernels: Sequence[np.ndarray], count: int | None = None) -> np.ndarray:
    """Returns SeFa's directions (k, W) of unit length, those that change most first.

    Args:
      kernels: (W, I) each, of the modulations of the chosen layers.
      count: how many; None is all W.
    """
    joined = np.concatenate([np.asarray(kernel, np.float64) for kernel in kernels], 1)
    joined = joined / np.maximum(np.linalg.norm(joined, axis=0, keepdims=True), 1e-12)
    values, vectors = np.linalg.eigh(joined @ joined.T)
    order = np.argsort(-values, kind="stable")[:count]
    return _signed(vectors[:, order].T).astype(np.float32)


def modulation_kernels(params: Any, layers: Sequence[int]) -> list[np.ndarray]:
    """Returns a generator's modulation kernels (W, I) of the layers, by their codes' numbers."""
    return [np.asarray(kernel) for kernel in _modulations(params, layers)]


def style_widths(params: Any, edited: int = EDITED_STYLES) -> tuple[int, ...]:
    """Returns the channels of a generator's styles that are not RGB's, of the first `edited`.

    Args:
      params: of the generator, or their shapes.
      edited: at most so many.
    """
    count = 1 + sum(name.startswith("convs_") for name in params)
    return tuple(one.shape[1] for one in _modulations(params, range(min(edited, count))))


def _modulations(params: Any, layers: Sequence[int]) -> list[Any]:
    names = ["conv1"] + [f"convs_{i}" for i in range(sum(n.startswith("convs_") for n in params))]
    return [params[names[layer]]["conv"]["modulation"]["kernel"] for layer in layers]


def text_direction(target: np.ndarray, neutral: np.ndarray) -> np.ndarray:
    """Returns StyleCLIP's unit direction (D,) between texts.

    Args:
      target: CLIP embeddings (templates, D) of what is wanted, in several wordings.
      neutral: of what it is now.
    """
    ends = [_unit(_unit(np.asarray(one, np.float64)).mean(0)) for one in (target, neutral)]
    return _unit(ends[0] - ends[1])


def channel_direction(plus: np.ndarray, minus: np.ndarray) -> np.ndarray:
    """Returns the unit direction (D,) in which one style channel moves pictures.

    Args:
      plus: CLIP embeddings (pictures, D) with the channel at its mean plus 5 deviations.
      minus: of the same pictures at minus 5.
    """
    plus, minus = (_unit(np.asarray(one, np.float64)) for one in (plus, minus))
    return _unit(_unit(plus - minus).mean(0))


def global_direction(
    channels: np.ndarray, text: np.ndarray, deviations: np.ndarray, beta: float
) -> np.ndarray:
    """Returns by how much each style channel moves at strength 1, (channels,).

    Args:
      channels: (channels, D), `channel_direction` of each.
      text: `text_direction`, (D,).
      deviations: of the channels, (channels,).
      beta: channels less relevant than it stay as they are.

    Raises:
      UserError: no channel is as relevant.
    """
    relevance = np.asarray(channels, np.float64) @ np.asarray(text, np.float64)
    largest = float(np.abs(relevance).max())
    if largest < beta or largest == 0:
        raise UserError(
            f"beta={beta:g}: no channel is so relevant to this text; the largest relevance is "
            f"{largest:.3g}. Choose a smaller beta."
        )
    relevance = np.where(np.abs(relevance) < beta, 0, relevance) / largest
    return (relevance * deviations).astype(np.float32)


def style_numbers(size: int) -> tuple[int, ...]:
    """Returns the numbers of the styles that are not RGB's, of a generator of `size` pixels."""
    # Convolution, RGB at 4 pixels; then two convolutions and RGB for each doubling.
    convolutions = code_count(size) - 1
    return tuple(0 if not i else 3 * ((i - 1) // 2) + 2 + (i - 1) % 2 for i in range(convolutions))


def style_offsets(
    moves: Array, widths: Sequence[int], size: int, edited: int = EDITED_STYLES
) -> dict[int, Array]:
    """Returns style number -> offset (..., C), as `Generator.synthesise` takes them.

    Args:
      moves: (..., sum of `widths`), such as `global_direction` of styles that are not RGB's.
      widths: channels of those styles, in order, from the first on.
      size: of the generator.
      edited: how many of them are edited, from the first.
    """
    parts = jnp.split(jnp.asarray(moves), np.cumsum(widths)[:-1], axis=-1)
    return dict(list(zip(style_numbers(size), parts, strict=False))[:edited])


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def _signed(rows: np.ndarray) -> np.ndarray:
    """Gives each row the sign that makes its largest entry positive: eigenvectors have none."""
    largest = np.take_along_axis(rows, np.abs(rows).argmax(-1)[:, None], -1)
    return rows * np.where(largest < 0, -1, 1)
