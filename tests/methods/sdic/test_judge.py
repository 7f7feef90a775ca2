"""The judge of attributes learns and is measured; its figures; mirrored portraits; true edits."""

import jax
import numpy as np
import pytest

from jaxedit import method as method_lib
from jaxedit.data import sources
from jaxedit.errors import UserError
from jaxedit.methods.sdic import attributes, judge
from jaxedit.methods.sdic.data import EditTransform
from jaxedit.metrics import Keys
from jaxedit.run import evaluate, readers, train
from jaxedit.scenes import portraits
from tests import shrink

NAMES = attributes.NAMES


def test_it_trains_and_its_accuracy_is_measured(tmp_path):
    config = shrink.sdic("judge", **{"train.steps": "6", "optim.lr": "0.01"})
    train.train(config, tmp_path / "run", jax.devices()[:1])
    _, method, state = readers.load_run(tmp_path / "run")
    result = evaluate.evaluate(method, config, state, tmp_path / "run")
    model, middle = (result.table[name]["all"] for name in ("model", "the middle"))
    assert {"error", "error_pose", "r2_smile", "right_glasses"} <= model.keys()
    assert 0 < model["error"] < 1 and middle["error"] != model["error"]
    assert result.grids["samples"].ndim == 3


def test_figures():
    truth = np.tile(np.linspace(0, 1, 5)[:, None], (1, len(NAMES)))
    truth[:, NAMES.index("glasses")] = [0, 0, 1, 1, 1]
    read = truth + 0.1
    read[:, NAMES.index("glasses")] = [0.2, 0.7, 0.6, 0.4, 0.9]
    metric = judge.Agreement(Keys("x", "x"))
    parts = []
    for rows in (slice(0, 2), slice(2, 5)):
        part = metric.new()
        part.update({"x": read[rows]}, {"x": truth[rows]})
        parts.append(part.state())
    found = metric.new().merge(parts).result()
    assert found["error_pose"] == pytest.approx(0.1)
    assert found["r2_smile"] == pytest.approx(1 - 5 * 0.01 / (2 * (0.25 + 0.0625)))
    assert found["right_glasses"] == pytest.approx(3 / 5)
    assert np.isnan(metric.new().result()["error"])


def test_mirrored_portraits_have_mirrored_attributes():
    """Of a head that looks left and is lit from the right, each the other way round."""
    method = method_lib.create(shrink.sdic("judge"))
    record = portraits.render(3, 32, pose=-20.0, light=0.5) | {"id": "x"}
    found = {}
    transform = method.transform(train=True)
    for seed in range(20):
        sample = transform(record, np.random.default_rng(seed))
        turned = not np.array_equal(sample["image"], record["image"] / np.float32(127.5) - 1)
        found[turned] = dict(zip(NAMES, sample["attributes"], strict=True))
    assert found[False]["pose"] == 0 and found[True]["pose"] == 1
    assert found[False]["light"] == 0.75 and found[True]["light"] == 0.25
    assert found[False]["smile"] == found[True]["smile"]
    with pytest.raises(UserError, match="Only the source `portraits`"):
        transform({"image": record["image"], "id": "y"}, np.random.default_rng(0))


def test_true_edits_are_renders_with_one_attribute_replaced():
    transform = EditTransform(shrink.sdic(), (0.0, 0.5, 1.0))
    source = sources.create("portraits:32", "eval")
    places = set()
    for index in range(40):
        record = source[index]
        sample = transform(record, np.random.default_rng(0))
        place, wanted = int(sample["place"]), float(sample["wanted"])
        name, values = NAMES[place], sample["attributes"]
        places.add(name)
        np.testing.assert_array_equal(sample["truths"][0], sample["image"])
        np.testing.assert_array_equal(sample["known"], [True, name != "glasses", True])
        end = values[place] + wanted
        assert -1e-6 <= end <= 1 + 1e-6 and abs(wanted) >= 0.5
        low, high = portraits.ATTRIBUTES[name]
        expected = portraits.render(record["attributes"]["seed"], 32, **{
            name: float(np.clip(low + (high - low) * end, low, high))
        })["image"]
        np.testing.assert_allclose(sample["truths"][2], expected / 127.5 - 1, atol=2 / 255)
        if name == "glasses":
            np.testing.assert_array_equal(sample["truths"][1], sample["image"])
    assert places == set(NAMES)
