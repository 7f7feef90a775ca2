"""The random affine map: what is drawn, and where pixels go."""

import cv2
import numpy as np

from jaxedit.methods.matting import affine


def test_draws_stay_in_the_published_ranges():
    rng = np.random.default_rng(0)
    draws = [affine.draw(rng, 224, 224) for _ in range(400)]
    scales = np.array([d.scale for d in draws])
    assert 0.8 <= scales.min() < 0.82 and 1.23 < scales.max() <= 1.25
    shears = np.array([d.shear for d in draws])
    assert -10 <= shears.min() < -9.5 and 9.5 < shears.max() <= 10
    flips = np.array([d.flip for d in draws])
    assert set(np.unique(flips)) == {-1, 1} and abs(flips.mean()) < 0.1
    # The two axes are scaled and mirrored independently.
    assert abs(np.corrcoef(scales.T)[0, 1]) < 0.15 and abs(np.corrcoef(flips.T)[0, 1]) < 0.15


def test_only_large_pictures_are_rotated():
    rng = np.random.default_rng(0)
    assert {affine.draw(rng, 1023, 500).angle for _ in range(20)} == {0.0}
    angles = [affine.draw(rng, 500, 1024).angle for _ in range(200)]
    assert -30 <= min(angles) < -25 and 25 < max(angles) <= 30


def test_the_matrix_undoes_flip_scale_rotation_and_shear():
    drawn = affine.Affine(20.0, (5.0, -3.0), (1.2, 0.9), -7.0, (-1, 1))
    matrix = affine.inverse_matrix(90, 130, drawn)
    # Forward: the horizontal axis is flipped, scaled and turned by the angle, the vertical one
    # scaled and turned by angle and shear; then everything about the centre, then the shift.
    angle, shear = np.radians([drawn.angle, drawn.shear])
    turned = np.array(
        [[np.cos(angle + shear), -np.sin(angle + shear)], [np.sin(angle), np.cos(angle)]]
    )
    forward = turned @ np.diag(np.multiply(drawn.scale, drawn.flip))
    centre = np.array([130 / 2 + 0.5, 90 / 2 + 0.5])
    for point in np.array([[0.0, 0.0], [33.0, 71.0], [129.0, 4.0]]):
        there = forward @ (point - centre) + centre + drawn.translate
        np.testing.assert_allclose(matrix @ [*there, 1], point, atol=1e-9)


def test_flips_mirror_and_the_outside_is_empty():
    picture = np.arange(48, dtype=np.float32).reshape(6, 8) + 1
    matrix = affine.inverse_matrix(6, 8, affine.Affine(flip=(-1, 1)))
    warped = affine.warp(picture, matrix, cv2.INTER_NEAREST)
    # The published centre lies half a pixel right of the middle: the first column is outside.
    np.testing.assert_array_equal(warped[:, 2:], picture[:, ::-1][:, :-2])
    half = affine.warp(picture, affine.inverse_matrix(6, 8, affine.Affine(scale=(0.5, 0.5))), 0)
    assert half[0, 0] == 0 and (half > 0).mean() < 0.4


def test_colours_and_opacity_move_together():
    rng = np.random.default_rng(3)
    alpha = np.zeros((64, 64), np.float32)
    alpha[20:44, 10:50] = 1
    foreground = np.repeat((255 * alpha).astype(np.uint8)[..., None], 3, axis=2)
    for _ in range(10):
        moved, opacity = affine.random_warp(foreground, alpha, rng)
        assert moved.dtype == np.uint8 and opacity.dtype == np.float32
        # Interpolated differently, but in the same place: rims alone may differ.
        assert (np.abs(moved[..., 0] / 255 - opacity) > 0.6).mean() < 0.02
        assert opacity.sum() > 200


def test_every_interpolation_is_drawn():
    rng = np.random.default_rng(0)
    drawn = [affine.random_interpolation(rng) for _ in range(400)]
    assert all(60 < drawn.count(one) < 140 for one in affine.INTERPOLATIONS)
