"""Fillings that learn nothing."""

import numpy as np
import pytest

from jaxedit.apply import classical
from jaxedit.methods.scat import baselines


def batch(height=24, width=30):
    y, x = np.mgrid[:height, :width].astype(np.float32)
    image = np.stack((x / width - 0.5, y / height - 0.5, np.sin(x / 4) / 2), -1)
    mask = np.zeros((height, width, 1), np.float32)
    mask[9:13, 11:16] = 1
    return {"image": np.where(mask > 0, np.float32(-1), image)[None], "mask": mask[None]}, image


@pytest.mark.parametrize("name", baselines.BASELINES)
def test_only_the_hole_is_filled(name):
    inputs, image = batch()
    found = baselines.BASELINES[name](inputs)
    assert found.dtype == np.float32 and found.shape == inputs["image"].shape
    hole = inputs["mask"][0, ..., 0] > 0
    np.testing.assert_array_equal(found[0][~hole], image[~hole])
    error = np.abs(found[0] - image)[hole].mean()
    assert error < {"mean fill": 0.35, "Telea": 0.05, "membrane": 0.05, "biharmonic": 0.01}[name]
    nothing = {"image": inputs["image"], "mask": np.ones_like(inputs["mask"])}
    assert np.isfinite(baselines.BASELINES[name](nothing)).all()


@pytest.mark.parametrize(("name", "solve", "off"), [
    ("telea", baselines.telea, 1e-6), ("biharmonic", baselines.biharmonic, 1e-6),
    ("membrane", baselines.membrane, 2e-3),  # of where its sweeps begin, a trace is left
])
@pytest.mark.parametrize("corner", [(9, 11), (0, 26), (20, 0)])
def test_the_box_around_a_hole_is_all_that_matters(name, solve, off, corner):
    inputs, _ = batch()
    inputs["mask"] = np.zeros_like(inputs["mask"])
    inputs["mask"][0, corner[0] : corner[0] + 4, corner[1] : corner[1] + 4] = 1
    hole = inputs["mask"][0, ..., 0] > 0
    found = classical.within(
        solve, {n: a[0] for n, a in inputs.items()}, hole, baselines.REACH[name]
    )
    np.testing.assert_allclose(found[hole], solve(inputs)[0][hole], atol=off)
