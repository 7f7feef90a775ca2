"""Pixel metrics against scikit-image and hand-made cases."""

import numpy as np
import pytest
import skimage.metrics

from jaxedit.errors import UserError
from jaxedit.metrics import image

FUNCTIONS_OF_HOLES = [image.psnr, image.l1]


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    target = rng.uniform(-1, 1, (2, 20, 17, 3)).astype(np.float32)
    prediction = np.clip(target + 0.3 * rng.standard_normal(target.shape), -1, 1)
    return prediction.astype(np.float32), target


def test_psnr_and_ssim_match_scikit_image(pair):
    prediction, target = pair
    for index, (psnr, ssim) in enumerate(
        zip(image.psnr(prediction, target), image.ssim(prediction, target), strict=True)
    ):
        x, y = (np.float64(images[index] + 1) * 127.5 for images in pair)
        assert psnr == pytest.approx(
            skimage.metrics.peak_signal_noise_ratio(y, x, data_range=255), rel=1e-6
        )
        assert ssim == pytest.approx(
            skimage.metrics.structural_similarity(
                y, x, data_range=255, channel_axis=-1, gaussian_weights=True, sigma=1.5,
                use_sample_covariance=False,
            ),
            rel=1e-6,
        )


def test_l1_is_on_the_scale_from_minus_one_to_one():
    black, white = -np.ones((1, 4, 4, 3), np.float32), np.ones((1, 4, 4, 3), np.float32)
    assert image.l1(black, white) == [2.0]


@pytest.mark.parametrize("function", FUNCTIONS_OF_HOLES)
def test_a_hole_metric_sees_only_the_hole(function, pair):
    prediction, target = pair
    mask = np.zeros((2, 20, 17, 1), np.float32)
    mask[:, 3:9, 5:12] = 1
    inside = function(prediction[:, 3:9, 5:12], target[:, 3:9, 5:12])
    elsewhere = prediction.copy()
    elsewhere[:, 10:] = np.nan
    np.testing.assert_allclose(function(elsewhere, target, mask), inside, rtol=1e-12)


@pytest.mark.parametrize("function", FUNCTIONS_OF_HOLES)
def test_an_empty_hole_has_no_value(function, pair):
    mask = np.zeros((2, 20, 17, 1), np.float32)
    mask[0, 3, 3] = 1
    assert np.isnan(function(*pair, mask)).tolist() == [False, True]


def test_equal_images():
    images = np.full((1, 12, 12, 3), 0.25, np.float32)
    assert image.psnr(images, images) == [np.inf]
    assert image.ssim(images, images) == pytest.approx(1.0)
    assert image.l1(images, images) == [0.0]


def test_ssim_refuses_images_below_its_window():
    small = np.zeros((1, 10, 30, 3), np.float32)
    with pytest.raises(UserError, match="at least 11x11 pixels, got 10x30"):
        image.ssim(small, small)


def test_figures_outside_of_a_mask_see_what_is_kept(pair):
    prediction, target = pair
    mask = np.zeros((2, 20, 17, 1), np.float32)
    mask[0, 8:12, 6:10] = mask[1] = 1
    kept = mask[0, ..., 0] == 0
    x, y = (np.float64(images[0] + 1) * 127.5 for images in pair)
    expected = 10 * np.log10(255**2 / np.square(x - y)[kept].mean())
    found = image.psnr_outside(prediction, target, mask)
    assert found[0] == pytest.approx(expected, rel=1e-6) and np.isnan(found[1])
    _, similarity = skimage.metrics.structural_similarity(
        y, x, data_range=255, channel_axis=-1, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )
    inner = slice(5, -5), slice(5, -5)  # where the window fits
    found = image.ssim_outside(prediction, target, mask)
    assert found[0] == pytest.approx(similarity[inner][kept[inner]].mean(), rel=1e-6)
    assert np.isnan(found[1])
    # What is inside does not count.
    other = np.where(mask > 0, -target, prediction)
    assert image.psnr_outside(other, target, mask)[0] == image.psnr_outside(
        prediction, target, mask)[0]
