"""Pre-training samples: cells, noise, class shares before and after the affine map."""

import dataclasses

import cv2
import numpy as np
import pytest

from jaxedit.data import trimaps
from jaxedit.methods.matting import affine, mixing, pretraining
from jaxedit.methods.matting.pretraining import Pretraining


def shares(labels):
    return np.bincount(labels.ravel(), minlength=3) / labels.size


def picture(seed, height=40, width=50):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_class_shares_before_the_affine_map():
    alpha = Pretraining().alpha(np.random.default_rng(0))
    assert alpha.shape == (224, 224) and alpha.dtype == np.float32
    np.testing.assert_allclose(shares(trimaps.from_exact(alpha)), [0.128, 0.747, 0.125], atol=0.002)


@pytest.mark.parametrize(
    ("interpolation", "expected"),
    [
        (cv2.INTER_NEAREST, (0.205, 0.681, 0.114)),
        (cv2.INTER_LINEAR, (0.179, 0.733, 0.088)),
        (cv2.INTER_CUBIC, (0.197, 0.724, 0.079)),
        (cv2.INTER_LANCZOS4, (0.137, 0.789, 0.074)),
    ],
)
def test_class_shares_after_the_affine_map(interpolation, expected):
    rng = np.random.default_rng(0)
    found = []
    for _ in range(120):
        alpha = Pretraining().alpha(rng)
        matrix = affine.inverse_matrix(224, 224, affine.draw(rng, 224, 224))
        warped = np.clip(affine.warp(alpha, matrix, interpolation), 0, 1)
        found.append(shares(trimaps.from_exact(warped)))
    mean, deviation = np.mean(found, axis=0), np.std(found, axis=0)
    # How much of the frame stays empty varies from draw to draw; known foreground hardly does.
    assert deviation[0] > 5 * deviation[2]
    assert abs(mean[0] - expected[0]) < 0.04 and abs(mean[1] - expected[1]) < 0.04
    assert abs(mean[2] - expected[2]) < 0.005


def test_cells_are_whole_and_known_ones_have_their_counts():
    task = Pretraining(size=35, cell=7, known=0.4, foreground_share=0.25)
    alpha = task.alpha(np.random.default_rng(1))
    blocks = alpha.reshape(5, 7, 5, 7).transpose(0, 2, 1, 3).reshape(25, 49)
    assert (blocks == 1).all(axis=1).sum() == round(0.25 * 10)
    assert (blocks == 0).all(axis=1).sum() == 10 - round(0.25 * 10)
    unknown = blocks[~((blocks == 1).all(axis=1) | (blocks == 0).all(axis=1))]
    assert unknown.max() <= np.float32(254 / 255)
    np.testing.assert_array_equal(np.rint(unknown * 255), np.float32(unknown * 255).round())


def test_a_grid_that_does_not_fit_is_cut_off():
    alpha = Pretraining(size=30, cell=8).alpha(np.random.default_rng(1))
    assert alpha.shape == (30, 30)
    grid = pretraining.label_cells(np.arange(16), 4, 4, 4)
    made = pretraining.pseudo_alpha(grid, np.full((30, 30), 51, np.uint8), 8)
    np.testing.assert_array_equal(made[0, [0, 7, 8, 29]], 0)
    np.testing.assert_array_equal(made[8:16], 1)
    np.testing.assert_array_equal(made[16:], np.float32(0.2))


def test_noise_of_every_kind():
    rng = np.random.default_rng(0)
    pixel = pretraining.unknown_alpha("pixel", 224, 7, rng)
    cell = pretraining.unknown_alpha("cell", 224, 7, rng)
    smooth = pretraining.unknown_alpha("smooth", 224, 7, rng)
    gaussian = pretraining.unknown_alpha("gaussian", 224, 7, rng)
    for levels in (pixel, cell, smooth, gaussian):
        assert levels.shape == (224, 224) and levels.dtype == np.uint8 and levels.max() <= 254
        assert abs(levels.mean() - 127) < 6
    # Uniform: a deviation of 255 / sqrt(12) = 73.6; normal: 63.75, less what is cut off.
    assert abs(pixel.std() - 73.6) < 1 and abs(smooth.std() - 73.6) < 5
    assert 58 < gaussian.std() < 64
    blocks = cell.reshape(32, 7, 32, 7)
    assert (blocks == blocks[:, :1, :, :1]).all() and len(np.unique(cell)) > 200

    def correlation(levels, step):
        return np.corrcoef(levels[:, step:].ravel(), levels[:, :-step].ravel())[0, 1]

    assert abs(correlation(pixel, 1)) < 0.02 and abs(correlation(gaussian, 1)) < 0.02
    assert correlation(smooth, 1) > 0.8 and correlation(smooth, 7) < 0.2


def test_a_sample_is_the_mixture_it_says():
    sample = Pretraining(size=56)(picture(0), picture(1), np.random.default_rng(0))
    for key, channels in (("image", 3), ("foreground", 3), ("background", 3), ("alpha", 1),
                          ("trimap", 1)):
        assert sample[key].shape == (56, 56, channels) and sample[key].dtype == np.float32
    alpha = sample["alpha"]
    mixed = alpha * sample["foreground"] + (1 - alpha) * sample["background"]
    np.testing.assert_allclose(sample["image"], mixed, atol=1e-6)
    assert np.abs(sample["image"]).max() <= 1 + 1e-6
    # Not rounded to 8 bits.
    levels = (sample["image"] + 1) * 127.5
    assert (np.abs(levels - np.rint(levels)) > 0.01).mean() > 0.5
    labels = sample["trimap"]
    np.testing.assert_array_equal(labels == 0, alpha == 0)
    np.testing.assert_array_equal(labels == 2, alpha == 1)
    np.testing.assert_array_equal(labels == 1, (alpha > 0) & (alpha < 1))


def test_options_switch_off():
    plain = Pretraining(size=56, affine=False, jitter=False)
    sample = plain(picture(0), picture(1), np.random.default_rng(0))
    stretched = cv2.resize(picture(0), (56, 56), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(sample["foreground"], mixing.unit_range(stretched), atol=1e-6)
    alpha = plain.alpha(np.random.default_rng(0))
    np.testing.assert_array_equal(sample["alpha"][..., 0], alpha)
    jittered = dataclasses.replace(plain, jitter=True)
    changed = jittered(picture(0), picture(1), np.random.default_rng(0))
    assert np.abs(changed["foreground"] - sample["foreground"]).max() > 0.01
    np.testing.assert_array_equal(changed["background"], sample["background"])


def test_the_generator_decides_everything():
    task = Pretraining(size=56)
    first = task(picture(0), picture(1), np.random.default_rng(7))
    again = task(picture(0), picture(1), np.random.default_rng(7))
    other = task(picture(0), picture(1), np.random.default_rng(8))
    for key in first:
        np.testing.assert_array_equal(first[key], again[key])
    assert not np.array_equal(first["alpha"], other["alpha"])


def test_a_flat_second_picture():
    flat = pretraining.flat_colour(20, np.random.default_rng(0))
    assert flat.shape == (20, 20, 3) and (flat == flat[0, 0]).all()
