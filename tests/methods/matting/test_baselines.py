"""Baselines of matting: the trimap, closed-form and KNN by pymatting, and what happens without."""

import warnings

import numpy as np
import pytest

from jaxedit.data import alpha_matting
from jaxedit.methods.matting import baselines
from tests import extras


def scene(height=40, width=48, unknown=8):
    """A red subject before blue, split by a soft edge; returns a batch of one, and its alpha."""
    columns = np.arange(width, dtype=np.float32)
    alpha = np.clip((width / 2 - columns) / 6 + 0.5, 0, 1)
    alpha = np.tile(alpha, (height, 1))[..., None]
    texture = np.random.default_rng(0).uniform(-0.1, 0.1, (height, width, 3)).astype(np.float32)
    foreground = np.float32((0.8, -0.6, -0.7)) + texture
    background = np.float32((-0.7, -0.2, 0.8)) + texture[::-1]
    image = alpha * foreground + (1 - alpha) * background
    trimap = np.where(columns < width / 2 - unknown, 2.0, np.where(
        columns >= width / 2 + unknown, 0.0, 1.0))
    trimap = np.tile(trimap.astype(np.float32), (height, 1))[..., None]
    return {"image": image[None], "trimap": trimap[None]}, alpha[None]


def test_the_trimap_as_alpha():
    batch, _ = scene()
    found = baselines.trimap_as_alpha(batch)
    assert found.dtype == np.float32 and found.shape == batch["trimap"].shape
    assert set(np.unique(found)) == {0, 0.5, 1}
    np.testing.assert_array_equal(found == 0.5, batch["trimap"] == 1)


@pytest.mark.parametrize("name", ["closed_form", "knn"])
def test_solvers_find_a_soft_edge(name):
    extras.need_pymatting()
    batch, alpha = scene()
    found = baselines.BASELINES[name](batch)
    assert found.dtype == np.float32 and found.shape == alpha.shape
    unknown = batch["trimap"] == 1
    np.testing.assert_array_equal(found[~unknown], batch["trimap"][~unknown] / 2)
    error = np.abs(found - alpha)[unknown].mean()
    assert error < 0.05 < np.abs(baselines.trimap_as_alpha(batch) - alpha)[unknown].mean()


@pytest.mark.parametrize("name", ["closed_form", "knn"])
@pytest.mark.parametrize("known, expected", [(0, 0.0), (2, 1.0), (1, 0.5)])
def test_what_the_trimap_leaves_open(name, known, expected):
    batch, _ = scene()
    trimap = batch["trimap"]
    for label in (0, 2):
        if label != known:
            trimap = np.where(trimap == label, 1, trimap)
    found = baselines.BASELINES[name]({**batch, "trimap": trimap})
    assert (found == expected).all()


def test_a_trimap_without_unknown_pixels_is_the_alpha():
    batch, _ = scene()
    trimap = np.where(batch["trimap"] == 1, 2, batch["trimap"]).astype(np.float32)
    found = baselines.closed_form({**batch, "trimap": trimap})
    np.testing.assert_array_equal(found, trimap / 2)


def test_a_solver_that_fails_is_warned_about_and_leaves_no_number(monkeypatch):
    extras.need_pymatting()
    batch, _ = scene()
    two = {key: np.concatenate([value, value]) for key, value in batch.items()}
    calls = []

    def fails_once(image, trimap):
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("did not converge")
        return trimap

    monkeypatch.setattr(alpha_matting, "nearest_neighbours", fails_once)
    with pytest.warns(UserWarning, match="knn failed on image 0 of a batch: did not converge"):
        found = baselines.knn(two)
    unknown = batch["trimap"][0] == 1
    assert np.isnan(found[0][unknown]).all() and np.isfinite(found[0][~unknown]).all()
    assert np.isfinite(found[1]).all()


def test_the_second_preconditioner_is_tried_without_a_word(monkeypatch, capsys):
    extras.need_pymatting()
    batch, _ = scene()
    function = alpha_matting._function
    estimate = function("alpha.estimate_alpha_cf")

    def no_factor(image, trimap, preconditioner=None):
        print("PERFORMANCE WARNING")
        if preconditioner is None:
            raise ValueError("decomposition failed")
        return estimate(image, trimap, preconditioner=preconditioner)

    expected = baselines.closed_form(batch)
    given = {"alpha.estimate_alpha_cf": no_factor}
    monkeypatch.setattr(alpha_matting, "_function", lambda name: given.get(name) or function(name))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        found = baselines.closed_form(batch)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert not capsys.readouterr().out


def test_without_pymatting_the_solvers_are_absent(monkeypatch):
    monkeypatch.setattr(alpha_matting, "available", lambda: False)
    assert list(baselines.create()) == ["trimap"]
    lines = baselines.absent()
    assert [line.partition(":")[0] for line in lines] == ["closed_form", "knn"]
    assert all("pip install jaxedit[matting]" in line for line in lines)
    monkeypatch.setattr(alpha_matting, "available", lambda: True)
    assert list(baselines.create()) == ["trimap", "closed_form", "knn"]
    assert list(baselines.create(classical=False)) == ["trimap"] and baselines.absent() == ()
