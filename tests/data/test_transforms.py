"""Crops, flips and colour changes, against definitions written out in NumPy."""

import colorsys

import numpy as np
import pytest
from PIL import Image

from jaxedit.data import transforms
from jaxedit.errors import UserError


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)


def test_resize_is_antialiased_bilinear():
    # A triangle filter of support 2 * scale, normalised: halving sums weights (1, 3, 3, 1) / 8.
    row = np.random.default_rng(0).integers(0, 256, 16).astype(np.float64)
    image = np.repeat(np.repeat(row[None, :, None], 8, 0), 3, 2).astype(np.uint8)
    found = transforms.resize(image, 8, 8)[4, 1:7, 0]
    expected = [np.dot(row[2 * x - 1 : 2 * x + 3], [1, 3, 3, 1]) / 8 for x in range(1, 7)]
    np.testing.assert_allclose(found, expected, atol=0.51)


def test_random_resized_crop_is_a_resized_part(image):
    coordinates = np.stack(
        [*np.meshgrid(np.arange(56) * 4, np.arange(40) * 6), np.zeros((40, 56))], -1
    ).astype(np.uint8)
    rng = np.random.default_rng(0)
    shares, aspects = [], []
    for _ in range(400):
        top, left, height, width = transforms._random_box((40, 56), rng, (0.08, 1), (3 / 4, 4 / 3))
        assert 0 <= top <= 40 - height and 0 <= left <= 56 - width and height > 0 and width > 0
        shares.append(height * width / (40 * 56))
        aspects.append(width / height)
    assert 0.07 < min(shares) < 0.12 and 0.7 < max(shares) <= 1
    assert 0.6 < min(aspects) < 0.85 and 1.2 < max(aspects) < 1.5
    for seed in range(20):
        part = transforms.random_resized_crop(coordinates, 16, 16, np.random.default_rng(seed))
        assert part.shape == (16, 16, 3) and part.dtype == np.uint8
        # Within a part, x grows to the right and y downwards, and neither anywhere else.
        assert (np.diff(part[..., 0].astype(int), axis=1) >= 0).all()
        assert (np.diff(part[..., 1].astype(int), axis=0) >= 0).all()
        assert np.abs(np.diff(part[..., 0].astype(int), axis=0)).max() <= 1


