"""Padding before the network, 8 bits and known pixels after it."""

import numpy as np
import pytest

from jaxedit.methods.matting import inference

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (50, 70), (40, 33)])
@pytest.mark.parametrize("margin", [0, 32])
def test_padding_reflects_and_cropping_undoes_it(height, width, margin):
    image = RNG.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    trimap = RNG.integers(0, 3, (2, height, width, 1)).astype(np.float32)
    padded, padded_trimap = inference.pad(image, trimap, margin)
    assert padded.shape[1] == height + -height % 32 + 2 * margin
    assert padded.shape[2] == width + -width % 32 + 2 * margin
    assert padded.dtype == np.uint8 and padded_trimap.shape == (*padded.shape[:3], 1)
    np.testing.assert_array_equal(inference.crop(padded, height, width, margin), image)
    np.testing.assert_array_equal(inference.crop(padded_trimap, height, width, margin), trimap)
    if margin:
        np.testing.assert_array_equal(padded[:, margin - 5, margin:-margin][:, :width], image[:, 5])
        np.testing.assert_array_equal(
            padded[:, margin : margin + height, margin + width], image[:, :, -2]
        )


def test_tiny_pictures_are_reflected_back_and_forth():
    image = np.arange(3.0)[None, :, None, None].repeat(3, -1)
    padded, _ = inference.pad(image, image[..., :1])
    assert padded.shape == (1, 96, 96, 3)
    np.testing.assert_array_equal(padded[0, 30:38, 0, 0], [2, 1, 0, 1, 2, 1, 0, 1])


def test_alphas_are_cut_to_eight_bits_and_known_pixels_forced():
    trimap = np.float32([[0, 1, 1], [1, 2, 1]])[None, ..., None]
    alpha = np.full((1, 96, 96, 1), 0.5, np.float32)
    alpha[0, 32:34, 32:35, 0] = [[0.9, 0.1, 0.9999], [1.0, 0.3, 0.0]]
    eight = inference.truncate(alpha, trimap)
    assert eight.dtype == np.uint8
    np.testing.assert_array_equal(eight[0, ..., 0], [[0, 25, 254], [255, 255, 0]])
    finished = inference.finish(alpha, trimap)
    assert finished.dtype == np.float32
    np.testing.assert_array_equal(np.rint(255 * finished), eight)


def test_mistakes():
    image = np.zeros((1, 8, 8, 3))
    with pytest.raises(ValueError, match=r"image is \(8, 8\), the trimap \(8, 9\)"):
        inference.pad(image, np.zeros((1, 8, 9, 1)))
    with pytest.raises(ValueError, match="margin is 20, not a multiple of 32"):
        inference.pad(image, image[..., :1], 20)
