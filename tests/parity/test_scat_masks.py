"""The free-form mask generator against masks of the published code (`scat/masks*.json`).

Drawing is Pillow's: with the Pillow that made a golden file, masks must agree in every bit; another
release may draw the rim of a stroke differently, which moves only pixels there.
"""

import re

import numpy as np
import PIL
import pytest

from jaxedit.data import masks
from tests.parity import golden

# Share of pixels that may differ, and of masks that may change their histogram bin, where the
# Pillow release is not the one of the golden file.
_RIM = 0.01
_MOVED = 0.05


def _same_pillow(info: dict) -> bool:
    named = re.search(r"Pillow (\d+)\.", info.get("note", ""))
    return named is not None and named[1] == PIL.__version__.split(".")[0]


def _side(entry: dict, default: int) -> int:
    named = re.search(r"(\d+)\s*x\s*(\d+)", entry.get("what", ""))
    return int(named[1]) if named else default


def _hole_range(entry: dict) -> tuple[float, float]:
    named = re.search(r"hole_range\s*[\[(]\s*([\d.]+)\s*,\s*([\d.]+)\s*[\])]", entry["what"])
    return (float(named[1]), float(named[2])) if named else (0.0, 1.0)


@pytest.fixture(params=golden.goldens("masks"), ids=golden.name_of)
def case(request):
    file = golden.File(request.param)
    return file.info, file.arrays


def test_masks_are_the_published_ones(case):
    info, arrays = case
    rng = np.random.RandomState(info["seeds"]["masks"])
    names = [name for name in info["outputs"] if re.fullmatch(r"masks\d+", name)]
    assert names
    # The outputs were drawn one after another from one stream, in the order of the JSON.
    for name in names:
        count, height, packed = info["outputs"][name]["shape"]
        width = min(_side(info["outputs"][name], height), 8 * packed)
        drawn = np.stack([masks.free_form(rng, height, width) for _ in range(count)])
        expected = np.unpackbits(arrays[name], axis=-1)[..., :width].astype(bool)
        if _same_pillow(info):
            np.testing.assert_array_equal(drawn, expected, err_msg=name)
        else:
            assert (drawn != expected).mean() <= _RIM, name


def test_hole_ratios_are_distributed_as_published(case):
    info, arrays = case
    histograms = [name for name in info["outputs"] if name.startswith("ratio_hist")]
    assert histograms
    side = _side(info["outputs"][histograms[0]], 256)
    for name in histograms:
        entry, expected = info["outputs"][name], arrays[name]
        rng = np.random.RandomState(info["seeds"][name])
        size = _side(entry, side)
        count = int(expected.sum())
        ratios = np.array(
            [masks.free_form(rng, size, size, _hole_range(entry)).mean() for _ in range(count)]
        )
        found = np.histogram(ratios, bins=len(expected), range=(0, 1))[0]
        if _same_pillow(info):
            np.testing.assert_array_equal(found, expected, err_msg=name)
        else:
            assert np.abs(found - expected).sum() / 2 <= _MOVED * count, name
        if name == "ratio_hist" and "ratio_mean_std" in arrays:
            tolerance = 1e-5 if _same_pillow(info) else 0.01
            np.testing.assert_allclose(
                [ratios.mean(), ratios.std()], arrays["ratio_mean_std"], atol=tolerance
            )
