"""Penalties on gradients: R1 of a discriminator, path lengths of a generator.

Both are differentiated once more when networks are trained: reverse mode over reverse mode, which
the formulations of convolutions allow (`layers.convolution.trilinear`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax


def r1(score: Callable[[jax.Array], jax.Array], real: jax.Array) -> jax.Array:
    """Returns R1 (Mescheder et al., 2018): the mean squared norm of the scores' gradient.

    Args:
      score: (B, ...) -> scores of any shape with the samples first.
      real: (B, ...), the real samples in which it is differentiated.
    """
    gradient = jax.grad(lambda x: score(x).sum())(real)
    return jnp.square(gradient).reshape(len(real), -1).sum(1).mean()


def path_lengths(
    synthesise: Callable[[jax.Array], jax.Array], codes: jax.Array, direction: jax.Array
) -> jax.Array:
    """Returns how far pictures move with their codes, (B,): Karras et al., 2020, section 3.2.

    The norm of J^T y over the width of the codes, averaged (as a square) over those of a picture.

    Args:
      synthesise: codes -> pictures (B, H, W, C), of each sample for itself.
      codes: (B, n, W).
      direction: standard normal, of the pictures' shape; divided by sqrt(H W) here.
    """
    _, pull_back = jax.vjp(synthesise, codes)
    (gradient,) = pull_back(direction / math.sqrt(direction.shape[1] * direction.shape[2]))
    return jnp.sqrt(jnp.square(gradient).sum(-1).mean(1))


def path_length_penalty(
    lengths: jax.Array, average: jax.Array, decay: float
) -> tuple[jax.Array, jax.Array]:
    """Returns (mean squared distance of the lengths from their running mean, that mean).

    Args:
      lengths: (B,), of `path_lengths`.
      average: the running mean so far, ().
      decay: the share of this batch in the new one. As in the published code the penalty sees
        that share, and is differentiated through it.
    """
    moved = average + decay * (lengths.mean() - average)
    return jnp.square(lengths - moved).mean(), lax.stop_gradient(moved)
