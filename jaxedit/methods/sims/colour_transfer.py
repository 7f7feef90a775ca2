"""Moving the colours of one picture to the statistics of another.

The linear Monge-Kantorovich map between two Gaussians (Pitie and Kokaram, CVMP 2007, equation 17),
which the published code of SIMS uses where the paper cites Reinhard's transfer.
"""

from __future__ import annotations

import numpy as np

_LEAST = 1e-10  # a variance of colours below it counts as this


def matrix(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Returns T = A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2 of two covariances (3, 3), float64."""
    root = _power(source, 0.5)
    inverse = _power(source, -0.5)
    return inverse @ _power(root @ target @ root, 0.5) @ inverse


def between(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns (mean of the source, T, mean of the target) of colours (n, 3) and (m, 3).

    Sample covariances, over n - 1; each set needs two colours.
    """
    source, target = (np.asarray(c, np.float64).reshape(-1, 3) for c in (source, target))
    transfer = matrix(np.cov(source.T), np.cov(target.T))
    return source.mean(0), transfer, target.mean(0)


def apply(
    colours: np.ndarray, mean: np.ndarray, transfer: np.ndarray, new_mean: np.ndarray
) -> np.ndarray:
    """Returns colours (..., 3) in [0, 1], moved and cut to [0, 1], float32."""
    moved = (np.asarray(colours, np.float64) - mean) @ transfer + new_mean
    return np.clip(moved, 0, 1).astype(np.float32)


def _power(symmetric: np.ndarray, exponent: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(symmetric)
    return (vectors * np.maximum(values, _LEAST) ** exponent) @ vectors.T
