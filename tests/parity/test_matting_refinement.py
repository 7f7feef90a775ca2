"""Ellipses, unknown bands and progressive refinement against the published inference code."""

import re

import jax
import numpy as np
import pytest

from jaxedit.methods.matting import refinement
from tests.parity import fill, golden
from tests.parity.matting_files import GoldenText

FILES = golden.goldens("prm", "matting")
SCALES = ("os8", "os4", "os1")


def _predictions(file):
    """Returns {os8, os4, os1}, (B, H, W, 1): blocks of a clipped field, as `inputs` says."""
    text = file.text("inputs")
    shape = file.arrays["fused"].shape
    bias, factor = (float(x) for x in re.search(r"clip\(([\d.]+) \+ ([\d.]+)\*g", text).groups())
    cells = re.search(r"k = ([\d, ]+?) for ([\w, ]+?)(?:;|$)", text)
    sides = dict(zip(cells[2].split(", "), map(int, cells[1].split(", ")), strict=True))
    result = {}
    for name in SCALES:
        side = sides[name]
        coarse = (*shape[:2], *(-(-length // side) for length in shape[2:]))
        field = fill.make_input(f"prm.{name}", coarse, file.salt)
        field = field.repeat(side, 2).repeat(side, 3)[..., : shape[2], : shape[3]]
        values = np.clip(np.float32(bias) + np.float32(factor) * field, 0, 1)
        result[name] = golden.to_nhwc(values.astype(np.float32))
    return result


def _sizes(file):
    """Returns the ellipses of the two bands, as `outputs` says."""
    outputs = file.info["outputs"]
    names = ("weight_os4", "weight_os1")
    return tuple(int(re.search(r"(\d+)x\1", outputs[name])[1]) for name in names)


@pytest.mark.parametrize("path", FILES, ids=golden.name_of)
def test_ellipses(path):
    file = GoldenText(path)
    names = [name for name in file.arrays if re.fullmatch(r"ellipse_\d+", name)]
    assert names
    for name in names:
        size = int(name.removeprefix("ellipse_"))
        np.testing.assert_array_equal(refinement.ellipse(size), file.arrays[name], name)


@pytest.mark.parametrize("path", FILES, ids=golden.name_of)
def test_bands_of_every_size_by_one_compiled_function(path):
    file = GoldenText(path)
    names = [name for name in file.arrays if re.fullmatch(r"band_k\d+", name)]
    assert names
    sizes = [int(name.removeprefix("band_k")) for name in names]
    os8 = _predictions(file)["os8"]
    band = jax.jit(refinement.unknown_band, static_argnames="largest")
    for name, size in zip(names, sizes, strict=True):
        file.compare_exactly(name, band(os8, size, largest=max(sizes)))


@pytest.mark.parametrize("path", FILES, ids=golden.name_of)
def test_refinement(path):
    file = GoldenText(path)
    predictions = _predictions(file)
    sizes = _sizes(file)
    weight = refinement.unknown_band(predictions["os8"], sizes[0])
    file.compare_exactly("weight_os4", weight)
    fused = refinement.fuse(predictions["os8"], predictions["os4"], weight)
    file.compare_exactly("after_os4", fused)
    file.compare_exactly("weight_os1", refinement.unknown_band(fused, sizes[1]))
    refined = refinement.refine(*(predictions[name] for name in SCALES), sizes=sizes)
    file.compare_exactly("fused", refined)
