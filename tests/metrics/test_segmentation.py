"""Mean IoU and pixel accuracy: of sets, merged, with pixels that do not count."""

import math

import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.metrics import Keys
from jaxedit.metrics.segmentation import SegmentationMetric

METRIC = SegmentationMetric(3, Keys("labels", "layout"))


def rows(prediction, truth):
    return METRIC.measure({"labels": np.asarray(prediction)}, {"layout": np.asarray(truth)})


def test_ratio_of_sums_over_processes():
    truth = [[[0, 0, 1, 255]], [[0, 1, 1, -1]]]
    prediction = [[[0, 1, 1, 0]], [[0, 1, 9, 2]]]
    everything, halves = METRIC.new(), [METRIC.new(), METRIC.new()]
    everything.add(rows(prediction, truth))
    for half, one, other in zip(halves, prediction, truth, strict=True):
        half.add(rows([one], [other]))
    merged = METRIC.new().merge([half.state() for half in halves])
    # Class 0: 2 of 3; class 1: 2 of 4 (one pixel was called no class at all); class 2: nowhere.
    expected = {"mean_iou": (2 / 3 + 2 / 4) / 2, "pixel_accuracy": 4 / 6}
    assert everything.result() == pytest.approx(expected) == merged.result()
    assert merged.count == 2
    assert merged.notes() == {"mean_iou": "mean_iou: over the 2 of 3 classes that occur"}


def test_nothing_to_measure_is_nan_and_says_why():
    empty = METRIC.new()
    empty.add(rows([[[0, 1]]], [[[255, 255]]]))
    assert all(math.isnan(value) for value in empty.result().values())
    assert "no pixel of the truth" in empty.notes()["mean_iou"]
    with pytest.raises(UserError, match="nearest pixel"):
        rows([[[0, 1]]], [[[0, 1, 2]]])
