"""Segmentation: the demo trains, shrunk, and is measured; classes and labels are checked."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit import method as method_lib
from jaxedit.data import sources
from jaxedit.errors import UserError
from jaxedit.methods.segmentation import method as segmentation
from jaxedit.methods.segmentation.data import Transform
from jaxedit.run import evaluate, readers, train
from tests import shrink


def test_demo_trains_and_is_measured(tmp_path):
    config = shrink.segmentation()
    train.train(config, tmp_path / "run", jax.devices()[:1])
    _, method, state = readers.load_run(tmp_path / "run")
    result = evaluate.evaluate(method, config, state, tmp_path / "run")
    assert set(result.table) == {"model", "largest class of each"}
    row = result.table["model"]["all"]
    assert 0 < row["pixel_accuracy"] < 1 and 0 < row["mean_iou"] < row["pixel_accuracy"]
    assert "iou/sky" in row
    assert (tmp_path / "run/pictures/evaluation-samples.png").is_file()


def test_the_loss_is_that_of_labelled_pixels_alone():
    scores = jnp.log(jnp.array([[[[0.7, 0.3], [0.2, 0.8], [0.5, 0.5]]]]))
    label = jnp.array([[[0, 0, 255]]])
    value, accuracy = segmentation.cross_entropy(scores, label)
    assert float(value) == pytest.approx(-(np.log(0.7) + np.log(0.2)) / 2, rel=1e-5)
    assert float(accuracy) == 0.5
    smooth, _ = segmentation.cross_entropy(scores, label, 0.5)
    spread = -(np.log(0.7) + np.log(0.3) + np.log(0.2) + np.log(0.8)) / 4
    assert float(smooth) == pytest.approx(0.5 * float(value) + 0.5 * spread, rel=1e-5)
    value, accuracy = segmentation.cross_entropy(scores, jnp.full((1, 1, 3), 255))
    assert float(value) == 0 and float(accuracy) == 0
    gradient = jax.grad(lambda s: segmentation.cross_entropy(s, label)[0])(scores)
    assert not np.asarray(gradient)[0, 0, 2].any()


def test_balance_gives_classes_their_share_of_the_loss():
    """Three pixels of class 0, one of class 1: fully balanced, both classes count as one half."""
    scores = jnp.asarray(np.random.default_rng(0).normal(size=(1, 1, 5, 2)), jnp.float32)
    label = jnp.asarray([[[0, 0, 1, 0, 255]]])
    each = -np.asarray(jax.nn.log_softmax(scores))[0, 0]
    of_class = each[[0, 1, 3], 0].mean(), each[2, 1]
    for balance, expected in ((0.0, np.average(of_class, weights=(3, 1))), (1.0, np.mean(of_class)),
                              (0.5, np.average(of_class, weights=(3**0.5, 1)))):
        value, _ = segmentation.cross_entropy(scores, label, 0.0, balance)
        assert float(value) == pytest.approx(expected, rel=1e-5)



def test_a_photograph_and_its_labels_are_cut_and_turned_together():
    image = np.repeat(np.repeat(np.arange(6), 8)[None, :, None], 40, 0) * 40
    record = {
        "image": np.repeat(image, 3, 2).astype(np.uint8), "id": "x",
        "label": np.repeat(np.repeat(np.arange(6), 8)[None], 40, 0).astype(np.int32),
    }
    record["label"][:3] = 255
    for train_mode in (False, True):
        transform = Transform((32, 32), 6, train_mode, (0.5, 1.0), 0.0)
        for seed in range(5):
            sample = transform(record, np.random.default_rng(seed))
            assert sample["image"].shape == (32, 32, 3) and sample["label"].shape == (32, 32)
            assert sample["label"].dtype == np.int32
            known = sample["label"] != 255
            levels = (sample["image"][..., 0] + 1) * 127.5 / 40
            # But for the pixels where two colours meet.
            assert (np.abs(levels - sample["label"])[known] < 0.3).mean() > 0.7


def test_unknown_numbers_and_missing_maps_are_named():
    transform = Transform((8, 8), 3, False, (1.0, 1.0), 0.0)
    record = {"image": np.zeros((8, 8, 3), np.uint8), "id": "x"}
    with pytest.raises(UserError, match="has no label map"):
        transform(record, np.random.default_rng(0))
    with pytest.raises(UserError, match="class number 3, but there are 3 classes"):
        transform({**record, "label": np.full((8, 8), 3, np.int32)}, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": "(30, 33)"}, "multiples of 2"),
        ({"image_size": "(32,)"}, "expected a sequence of 2"),
        ({"network.channels": "(8, 12)"}, "must be a multiple of 8"),
        ({"classes.names": "('a', 'b')"}, "classes.colours are 15 and classes.names 2"),
    ],
)
def test_unsound_configurations_are_refused(changes, message):
    with pytest.raises(UserError, match=message.replace("(", r"\(").replace(")", r"\)")):
        method_lib.create(shrink.segmentation(**changes))


def test_classes_that_are_not_those_of_the_source_are_refused():
    changes = {"classes.names": "('a', 'b')", "classes.colours": "()"}
    method = method_lib.create(shrink.segmentation(**changes))
    with pytest.raises(UserError, match="has other classes.*sky, hills.*--config.classes.names="):
        method.transform(train=True)


def test_the_baseline_knows_the_largest_class_of_each_picture():
    label = np.array([[[0, 2, 2], [1, 2, 255]], [[255, 255, 255], [255, 1, 255]]], np.int32)
    baseline = method_lib.create(shrink.segmentation()).evaluations()["segmentation"].baselines
    found = baseline["largest class of each"]({"label": label})
    np.testing.assert_array_equal(found, [[[2] * 3] * 2, [[1] * 3] * 2])


def test_predictions_are_labels_with_their_confidence():
    method = method_lib.create(shrink.segmentation())
    state = jax.eval_shape(lambda: method.init(jax.random.key(0), method.spec(2)))
    image = jax.ShapeDtypeStruct((2, 32, 40, 3), jnp.float32)
    outputs = jax.eval_shape(
        lambda s, i: method.predict(s, {"image": i}, jax.random.key(0), task="label"), state, image
    )
    assert outputs["label"].shape == (2, 32, 40) and outputs["label"].dtype == jnp.int32
    assert outputs["confidence"].shape == (2, 32, 40, 1)
    assert dataclasses.asdict(method.tasks["label"])["multiple"] == 2
    assert sources.create(method.config.data.source, "train")[0]["label"].max() < 15
