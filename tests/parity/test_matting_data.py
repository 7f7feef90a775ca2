"""Deterministic parts of matting's data against the published code (`matting/data*.json`)."""

import re

import numpy as np
import pytest

from jaxedit.data import trimaps
from jaxedit.methods.matting import affine, pretraining
from tests.parity import fill, golden


@pytest.fixture(params=golden.goldens("data", "matting"), ids=golden.name_of)
def case(request):
    file = golden.File(request.param)
    return file.info, file.arrays


def _grid(info, arrays):
    """Returns our grid, and the two counts that the description of the file states."""
    text = info["inputs"]["grid"]
    name, shape = re.search(r'make_input\("([^"]+)",\s*\[(\d+)\]', text).groups()
    background = int(re.search(r"first (\d+) cells are background", text)[1])
    foreground = int(re.search(r"next (\d+) (?:are )?foreground", text)[1])
    order = np.argsort(fill.make_input(name, (int(shape),), info.get("salt", 0)), kind="stable")
    side = arrays["grid_codes"].shape[0]
    return pretraining.label_cells(order, side, background, foreground), background, foreground


def test_grid_of_cells(case):
    info, arrays = case
    grid, background, foreground = _grid(info, arrays)
    assert (grid == trimaps.BACKGROUND).sum() == background
    assert (grid == trimaps.FOREGROUND).sum() == foreground
    # The file numbers the classes in its own way: one number for each of ours.
    for label in np.unique(grid):
        assert len(np.unique(arrays["grid_codes"][grid == label])) == 1
    assert len(np.unique(arrays["grid_codes"])) == len(np.unique(grid))


def test_pseudo_alpha_and_its_trimap(case):
    info, arrays = case
    grid, _, _ = _grid(info, arrays)
    cell = -(-arrays["noise"].shape[0] // grid.shape[0])
    alpha = pretraining.pseudo_alpha(grid, arrays["noise"], cell)
    expected = (arrays["alpha_x255"] / 255).astype(np.float32)
    np.testing.assert_array_equal(alpha, expected)
    labels = trimaps.from_exact(alpha)
    np.testing.assert_array_equal(labels, arrays["pretrain_trimap_labels"])
    shares = info["class_shares"]
    found = np.bincount(labels.ravel(), minlength=3) / labels.size
    expected = [shares["background"], shares["unknown"], shares["foreground"]]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_stored_noise_is_the_described_one(case):
    info, arrays = case
    name, height, width = re.search(
        r'make_input\("([^"]+)",\s*\[(\d+),\s*(\d+)\]', info["inputs"]["noise"]
    ).groups()
    values = fill.make_input(name, (int(height), int(width)), info.get("salt", 0))
    levels = np.clip(np.floor((values + 1) / 2 * 255), 0, 254)
    np.testing.assert_array_equal(levels, arrays["noise"])


def test_trimaps_of_fine_tuning(case):
    info, arrays = case
    stated = re.search(r"at (\d+)x\1", info["outputs"]["gen_trimap_fgA_bgB"])
    canvas = int(stated[1]) if stated else trimaps.CANVAS
    names = [name for name in arrays if re.fullmatch(r"gen_trimap_fg\d+_bg\d+", name)]
    assert names
    for name in names:
        foreground_size, background_size = map(int, re.findall(r"\d+", name))
        labels = trimaps.on_canvas(
            arrays["gen_alpha"], foreground_size, background_size, canvas=canvas
        )
        np.testing.assert_array_equal(trimaps.to_levels(labels), arrays[name], err_msg=name)
        np.testing.assert_array_equal(trimaps.from_levels(arrays[name]), labels)


def test_affine_matrices(case):
    info, _ = case
    assert info["affine"]
    for entry in info["affine"]:
        drawn = affine.Affine(
            entry["angle_deg"],
            tuple(entry["translate"]),
            tuple(entry["scale_xy"]),
            entry["shear_deg"],
            tuple(entry["flip_sign_xy"]),
        )
        found = affine.inverse_matrix(*entry["rows_cols"], drawn)
        np.testing.assert_allclose(found, entry["inverse_matrix"], rtol=1e-12, atol=1e-10)
