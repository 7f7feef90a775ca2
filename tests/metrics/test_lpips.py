"""LPIPS against an independent re-implementation (see the golden JSON)."""

from pathlib import Path

import jax
import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.metrics import lpips
from jaxedit.models.lpips import distance
from jaxedit.weights import manifest, table
from tests.parity import fill
from tests.parity.golden import Golden, name_of

PATHS = sorted((Path(__file__).parent / "goldens").glob("lpips_*.json"))


def variables_of(golden: Golden) -> dict:
    multiplier = np.float32(golden.info["multiply"]["features"])
    convolutions = {
        name: array * multiplier if array.ndim == 4 else array
        for name, array in golden.published().items()
    }
    heads = {
        name: np.abs(fill.fill(name, shape, golden.salt()))
        for name, shape in golden.shapes("params_heads").items()
    }
    backbone = golden.info["backbone"]
    checkpoints = {"alex": manifest.get("alexnet"), "vgg": manifest.get("vgg16")}
    checkpoint, head = checkpoints[backbone], manifest.get(f"lpips-{backbone}")
    return {
        "backbone": table.to_jax(checkpoint.table(), convolutions, checkpoint.expected()),
        "heads": table.to_jax(head.table(), heads, head.expected()),
    }


@pytest.mark.parametrize("path", PATHS, ids=name_of)
def test_distances_match_the_reimplementation(path):
    golden = Golden(path)
    variables = variables_of(golden)
    a = golden.input("image")
    b = np.clip(a + np.float32(0.3) * golden.input("noise"), -1, 1)
    backbone = golden.info["backbone"]
    found = jax.jit(distance, static_argnums=0)(backbone, variables, a, b)
    golden.compare("distance", found)


@pytest.fixture
def metric(monkeypatch):
    variables = variables_of(Golden(PATHS[0]))
    parts = {"alexnet": variables["backbone"], "lpips-alex": variables["heads"]}
    monkeypatch.setattr(
        lpips.convert, "load_all", lambda names, weights_dir: [parts[name] for name in names]
    )
    return lpips.LPIPS("lpips", "alex")


def test_the_metric_does_not_depend_on_batches(metric):
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-1, 1, (2, 11, 33, 35, 3)).astype(np.float32)
    b[4] = a[4]
    whole, parts = metric.new(), metric.new()
    whole.update({"prediction": a}, {"target": b})
    parts.update({"prediction": a[:3]}, {"target": b[:3]})
    parts.update({"prediction": a[3:]}, {"target": b[3:]})
    assert parts.result()["lpips"] == pytest.approx(whole.result()["lpips"], rel=1e-6)
    values = metric.measure({"prediction": a}, {"target": b})["value"]
    assert values[4] < 1e-9 < 1e-3 < np.min(np.delete(values, 4))


def test_small_images_are_refused(metric):
    images = np.zeros((1, 30, 40, 3), np.float32)
    with pytest.raises(UserError, match="lpips needs images of at least 31 pixels a side"):
        metric.measure({"prediction": images}, {"target": images})
