"""The HSV jitter, against a plain per-pixel reckoning with Python's colorsys."""

import colorsys

import numpy as np

from jaxedit.methods.matting.jitter import jitter


def picture(seed=0, shape=(5, 6, 3)):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def expected(foreground, alpha, hue, saturation, value):
    hsv = np.array(
        [[colorsys.rgb_to_hsv(*(pixel / 255)) for pixel in row] for row in foreground]
    )
    hsv[..., 0] = (hsv[..., 0] + hue / 360) % 1
    for channel, share in ((1, saturation), (2, value)):
        room = 1.1 - hsv[..., channel][alpha > 0].mean()
        moved = np.abs(hsv[..., channel] + share * room / 5 - room / 10)
        hsv[..., channel] = np.where(moved > 1, 2 - moved, moved)
    return 255 * np.array([[colorsys.hsv_to_rgb(*pixel) for pixel in row] for row in hsv])


def test_hue_saturation_and_value_move_as_published():
    foreground = picture()
    foreground[0] = [[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 0, 255], [9, 9, 9], [250, 1, 0]]
    alpha = np.random.default_rng(1).random((5, 6), dtype=np.float32)
    alpha[alpha < 0.4] = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        hue, (saturation, value) = rng.integers(-40, 40), rng.random(2)
        found = jitter(foreground, alpha, np.random.default_rng(seed))
        assert found.dtype == np.float32 and 0 <= found.min() and found.max() <= 255
        np.testing.assert_allclose(
            found, expected(foreground, alpha, hue, saturation, value), atol=0.02
        )


def test_nothing_visible_leaves_the_colours():
    foreground = picture(2)
    found = jitter(foreground, np.zeros((5, 6), np.float32), np.random.default_rng(0))
    np.testing.assert_array_equal(found, foreground.astype(np.float32))


def test_draws_do_not_depend_on_the_picture():
    first, second = np.random.default_rng(5), np.random.default_rng(5)
    jitter(picture(), np.zeros((5, 6), np.float32), first)
    jitter(picture(), np.ones((5, 6), np.float32), second)
    assert first.random() == second.random()


def test_the_input_is_not_changed():
    for kind in (np.uint8, np.float32):
        foreground = picture().astype(kind)
        before = foreground.copy()
        jitter(foreground, np.ones((5, 6), np.float32), np.random.default_rng(0))
        np.testing.assert_array_equal(foreground, before)
