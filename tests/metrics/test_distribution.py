"""FID, KID and IDS against textbook formulations."""

import numpy as np
import pytest
import scipy.linalg

from jaxedit.metrics import distribution


def textbook_fid(x, y, ddof=1):
    a, b = (np.cov(rows, rowvar=False, ddof=ddof) for rows in (x, y))
    root = scipy.linalg.sqrtm(a @ b).real
    return np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(a + b - 2 * root)


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 6)) @ rng.standard_normal((6, 6)) + 0.5
    return x, rng.standard_normal((33, 6))


@pytest.mark.parametrize("ddof", [0, 1])
def test_frechet_distance_matches_the_matrix_square_root(rows, ddof):
    fitted = [distribution.gaussian_of_rows(x, ddof) for x in rows]
    assert distribution.frechet_distance(*fitted) == pytest.approx(
        textbook_fid(*rows, ddof), rel=1e-9
    )


def test_moments_and_rows_agree(rows):
    x, y = rows
    moments = [
        distribution.gaussian_of_moments(len(z), z.sum(0), z.T @ z) for z in (x, y)
    ]
    assert distribution.frechet_distance(*moments) == pytest.approx(textbook_fid(x, y), rel=1e-9)


def test_frechet_distance_of_known_gaussians():
    """In one dimension it is (difference of means)^2 + (difference of deviations)^2."""
    x, y = np.array([[-1.0], [1.0]]), np.array([[0.0], [6.0]])
    fitted = [distribution.gaussian_of_rows(z, ddof=0) for z in (x, y)]
    assert distribution.frechet_distance(*fitted) == pytest.approx(3**2 + 2**2)


def test_frechet_distance_of_singular_covariances():
    """Fewer samples than features: the distance is that within the span of all samples."""
    rng = np.random.default_rng(1)
    flat_x, flat_y = rng.standard_normal((5, 3)), rng.standard_normal((4, 3)) + 1
    rotation = scipy.linalg.qr(rng.standard_normal((50, 50)))[0][:3]
    fitted = [distribution.gaussian_of_rows(flat @ rotation) for flat in (flat_x, flat_y)]
    assert distribution.frechet_distance(*fitted) == pytest.approx(
        textbook_fid(flat_x, flat_y), rel=1e-9
    )


def test_frechet_distance_of_few_against_many_samples(rows):
    x, y = rows
    few, many = distribution.gaussian_of_rows(x[:5]), distribution.gaussian_of_rows(y)
    for pair in ((few, many), (many, few)):
        assert distribution.frechet_distance(*pair) == pytest.approx(textbook_fid(x[:5], y), 1e-5)


def test_frechet_distance_with_a_feature_that_never_varies(rows):
    x, y = (np.concatenate([z, np.full((len(z), 1), 2.0)], axis=1) for z in rows)
    fitted = [distribution.gaussian_of_rows(z) for z in (x, y)]
    assert distribution.frechet_distance(*fitted) == pytest.approx(textbook_fid(*rows), rel=1e-6)


def test_equal_sets_are_at_no_distance(rows):
    x, _ = rows
    for z in (x, x[:4]):
        fitted = distribution.gaussian_of_rows(z)
        assert distribution.frechet_distance(fitted, fitted) == pytest.approx(0, abs=1e-9)


def test_kernel_distance_matches_the_sum_over_pairs(rows):
    x, y = rows
    kernel = lambda a, b: (np.dot(a, b) / 6 + 1) ** 3
    n, m = len(x), len(y)
    within = lambda z: sum(
        kernel(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j
    )
    across = sum(kernel(a, b) for a in x for b in y)
    expected = within(x) / (n * (n - 1)) + within(y) / (m * (m - 1)) - 2 * across / (n * m)
    assert distribution.kernel_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_does_not_depend_on_blocks(rows, monkeypatch):
    x, y = rows
    whole = distribution.kernel_distance(x, y)
    blocks = distribution._blocks
    monkeypatch.setattr(distribution, "_blocks", lambda z: blocks(z, 7))
    assert distribution.kernel_distance(x, y) == pytest.approx(whole, rel=1e-10)


def test_kernel_distance_has_mean_zero_for_one_distribution():
    rng = np.random.default_rng(2)
    values = [distribution.kernel_distance(*rng.standard_normal((2, 20, 4))) for _ in range(200)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(200)


def test_discriminative_score_separable():
    rng = np.random.default_rng(3)
    real = rng.standard_normal((30, 4))
    score = distribution.inception_discriminative_score(real - 20, real)
    assert (score.unpaired, score.paired, score.converged) == (0.0, 0.0, True)


def test_discriminative_score_indistinguishable():
    rng = np.random.default_rng(4)
    real, fake = rng.standard_normal((2, 400, 3))
    score = distribution.inception_discriminative_score(fake, real)
    assert 0.4 < score.unpaired < 0.55
    assert 0.35 < score.paired < 0.65


def test_paired_score_counts_pairs_not_order():
    """The classifier learns that the second feature marks real images, and one fake has more of
    it than its own truth."""
    real = np.array([[0, 1.0], [0, 2.0], [0, 3.0], [0, 1.5]])
    fake = np.array([[0, 1.4], [0, -2.0], [0, -3.0], [0, -1.0]])
    assert distribution.inception_discriminative_score(fake, real).paired == 0.25
    swapped = fake[[1, 0, 2, 3]]  # the same sets, so the same classifier; other pairs
    assert distribution.inception_discriminative_score(swapped, real).paired == 0.0
