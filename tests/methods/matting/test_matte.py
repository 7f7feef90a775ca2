"""Mattes by a small network: known pixels, published networks, any size, tiles without seams."""

import jax
import numpy as np
import pytest

from jaxedit.apply import tiles
from jaxedit.apply.applier import Applier, from_weights
from jaxedit.apply.photograph import Photograph
from jaxedit.commands import matte as front_end
from jaxedit.data import trimaps
from jaxedit.errors import PretrainedWeightsMissing
from jaxedit.methods.matting import matte, refinement
from tests.methods.matting import networks


@pytest.fixture(scope="module")
def variables():
    return networks.quick_jit(networks.tiny().init)(jax.random.key(0), *networks.inputs())


@pytest.fixture(scope="module")
def applier(variables):
    def predict(variables, inputs, rng):
        del rng
        return matte.predict(networks.tiny(), variables, inputs["image"], inputs["trimap"])

    return Applier(predict, variables, matte.task(0))


def scene(height, width, seed=0):
    """A photo of soft waves and a trimap with a band across it; returns (photo, levels)."""
    rng = np.random.default_rng(seed)
    phase, length = rng.uniform(0, 2 * np.pi, (3, 2)), rng.uniform(20, 60, (3, 2))
    rows, columns = (axis[..., None] for axis in np.mgrid[:height, :width])
    waves = np.sin(rows / length[:, 0] + phase[:, 0]) + np.cos(columns / length[:, 1] + phase[:, 1])
    rows = rows[..., 0] + 6 * np.sin(columns[..., 0] / 15)
    trimap = np.select([rows < 0.3 * height, rows > 0.7 * height], [255, 0], 128)
    return Photograph((127 + 60 * waves).astype(np.uint8)), trimap.astype(np.uint8)


def labels(trimap):
    return np.rint(trimap[..., None] / 127.5).astype(np.float32)


def test_prediction_is_the_refined_matte_with_known_pixels_forced(variables, applier):
    photo, levels = scene(64, 64)
    image, trimap = photo.for_network(), labels(levels)
    found = applier(image=image, trimap=trimap)["alpha"]
    assert found.shape == trimap.shape and found.dtype == np.float32
    np.testing.assert_array_equal(found[trimap == 0], 0)
    np.testing.assert_array_equal(found[trimap == 2], 1)

    def heads(variables, image, trimap):
        outputs = networks.tiny().apply(variables, image, trimap, train=False)
        return refinement.refine(outputs["os8"], outputs["os4"], outputs["os1"])

    mean, deviation = (np.float32(v) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    normalised = ((image + 1) / 2 - mean) / deviation
    one_hot = (trimap == np.arange(3)).astype(np.float32)
    expected = networks.quick_jit(heads)(variables, normalised[None], one_hot[None])[0]
    expected = np.asarray(expected)
    unknown = trimap == trimaps.UNKNOWN
    np.testing.assert_array_equal(np.rint(255 * found) / np.float32(255), found)
    cut = (expected - found)[unknown]  # 8 bits: cut, not rounded
    assert -2e-5 < cut.min() and cut.max() < 1 / 255 + 2e-5
    assert np.std(found[unknown]) > 0.05


@pytest.mark.parametrize("size", [(40, 57), (64, 32)])
def test_any_size_comes_back_with_its_known_pixels(applier, size):
    photo, trimap = scene(*size)
    alpha = front_end.estimate(applier, photo, trimaps.from_levels(trimap))
    assert alpha.shape == size and alpha.min() >= 0 and alpha.max() <= 1
    np.testing.assert_array_equal(alpha[trimap == 255], 1)
    np.testing.assert_array_equal(alpha[trimap == 0], 0)
    assert np.ptp(alpha[trimap == 128]) > 1e-5


@pytest.mark.parametrize("seed", [0, 1])
def test_a_tiled_matte_has_no_seam(applier, seed):
    """Across the borders of tiles the matte changes no more than elsewhere."""
    height, width, tile = 96, 150, 64
    photo, trimap = scene(height, width, seed)
    inputs = {"image": photo.for_network(), "trimap": labels(trimap)}
    unknown = trimap == 128

    def in_tiles(overlap):
        return tiles.apply(applier, inputs, "alpha", needed=unknown, start=inputs["trimap"] / 2,
                           tile=tile, overlap=overlap)[..., 0]

    def steps(alpha, overlap):
        """Returns mean steps from column to column (at the borders of tiles, elsewhere)."""
        inside = unknown[:, 1:] & unknown[:, :-1]
        step = np.abs(np.diff(alpha, axis=1)).sum(0, where=inside) / inside.sum(0)
        spans = tiles.spans(width, tile, overlap)
        at = sorted({e - 1 for s in spans for e in (s.start, s.stop) if 0 < e < width})
        return step[at], np.delete(step, at)

    blended, hard = in_tiles(32), in_tiles(0)
    np.testing.assert_array_equal(blended[~unknown], trimap[~unknown] / 255)
    # Tiles see less than the whole, so their matte is close to its own, not equal.
    whole = front_end.estimate(applier, photo, trimaps.from_levels(trimap))
    assert 0 < np.abs(blended - whole)[unknown].mean() < 0.2
    border, elsewhere = steps(blended, 32)
    assert border.max() < np.quantile(elsewhere, 0.9)
    assert border.mean() < 0.25 * steps(hard, 0)[0].mean()  # what the blending is for


def test_published_networks(monkeypatch, tmp_path, variables, applier):
    monkeypatch.setenv("JAXEDIT_WEIGHTS", str(tmp_path))
    for name in ("dpt", "matteformer"):
        with pytest.raises(PretrainedWeightsMissing, match=f"weights convert {name}"):
            from_weights(name, "matte")
    monkeypatch.setattr(matte, "MattingNetwork", networks.tiny)
    monkeypatch.setattr(matte.convert, "load", lambda name: variables)
    tool = from_weights("dpt", "matte")
    photo, trimap = scene(64, 64)
    inputs = {"image": photo.for_network(), "trimap": labels(trimap)}
    np.testing.assert_allclose(tool(**inputs)["alpha"], applier(**inputs)["alpha"], atol=1e-6)
