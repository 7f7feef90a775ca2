"""Samples of the three parts: sizes, what is cut out, and jitter that can be undone."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.methods.sims import affine, samples
from tests import shrink

LABEL = np.zeros((64, 64), np.int32)
LABEL[16:40, 20:52] = 9
IMAGE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
RECORD = {"image": IMAGE, "label": LABEL, "depth": np.where(LABEL == 9, 2.0, 8.0)}


def rng():
    return np.random.default_rng(1)


def test_canvas_and_its_layout():
    config = shrink.sims("synthesis", image_size="(64, 128)", **{"network.stages": "1"})
    canvas, layout = IMAGE * (LABEL == 9)[..., None], np.where(LABEL == 9, 9, 255)
    make = samples.SynthesisSamples(config)
    sample = make({**RECORD, "canvas": canvas, "canvas_label": layout}, rng())
    assert sample["image"].shape == (64, 128, 3) and abs(sample["image"]).max() <= 1
    np.testing.assert_array_equal(sample["presence"][..., 0], np.repeat(LABEL == 9, 2, 1))
    np.testing.assert_array_equal(sample["layout"], np.repeat(layout, 2, 1))
    np.testing.assert_array_equal(sample["label"], np.repeat(LABEL, 2, 1))
    np.testing.assert_allclose(sample["canvas"], np.repeat(canvas / 255, 2, 1), atol=1e-6)
    with pytest.raises(UserError, match="no canvas.*data.canvas=none"):
        make(RECORD, rng())
    plain = samples.SynthesisSamples(shrink.sims("synthesis", **{"data.canvas": "none"}))
    sample = plain(RECORD, rng())
    assert not sample["canvas"].any() and not sample["presence"].any()
    assert sample["layout"] is sample["label"]


def test_jitter_leaves_the_frame_never_and_can_be_undone():
    for seed in range(20):
        theta = samples.jitter((20, 40, 30, 50), (64, 64), np.random.default_rng(seed), 2.5)
        scale = np.sqrt(theta[0] * theta[4] - theta[1] * theta[3])
        assert 1 / 1.1 <= scale <= 1 / 0.9
        back = affine.warp(affine.warp(marks(), theta[None]), inverse(theta)[None])
        inside = np.asarray(marks())[0, 22:38, 32:48]
        np.testing.assert_allclose(back[0, 22:38, 32:48], inside, atol=0.02)
    stays = samples.jitter((0, 63, 0, 63), (64, 64), np.random.default_rng(3))
    if stays[0] != 1:
        assert stays[0] > 1  # only smaller, never out of the frame


def marks():
    y, x = np.mgrid[:64, :64] / 64
    return jnp.asarray(np.stack([x, y], -1)[None], jnp.float32)


def inverse(theta):
    matrix = np.vstack([theta.reshape(2, 3), [0, 0, 1]])
    return np.linalg.inv(matrix)[:2].reshape(6).astype(np.float32)


def test_segments_to_align():
    config = shrink.sims("align")
    sample = samples.AlignSamples(config)(RECORD, rng())
    assert sorted(sample["targets"].sum((1, 2)).tolist()) == [24 * 32, 64 * 64 - 24 * 32]
    few = samples.AlignSamples(config)({**RECORD, "label": np.full((64, 64), 255)}, rng())
    np.testing.assert_array_equal(few["targets"], 0)
    np.testing.assert_array_equal(few["jitter"], [affine.IDENTITY] * 2)


def test_a_moved_segment_is_the_one_that_training_sees():
    config = shrink.sims("align", **{"data.area_share": "0"})
    trained = samples.AlignSamples(config)(RECORD, rng())
    measured = samples.MovedSegments(config)(RECORD, rng())
    target = trained["targets"][:1, ..., None].astype(np.float32)
    colour = (trained["image"] + 1) / 2 * target
    np.testing.assert_allclose(measured["original"], 2 * colour[0] - 1, atol=1e-6)
    moved = affine.warp(jnp.asarray(colour), jnp.asarray(trained["jitter"][:1]))
    # OpenCV places samples on a grid of 1/32 pixel.
    assert np.abs(2 * np.asarray(moved[0]) - 1 - measured["colour"]).mean() < 0.03


def test_pairs_to_order():
    sample = samples.OrderSamples(shrink.sims("order"))(RECORD, rng())
    np.testing.assert_array_equal(sample["present"], [1, 0])
    assert sample["front"][0] == 9 and sorted(sample["pair_classes"][0]) == [0, 9]
    place = sample["pair_classes"][0].tolist().index(9) + 1
    np.testing.assert_array_equal(sample["pair"][0] == place, LABEL == 9)
    with pytest.raises(UserError, match="no depth.*prior"):
        samples.OrderSamples(shrink.sims("order"))({"label": LABEL}, rng())
