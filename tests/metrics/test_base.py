"""Streaming, merging, and honesty about what has no value."""

import numpy as np
import pytest

from jaxedit import metrics
from jaxedit.errors import UserError
from jaxedit.metrics import base
from jaxedit.metrics.image import NAMES, ImageMetric

KEYS = base.Keys(region="hole")


def pair(prediction, target, mask):
    """Returns (outputs, batch) as a metric made with `KEYS` takes them."""
    return {"prediction": prediction}, {"target": target, "hole": mask}


def batch(seed: int, count: int = 3):
    rng = np.random.default_rng(seed)
    prediction, target = rng.uniform(-1, 1, (2, count, 12, 13, 3)).astype(np.float32)
    mask = (rng.random((count, 12, 13, 1)) > 0.5).astype(np.float32)
    return prediction, target, mask


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_equals_one_batch_and_merges(name):
    metric = ImageMetric(name, KEYS)
    batches = [batch(seed) for seed in range(4)]
    whole, stream, halves = metric.new(), metric.new(), [metric.new(), metric.new()]
    whole.update(*pair(*(np.concatenate(arrays) for arrays in zip(*batches, strict=True))))
    for index, arrays in enumerate(batches):
        stream.update(*pair(*arrays))
        halves[index % 2].update(*pair(*arrays))
    merged = metric.new().merge([half.state() for half in halves])
    for other in (stream, merged):
        assert other.result() == whole.result()  # to the last digit
        assert (other.count, other.counts()) == (12, {name: 12})


def test_selected_rows_make_groups():
    metric = ImageMetric("l1", KEYS)
    prediction, target, mask = batch(0, 4)
    rows = metric.measure(*pair(prediction, target, mask))
    everything, first, none = metric.new(), metric.new(), metric.new()
    everything.add(rows)
    first.add(metrics.select(rows, np.array([True, False, False, True])))
    none.add(metrics.select(rows, []))
    alone = metric.new()
    alone.update(*pair(prediction[[0, 3]], target[[0, 3]], mask[[0, 3]]))
    assert first.result() == alone.result()
    assert (everything.count, first.count, none.count) == (4, 2, 0)


def test_samples_without_a_hole_are_left_out_and_counted():
    metric = ImageMetric("l1_hole", KEYS)
    prediction, target, mask = batch(1)
    mask[1] = 0
    accumulator = metric.new()
    accumulator.update(*pair(prediction, target, mask))
    values = metric.measure(*pair(prediction, target, mask))["value"]
    assert accumulator.result()["l1_hole"] == pytest.approx((values[0] + values[2]) / 2)
    assert (accumulator.count, accumulator.counts()) == (3, {"l1_hole": 2})
    nothing = metric.new()
    nothing.update(*pair(prediction, target, 0 * mask))
    assert np.isnan(nothing.result()["l1_hole"])
    assert "undefined for all 3 samples, because there is no hole" in nothing.notes()["l1_hole"]


def test_no_samples_have_no_figure():
    accumulator = ImageMetric("psnr", KEYS).new()
    assert np.isnan(accumulator.result()["psnr"])
    assert accumulator.notes() == {"psnr": "psnr: absent: no samples"}


@pytest.mark.parametrize("name", ["psnr", "ssim", "l1", "l1_hole"])
def test_a_prediction_of_nan_shows(name):
    prediction, target, mask = batch(2)
    prediction[1, 4] = np.nan
    accumulator = ImageMetric(name, KEYS).new()
    accumulator.update(*pair(prediction, target, mask))
    assert np.isnan(accumulator.result()[name])
    assert "predictions are not finite" in accumulator.notes()[name]


def test_a_perfect_prediction_is_infinite_and_says_so():
    prediction, target, mask = batch(3)
    prediction[0] = target[0]
    accumulator = ImageMetric("psnr", KEYS).new()
    accumulator.update(*pair(prediction, target, mask))
    assert accumulator.result()["psnr"] == np.inf
    assert "equal their target exactly" in accumulator.notes()["psnr"]


def test_wrong_arrays_are_refused():
    prediction, target, mask = batch(4)
    check = base.check
    with pytest.raises(UserError, match=r"prediction \(3, 12, 12, 3\) and a target \(3, 12, 13"):
        check(prediction[:, :, :12], target, mask)
    with pytest.raises(UserError, match=r"mask has shape \(3, 12, 13, 3\)"):
        check(prediction, target, prediction)
    with pytest.raises(UserError, match="target is uint8 .* Divide 8-bit values"):
        check(prediction, np.full(target.shape, 200, np.uint8), mask)
    with pytest.raises(UserError, match="prediction is float32 with values up to 255"):
        check(np.full_like(prediction, 255), target, mask)
    with pytest.raises(UserError, match="l1_hole is measured inside holes and needs masks"):
        ImageMetric("l1_hole").measure({"prediction": prediction}, {"target": target})


class CaptionLength(base.MeanMetric):
    """Reads what a comparison of two pictures never sees."""

    def __init__(self):
        super().__init__("words", "words", True)

    def values(self, outputs, batch):
        words = np.array([len(caption.split()) for caption in batch["caption"]], float)
        return words + outputs["prediction"].mean((1, 2, 3)), batch["second"].any((1, 2, 3))


def test_a_metric_may_read_anything_that_the_batch_and_the_outputs_hold():
    metric = CaptionLength()
    second = np.ones((3, 2, 2, 1), bool)
    second[2] = False
    outputs = {"prediction": np.full((3, 2, 2, 3), 0.5)}
    found = {"caption": np.array(["a red car", "sky", "x"], object), "second": second}
    accumulator = metric.new()
    accumulator.update(outputs, found)
    assert accumulator.result() == {"words": pytest.approx(2.5)}
    created, _ = metrics.create([metric, "l1"])
    assert [m.names for m in created] == [("words",), ("l1",)]
    with pytest.raises(UserError, match="Two metrics yield a figure called 'words'"):
        metrics.create([metric, CaptionLength()])


def test_a_papers_own_metrics_are_found_by_name_and_suggested():
    own = {"words": lambda keys: CaptionLength()}
    (created,), _ = metrics.create(["words"], own=own)
    assert created.names == ("words",)
    with pytest.raises(UserError, match="called 'word'. Did you mean 'words'"):
        metrics.create(["word"], own=own)