def test_random_resized_crop_of_extreme_shapes_falls_back_to_the_centre():
    rng = np.random.default_rng(0)
    box = transforms._random_box((4, 400), rng, (0.9, 1.0), (3 / 4, 4 / 3))
    assert box == (0, (400 - 5) // 2, 4, 5)
    box = transforms._random_box((400, 4), rng, (0.9, 1.0), (3 / 4, 4 / 3))
    assert box == ((400 - 5) // 2, 0, 5, 4)
    assert transforms.random_resized_crop(np.zeros((1, 90, 3), np.uint8), 8, 8, rng).shape == (
        8,
        8,
        3,
    )


def test_centre_crop(image):
    np.testing.assert_array_equal(transforms.centre_crop(image, 20, 30), image[10:30, 13:43])
    with pytest.raises(UserError, match="178 x 178 .* 56 x 40"):
        transforms.centre_crop_and_resize(image, 178, 64, 64)
    assert transforms.centre_crop_and_resize(image, 30, 16, 16).shape == (16, 16, 3)


@pytest.mark.parametrize("size", [(20, 20), (64, 64), (30, 20), (20, 60), (40, 56)])
def test_resize_and_crop_covers_without_distortion(size):
    rows, columns = np.indices((40, 56))
    image = np.stack([rows * 6, columns * 4, rows * 0], -1).astype(np.uint8)
    found = transforms.resize_and_crop(image, *size)
    assert found.shape == (*size, 3)
    scale = max(size[0] / 40, size[1] / 56)
    # One pixel of the result is 1 / scale pixels of the image, in both directions.
    down = np.diff(found[3:-3, 5, 0].astype(float)).mean() * scale / 6
    right = np.diff(found[5, 3:-3, 1].astype(float)).mean() * scale / 4
    assert down == pytest.approx(1, abs=0.08) and right == pytest.approx(1, abs=0.08)


def test_flip(image):
    rng = np.random.default_rng(0)
    flipped = [not np.array_equal(transforms.random_flip(image, rng), image) for _ in range(300)]
    assert 0.4 < np.mean(flipped) < 0.6
    np.testing.assert_array_equal(transforms.random_flip(image, rng, 1.0), image[:, ::-1])
    np.testing.assert_array_equal(transforms.random_flip(image, rng, 0.0), image)


def test_neutral_factors_change_nothing(image):
    for adjust in (
        transforms.adjust_brightness, transforms.adjust_contrast, transforms.adjust_saturation
    ):  # fmt: skip
        np.testing.assert_array_equal(adjust(image, 1.0), image)
    hsv_round_trip = np.asarray(Image.fromarray(image).convert("HSV").convert("RGB"))
    np.testing.assert_array_equal(transforms.adjust_hue(image, 0.0), hsv_round_trip)


def test_brightness_contrast_saturation_are_blends(image):
    grey = image @ np.array([0.299, 0.587, 0.114])
    blends = {
        transforms.adjust_brightness: np.zeros_like(image, float),
        transforms.adjust_contrast: np.full(image.shape, round(grey.mean()), float),
        transforms.adjust_saturation: np.repeat(grey[..., None], 3, 2),
    }
    for adjust, other in blends.items():
        for factor in (0.5, 0.95, 1.05, 1.7):
            expected = np.clip(factor * image + (1 - factor) * other, 0, 255)
            np.testing.assert_allclose(adjust(image, factor), expected, atol=2)


@pytest.mark.parametrize("turn", [-0.05, 0.02, 0.05, 0.4])
def test_hue_is_turned(turn):
    colours = np.array([[[250, 40, 40], [40, 230, 60], [30, 60, 220], [200, 200, 40]]], np.uint8)
    for before, after in zip(colours[0], transforms.adjust_hue(colours, turn)[0], strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*(before / 255))
        turned = colorsys.rgb_to_hsv(*(after / 255))
        difference = (turned[0] - hue - turn + 0.5) % 1 - 0.5
        assert abs(difference) < 0.015
        assert turned[1:] == pytest.approx((saturation, value), abs=0.02)


def test_colour_jitter(image):
    found = transforms.colour_jitter(image, np.random.default_rng(0))
    np.testing.assert_array_equal(found, transforms.colour_jitter(image, np.random.default_rng(0)))
    difference = np.abs(found.astype(int) - image)
    assert 0 < difference.mean() < 20
    rng = np.random.default_rng(1)
    means = np.array([transforms.colour_jitter(image, rng, 0.5, 0, 0, 0).mean() for _ in range(60)])
    assert means.min() < 0.7 * image.mean() and means.max() > 1.15 * image.mean()
    grey = np.repeat(image[..., :1], 3, 2)
    for seed in range(5):  # grey stays grey under saturation and hue
        jittered = transforms.colour_jitter(grey, np.random.default_rng(seed))
        assert np.ptp(jittered, axis=2).max() == 0


def test_all_four_changes_come_in_every_place(monkeypatch):
    orders = set()
    trace = []
    for name in ("brightness", "contrast", "saturation", "hue"):
        monkeypatch.setattr(
            transforms, f"adjust_{name}", lambda image, _, name=name: trace.append(name) or image
        )
    for seed in range(300):
        trace.clear()
        transforms.colour_jitter(np.zeros((2, 2, 3), np.uint8), np.random.default_rng(seed))
        orders.add(tuple(trace))
    assert len(orders) == 24 and all(len(set(order)) == 4 for order in orders)


def test_ranges():
    values = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    unit = transforms.to_unit_range(values)
    assert unit.dtype == np.float32 and unit.min() == -1 and unit.max() == 1
    np.testing.assert_allclose(unit, values / 127.5 - 1, atol=1e-6)


def test_resize_nearest_keeps_the_values():
    mask = np.random.default_rng(0).random((20, 30)) < 0.5
    found = transforms.resize_nearest(mask, 10, 60)
    assert found.dtype == bool and found.shape == (10, 60)
    np.testing.assert_array_equal(found, mask[1::2].repeat(2, 1))
