"""Copy rate and distance of power spectra as streaming metrics."""

import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.methods.sims import metrics
from jaxedit.metrics import Keys


def test_copy_rate():
    canvas = np.zeros((1, 2, 2, 3), np.float32)
    canvas[0, 0] = 0.5
    prediction = np.zeros((1, 2, 2, 3), np.float32)  # grey; black canvas pixels are missing
    prediction[0, 0, 1] = 0.1
    accumulator = metrics.CopyRate().new()
    accumulator.update({"prediction": prediction}, {"canvas": canvas})
    assert accumulator.result() == {"copy_rate": 0.25}


def test_missing_pixels_are_measured_alone():
    """The second picture has nothing missing, and does not count."""
    presence = np.ones((2, 2, 2, 1), np.float32)
    presence[0, 0] = 0
    picture = np.zeros((2, 2, 2, 3), np.float32)
    made = picture + 1 - 0.75 * (1 - presence)  # .25 off where the canvas is empty, else 1
    accumulator = metrics.MissingL1(Keys("out", "image")).new()
    accumulator.update({"out": made}, {"image": picture, "presence": presence})
    assert accumulator.result() == {"l1_missing": 0.25}
    accumulator = metrics.MissingL1(Keys("out", "image")).new()
    accumulator.update({"out": made[1:]}, {"image": picture[1:], "presence": presence[1:]})
    assert np.isnan(accumulator.result()["l1_missing"])
    assert "no canvas is empty anywhere" in accumulator.notes()["l1_missing"]


def test_what_is_pasted_is_compared_with_what_was_asked_for():
    label = np.asarray([[[0, 0, 1, 1], [0, 0, 1, 255]]])  # one pixel is unlabelled
    presence = np.ones((1, 2, 4, 1), np.float32)
    presence[0, 0, 0] = 0
    pasted = np.asarray([[[0, 0, 1, 0], [0, 1, 1, 1]]])
    outputs = {"image": np.zeros((1, 2, 4, 3)), "layout": pasted, "presence": presence}

    def figures(outputs):
        found = {}
        for metric in (metrics.Filled(), metrics.Followed(), metrics.Followed((1,))):
            accumulator = metric.new()
            accumulator.update(outputs, {"label": label})
            found |= accumulator.result()
        return found

    assert figures(outputs) == pytest.approx(
        {"filled": 7 / 8, "followed": 4 / 7, "followed_objects": 2 / 3}
    )
    assert np.isnan(list(figures({"image": outputs["image"]}).values())).all()  # a photograph


def test_spectrum_distance_is_of_sets():
    rng = np.random.default_rng(0)
    pictures = rng.uniform(-1, 1, (4, 16, 24, 3)).astype(np.float32)
    metric = metrics.SpectrumDistance(Keys("out", "image"))
    same, halves = metric.new(), [metric.new(), metric.new()]
    same.update({"out": pictures[::-1]}, {"image": pictures})
    assert same.result()["spectrum_distance"] == pytest.approx(0, abs=1e-9)
    grid = pictures.copy()
    grid[:, ::2, ::2] = 1  # an artefact at the highest frequencies
    for half, part in zip(halves, (slice(0, 2), slice(2, 4)), strict=True):
        half.update({"out": grid[part]}, {"image": pictures[part]})
    merged = metric.new().merge([half.state() for half in halves])
    assert merged.result()["spectrum_distance"] > 0.1
    with pytest.raises(UserError, match="one size"):
        merged.update({"out": pictures[:, :8]}, {"image": pictures[:, :8]})
