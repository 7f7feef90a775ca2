"""Upsampling, resizing and pooling against one-dimensional NumPy references."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.layers import resampling

X = np.random.default_rng(0).standard_normal((2, 6, 5, 3)).astype(np.float32)


def positions(length, new, align_corners):
    if align_corners:
        return np.linspace(0, length - 1, new)
    return np.clip((np.arange(new) + 0.5) * length / new - 0.5, 0, length - 1)


def interpolate(x, size, align_corners):
    for axis, new in ((1, size[0]), (2, size[1])):
        length = x.shape[axis]
        at = positions(length, new, align_corners)
        x = np.apply_along_axis(
            lambda row, at=at: np.interp(at, np.arange(len(row)), row), axis, x
        )
    return x


@pytest.mark.parametrize("align_corners", [True, False])
def test_doubling(align_corners):
    y = resampling.upsample_bilinear(jnp.asarray(X), align_corners=align_corners)
    np.testing.assert_allclose(y, interpolate(X, (12, 10), align_corners), atol=1e-5)


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("size", [(12, 10), (13, 4), (6, 5), (1, 1), (3, 20)])
def test_resizing(size, align_corners):
    y = resampling.resize_bilinear(jnp.asarray(X), size, align_corners=align_corners)
    np.testing.assert_allclose(y, interpolate(X, size, align_corners), atol=1e-5)


def test_doubling_one_pixel():
    x = X[:, :1, :1]
    y = resampling.upsample_bilinear(jnp.asarray(x), align_corners=True)
    np.testing.assert_allclose(y, np.tile(x, (1, 2, 2, 1)), atol=1e-6)


def test_nearest():
    y = resampling.upsample_nearest(jnp.asarray(X), 3)
    np.testing.assert_array_equal(y, X.repeat(3, 1).repeat(3, 2))


def test_pooling():
    x = X[:, :, :4]
    cells = x.reshape(2, 3, 2, 2, 2, 3)
    np.testing.assert_allclose(
        resampling.average_pool(jnp.asarray(x)), cells.mean((2, 4)), atol=1e-6
    )
    np.testing.assert_array_equal(resampling.max_pool(jnp.asarray(x)), cells.max((2, 4)))
    # A row and a column that fill no cell are left out.
    np.testing.assert_array_equal(resampling.max_pool(jnp.asarray(X)), cells.max((2, 4)))
    gradient = jax.grad(lambda x: resampling.max_pool(x).sum())(jnp.asarray(x))
    assert gradient.sum() == x.size / 4 and set(np.unique(gradient)) == {0.0, 1.0}
    with pytest.raises(ValueError, match="6 x 5 map does not divide into cells of 2"):
        resampling.average_pool(jnp.asarray(X))


def test_dtype_is_kept():
    x = jnp.asarray(X, jnp.bfloat16)
    assert resampling.upsample_bilinear(x, align_corners=True).dtype == jnp.bfloat16
    assert resampling.resize_bilinear(x, (3, 3), align_corners=True).dtype == jnp.bfloat16
    assert resampling.max_pool(x).dtype == jnp.bfloat16


@pytest.mark.parametrize("shape", [(2, 6, 5, 3), (1, 1, 2, 1)])
def test_pools_of_three_with_padding_as_tensorflow_has_it(shape):
    x = jnp.asarray(np.random.default_rng(1).standard_normal(shape).astype(np.float32))
    window = lambda x, start, add: jax.lax.reduce_window(
        x, start, add, (1, 3, 3, 1), (1, 2, 2, 1), "SAME"
    )
    counts = window(jnp.ones_like(x), 0.0, jax.lax.add)
    average = lambda x: window(x, 0.0, jax.lax.add) / counts
    largest = lambda x: window(x, -jnp.inf, jax.lax.max)
    for ours, theirs in (
        (resampling.average_pool_same, average), (resampling.max_pool_same, largest)
    ):
        np.testing.assert_allclose(ours(x), theirs(x), atol=1e-6)
        gradient = lambda pool: jax.grad(lambda x: jnp.sum(jnp.sin(pool(x))))(x)
        np.testing.assert_allclose(gradient(ours), gradient(theirs), atol=1e-6)


@pytest.mark.parametrize("size", [(4, 2), (13, 5), (1, 10)])
def test_adaptive_windows(size):
    """Means over floor(i L / n) .. ceil((i + 1) L / n), whether fewer or more than there were."""
    y = resampling.adaptive_average_pool(jnp.asarray(X), size)
    for row, column in np.ndindex(size):
        part = X
        for axis, (index, new) in ((1, (row, size[0])), (2, (column, size[1]))):
            length = X.shape[axis]
            window = np.arange(index * length // new, -(-(index + 1) * length // new))
            part = part.take(window, axis)
        np.testing.assert_allclose(y[:, row, column], part.mean((1, 2)), atol=1e-6)


def test_resizing_by_the_nearest_pixel():
    y = resampling.resize_nearest(jnp.asarray(X), (4, 10))
    np.testing.assert_array_equal(y, X[:, [0, 1, 3, 4]][:, :, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]])
