"""Padding before the network, 8 bits and known pixels after it, as the task has them."""

import numpy as np
import pytest

from jaxedit.methods.matting import inference, matte

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (50, 70), (40, 33)])
@pytest.mark.parametrize("margin", [0, 32])
def test_padding_reflects_and_cutting_undoes_it(height, width, margin):
    image = RNG.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    trimap = RNG.integers(0, 3, (2, height, width, 1)).astype(np.float32)
    task = matte.task(margin)
    batch, frames = task.pad({"image": image, "trimap": trimap})
    padded = batch["image"]
    assert padded.shape[1] == height + -height % 32 + 2 * margin
    assert padded.shape[2] == width + -width % 32 + 2 * margin
    assert task.padded(height, width) == padded.shape[1:3]
    assert padded.dtype == np.uint8 and batch["trimap"].shape == (*padded.shape[:3], 1)
    found = task.cut({"alpha": batch["trimap"]}, frames)["alpha"]
    np.testing.assert_array_equal(found, trimap)
    if margin:
        np.testing.assert_array_equal(padded[:, margin - 5, margin:-margin][:, :width], image[:, 5])
        np.testing.assert_array_equal(
            padded[:, margin : margin + height, margin + width], image[:, :, -2]
        )


def test_tiny_pictures_are_reflected_back_and_forth_up_to_what_the_network_takes():
    image = np.arange(3.0)[None, :, None, None].repeat(3, -1)
    padded = matte.task(32).pad({"image": image})[0]["image"]
    assert padded.shape == (1, 96, 96, 3)
    np.testing.assert_array_equal(padded[0, 30:38, 0, 0], [2, 1, 0, 1, 2, 1, 0, 1])
    assert matte.task(0).padded(3, 65) == (64, 96)


def test_alphas_are_cut_to_eight_bits_and_known_pixels_forced():
    trimap = np.float32([[0, 1, 1], [1, 2, 1]])[None, ..., None]
    alpha = np.float32([[0.9, 0.1, 0.9999], [1.0, 0.3, 0.0]])[None, ..., None]
    eight = inference.truncate(alpha, trimap)
    assert eight.dtype == np.uint8
    np.testing.assert_array_equal(eight[0, ..., 0], [[0, 25, 254], [255, 255, 0]])
    task = matte.task(32)
    batch, frames = task.pad({"image": trimap, "trimap": trimap})
    around = frames["picture"].pad(alpha)
    finished = task.finished({"alpha": around}, frames, {"trimap": trimap})["alpha"]
    assert finished.dtype == np.float32
    np.testing.assert_array_equal(np.rint(255 * finished), eight)


def test_a_margin_that_the_network_cannot_take_is_refused():
    with pytest.raises(ValueError, match="margin 20 is no multiple of 32"):
        matte.task(20)
