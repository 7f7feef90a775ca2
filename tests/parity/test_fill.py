"""The fill rule and the reading of golden files themselves."""

import numpy as np
import pytest

from tests.parity import fill, golden

FILES = golden.goldens("")


SUMS = [path for path in FILES if "fill_check_sum_and_abs_sum" in golden.load(path).info]


@pytest.mark.parametrize("path", SUMS, ids=golden.name_of)
def test_filled_parameters_have_the_recorded_sums(path):
    golden.load(path).check_fill()


@pytest.mark.parametrize("path", FILES, ids=golden.name_of)
def test_every_input_can_be_made(path):
    file = golden.load(path)
    for entry in file.inputs:
        array = file.input(entry.name, entry.case, entry.step, nhwc=False)
        assert array.shape == entry.shape and array.dtype == np.float32
        if entry.is_mask:
            assert set(np.unique(array)) <= {0.0, 1.0}


def test_rule_by_kind_of_parameter():
    weight = fill.fill("a.weight", (64, 32, 3, 3))
    assert np.isclose(weight.std(), 1 / np.sqrt(32 * 9), rtol=0.02)
    assert np.isclose(fill.fill("n.weight", (4096,)).mean(), 1.0, atol=0.01)
    assert np.isclose(fill.fill("n.gamma", (4096,)).mean(), 1.0, atol=0.01)
    assert abs(fill.fill("n.bias", (4096,)).mean()) < 0.01
    assert fill.fill("n.running_var", (4096,)).min() >= 1.0
    assert not np.array_equal(fill.fill("a", (8,), salt=0), fill.fill("a", (8,), salt=1))


def test_what_a_file_says_beyond_the_known_is_refused(tmp_path):
    folder = tmp_path / "scat"
    folder.mkdir()
    path = folder / "disc.json"
    path.write_text('{"params": {}, "unit": "degrees"}')
    with pytest.raises(ValueError, match="no test here reads: unit"):
        golden.Golden(path)
    path.write_text('{"inputs": [{"name": "x", "shape": [1], "salt": 0, "order": "BGR"}]}')
    with pytest.raises(ValueError, match="no test here reads: .*BGR"):
        golden.Golden(path)
    path.write_text('{"params": {}}')
    with pytest.raises(KeyError, match="disc.json suggests no tolerance"):
        _ = golden.Golden(path).tolerances
