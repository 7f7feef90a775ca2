"""Ellipses, dilation, unknown bands and their fusion, against OpenCV and plain NumPy."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.methods.matting import refinement

SIZES = [1, 2, 3, 4, 6, 7, 14, 15, 28, 29]


def _mask(rng, shape, share=0.01):
    return (rng.random(shape) < share).astype(np.uint8)


def _expected(mask, size):
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return np.stack([cv2.dilate(m[..., 0], element)[..., None] for m in mask]) > 0


@pytest.mark.parametrize("size", range(1, 42))
def test_ellipse_is_opencvs(size):
    expected = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    np.testing.assert_array_equal(refinement.ellipse(size), expected)


@pytest.mark.parametrize("size", SIZES)
def test_dilation_by_a_known_size(size):
    mask = _mask(np.random.default_rng(size), (2, 40, 53, 1))
    mask[1, [0, 0, -1, -1], [0, -1, 0, -1]] = 1
    np.testing.assert_array_equal(refinement.dilate(mask, size), _expected(mask, size))


@pytest.fixture(scope="module")
def traced():
    return jax.jit(lambda mask, size: refinement.dilate(mask, size, 29))


@pytest.mark.parametrize("start", range(0, len(SIZES), 2))
def test_dilation_by_traced_sizes(traced, start):
    sizes = SIZES[start : start + 2]
    mask = _mask(np.random.default_rng(start), (2, 24, 70, 1))
    actual = traced(mask, jnp.array(sizes))
    for index, size in enumerate(sizes):
        np.testing.assert_array_equal(actual[index : index + 1], _expected(mask[[index]], size))


def test_dilation_by_one_traced_size_for_all():
    mask = _mask(np.random.default_rng(3), (2, 20, 30, 1))
    actual = jax.jit(lambda size: refinement.dilate(mask, size, 9))(6)
    np.testing.assert_array_equal(actual, _expected(mask, 6))


def test_nothing_and_everything_stay_so():
    empty = np.zeros((1, 12, 9, 1))
    assert not refinement.dilate(empty, 29).any()
    assert refinement.dilate(1 - empty, 29).all()


def test_dilation_of_a_map_smaller_than_the_ellipse():
    mask = np.zeros((1, 3, 4, 1), np.uint8)
    mask[0, 0, 1] = 1
    np.testing.assert_array_equal(refinement.dilate(mask, 15), _expected(mask, 15))


@pytest.mark.parametrize(("size", "largest"), [(0, None), (30, 29), (jnp.array(3), None)])
def test_impossible_sizes_are_refused(size, largest):
    with pytest.raises(ValueError):
        refinement.dilate(np.ones((1, 4, 4, 1)), size, largest)


@pytest.mark.parametrize("shape", [(64, 96), (672, 32), (1000, 33)])
def test_band_is_dilated_at_640_pixels(shape):
    rng = np.random.default_rng(0)
    alpha = (rng.random((1, *shape, 1)) < 0.5).astype(np.float32)
    alpha[0, ::17, ::13] = 0.5
    uncertain = alpha == 0.5
    square = _sampled(_sampled(uncertain, 1, 640), 2, 640).astype(np.uint8)
    back = _sampled(_sampled(_expected(square, 7), 1, shape[0]), 2, shape[1])
    actual = refinement.unknown_band(alpha, 7)
    assert actual.dtype == jnp.float32
    np.testing.assert_array_equal(actual, back)


def _sampled(x, axis, new):
    """Nearest sampling, written as the definition in single precision says."""
    ratio = np.float32(x.shape[axis]) / np.float32(new)
    return x.take([int(np.float32(i) * ratio) for i in range(new)], axis)


def test_band_thresholds_are_part_of_it():
    values = np.float32([0, 0.999 / 255, 1 / 255, 0.01, 0.5, 1 - 1 / 255, 254.5 / 255, 1])
    alpha = np.broadcast_to(values[:, None], (1, 8, 4))[..., None]  # 640 is a multiple of both
    band = refinement.unknown_band(alpha, 1)
    np.testing.assert_array_equal(band[0, :, 0, 0], [0, 0, 1, 1, 1, 1, 0, 0])


def test_half_precision_is_compared_in_single():
    alpha = jnp.full((1, 4, 4, 1), 1.0, jnp.bfloat16)
    assert not refinement.unknown_band(alpha, 3).any()


def test_refine_takes_the_finer_only_near_uncertain_pixels():
    os8 = np.zeros((1, 64, 64, 1), np.float32)
    os8[:, :, 32:] = 1
    os8[:, 20:24, 30:34] = 0.5
    os4, os1 = np.full_like(os8, 0.25), np.full_like(os8, 0.75)
    alpha = np.asarray(jax.jit(refinement.refine)(os8, os4, os1))
    band = np.asarray(refinement.unknown_band(os8, 15))
    inside = np.asarray(refinement.unknown_band(np.where(band, os4, os8), 7))
    assert 16 < band.sum() < inside.sum() < 100
    np.testing.assert_array_equal(alpha, np.where(inside, os1, os8))
    untouched = np.where(os8 == 0.5, 0, os8)
    np.testing.assert_array_equal(refinement.refine(untouched, os4, os1), untouched)


def test_random_bands_draw_both_ends_for_every_sample():
    os8 = np.zeros((12, 640, 640, 1), np.float32)
    os8[:, 8, 8] = 0.5
    os4 = os8
    limits = (4, 3)
    first, second = refinement.random_bands(os8, os4, jax.random.key(0), limits)
    seen = {int(x) for x in np.asarray(first).sum((1, 2, 3))}
    expected = {int(refinement.unknown_band(os8[:1], size).sum()) for size in (1, 2, 3)}
    assert seen == expected
    seen = {int(x) for x in np.asarray(second).sum((1, 2, 3))}
    expected = {int(refinement.unknown_band(os8[:1], size).sum()) for size in (1, 2)}
    assert seen == expected
    other, _ = refinement.random_bands(os8, os4, jax.random.key(1), limits)
    assert (np.asarray(first) != np.asarray(other)).any()


def test_second_random_band_follows_the_fused_prediction():
    os8 = np.zeros((1, 16, 16, 1), np.float32)
    os8[:, 8, 8] = 0.5
    os4 = np.ones_like(os8)
    os4[:, 2, 2] = 0.5  # uncertain outside of the first band: it must not count
    first, second = refinement.random_bands(os8, os4, jax.random.key(0), (2, 2))
    assert first.sum() == 1 and first[0, 8, 8] == 1
    assert not second.any()


def test_no_gradient_passes_through_a_band():
    alpha = jnp.full((1, 8, 8, 1), 0.5)
    gradient = jax.grad(lambda x: jnp.sum(refinement.unknown_band(x, 3)))(alpha)
    assert not gradient.any()
