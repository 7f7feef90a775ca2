"""Distances between two sets of features: FID, KID, U-IDS and P-IDS. NumPy in, a float out.

Features are rows: x (n, d) of generated images, y (m, d) of real ones.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator

import numpy as np
import scipy.linalg


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """The Gaussian that FID fits to n feature vectors: one of two forms of its covariance.

    Attributes:
      mean: (d,) float64.
      factor: (d, n) float64 with factor @ factor.T = covariance, where n is below d.
      covariance: (d, d) float64, otherwise.
    """

    mean: np.ndarray
    factor: np.ndarray | None = None
    covariance: np.ndarray | None = None

    @property
    def trace(self) -> float:
        """The trace of the covariance."""
        if self.factor is not None:
            return float(np.sum(self.factor**2))
        return float(np.trace(self.covariance))


def gaussian_of_rows(rows: np.ndarray, ddof: int = 1) -> Gaussian:
    """Fits a Gaussian to `rows` (n, d), with covariance over n - `ddof`."""
    count, features = rows.shape
    rows = rows.astype(np.float64)
    if count >= features:
        return gaussian_of_moments(count, rows.sum(axis=0), rows.T @ rows, ddof)
    mean = rows.mean(axis=0)
    return Gaussian(mean, factor=(rows - mean).T / np.sqrt(count - ddof))


def gaussian_of_moments(
    count: int, total: np.ndarray, outer: np.ndarray, ddof: int = 1
) -> Gaussian:
    """Fits a Gaussian from the sum (d,) and the sum of outer products (d, d), both float64."""
    mean = total / count
    return Gaussian(mean, covariance=(outer - count * np.outer(mean, mean)) / (count - ddof))


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """Returns |mean_a - mean_b|^2 + Tr(A + B - 2 (A B)^(1/2)) for covariances A and B.

    Heusel et al., NeurIPS 2017, equation 6.
    """
    difference = a.mean - b.mean
    distance = difference @ difference + a.trace + b.trace - 2 * _trace_of_root(a, b)
    return max(0.0, float(distance))


def _trace_of_root(a: Gaussian, b: Gaussian) -> float:
    """Returns Tr (A B)^(1/2).

    With A = F F^T the eigenvalues of A B are those of F^T B F, which is symmetric; with B = G G^T
    too, they are the squared singular values of F^T G. Either is several times faster than a
    matrix square root, and holds for singular covariances, where that does not.
    """
    if a.factor is None and b.factor is not None:
        a, b = b, a
    if b.factor is not None:
        return float(scipy.linalg.svdvals(a.factor.T @ b.factor).sum())
    factor = _root(a.covariance) if a.factor is None else a.factor
    values = scipy.linalg.eigvalsh(factor.T @ b.covariance @ factor)
    # Rounding leaves zeros slightly below zero.
    return float(np.sqrt(np.maximum(values, 0)).sum())


def _root(covariance: np.ndarray) -> np.ndarray:
    """Returns F with F F^T = `covariance`."""
    try:
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:  # It is singular.
        values, vectors = np.linalg.eigh(covariance)
        return vectors * np.sqrt(np.maximum(values, 0))


def kernel_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Returns KID: the unbiased squared maximum mean discrepancy of all pairs.

    Binkowski et al., ICLR 2018, section 4: kernel (x.y / d + 1)^3. The paper averages this
    estimator over random subsets; over all pairs it has the same expectation, no randomness and
    a smaller variance. It may be negative. Needs two rows of each.
    """
    n, m = len(x), len(y)
    within_x = _kernel_sum(x, x) - _kernel_diagonal_sum(x)
    within_y = _kernel_sum(y, y) - _kernel_diagonal_sum(y)
    across = _kernel_sum(x, y)
    return float(within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * across / (n * m))


def _kernel_sum(x: np.ndarray, y: np.ndarray) -> float:
    return sum(
        float(np.sum((a.astype(np.float64) @ b.T.astype(np.float64) / x.shape[1] + 1) ** 3))
        for a in _blocks(x)
        for b in _blocks(y)
    )


def _kernel_diagonal_sum(x: np.ndarray) -> float:
    return float(np.sum((np.sum(x.astype(np.float64) ** 2, axis=1) / x.shape[1] + 1) ** 3))


def _blocks(x: np.ndarray, size: int = 1024) -> Iterator[np.ndarray]:
    return (x[start : start + size] for start in range(0, len(x), size))


@dataclasses.dataclass(frozen=True)
class DiscriminativeScore:
    """U-IDS and P-IDS, and whether the classifier's solver had converged."""

    unpaired: float
    paired: float
    converged: bool


def inception_discriminative_score(x: np.ndarray, y: np.ndarray) -> DiscriminativeScore:
    """Returns U-IDS and P-IDS of generated x (n, d), where y[i] is the truth of x[i].

    Zhao et al. (Co-Mod-GAN), ICLR 2021, section 4: a linear support vector machine (squared
    hinge, L2, C = 1) is fitted on all of both sets, unscaled; U-IDS is its training error, P-IDS
    the share of pairs in which the generated image looks more real to it than its own truth.

    Raises:
      ImportError: scikit-learn is not installed.
    """
    import sklearn.exceptions
    import sklearn.svm

    features = np.concatenate([y, x])
    labels = np.concatenate([np.ones(len(y), int), np.zeros(len(x), int)])
    machine = sklearn.svm.LinearSVC(dual=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", sklearn.exceptions.ConvergenceWarning)
        machine.fit(features, labels)
    unpaired = 1.0 - machine.score(features, labels)
    paired = np.mean(machine.decision_function(x) > machine.decision_function(y))
    converged = not any(
        issubclass(warning.category, sklearn.exceptions.ConvergenceWarning) for warning in caught
    )
    return DiscriminativeScore(float(unpaired), float(paired), converged)
