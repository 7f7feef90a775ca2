"""Evaluation: tables per group, baselines, any checkpoint of any run, on any source."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

from jaxedit import main
from jaxedit.errors import UserError
from jaxedit.run import checkpoint, evaluate, train
from tests.run.test_train import one_device, toy


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate") / "run"
    config = toy(("evaluate.limit", "0"))
    train.train(config, folder, one_device())
    return folder


def measured(run, name="evaluation"):
    return json.loads((run / f"{name}.json").read_text())


def test_groups_add_up_and_means_are_means(run):
    config, method, state = checkpoint.load_run(run)
    evaluate.evaluate(method, config, state, run)
    found = measured(run)
    counts = found["counts"]
    assert counts["all"] == counts["low"] + counts["high"] == found["count"] > 16
    for system in ("model", "grey"):
        row = {g: found["table"][system][g]["l1"] for g in found["groups"]}
        parts = [(row[g] or 0.0) * counts[g] for g in ("low", "high")]
        np.testing.assert_allclose(sum(parts) / counts["all"], row["all"], rtol=1e-6)


def test_batch_size_and_devices_do_not_matter(run):
    config, method, state = checkpoint.load_run(run)
    mesh = jax.sharding.Mesh(np.asarray(one_device()), ("data",))
    with config.unlocked():
        one = evaluate.Evaluator(method, config).run(state, limit=11).table
        config.evaluate.batch_size = 5
        local = jax.tree.map(lambda x: jax.device_put(np.asarray(x), one_device()[0]), state)
        other = evaluate.Evaluator(method, config, mesh).run(local, limit=11).table
        config.evaluate.batch_size = 8
    for group, figures in one["model"].items():
        for metric, value in figures.items():
            if value is not None:
                np.testing.assert_allclose(value, other["model"][group][metric], rtol=1e-5)


def test_any_checkpoint_on_any_source(run, tmp_path, capsys):
    rng = np.random.default_rng(0)
    for index in range(3):
        pixels = rng.integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    code = main.main([
        "--mode=evaluate", f"--workdir={run}", "--step=best",
        f"--config.evaluate.source=folder:{tmp_path}",
    ])
    assert code == 0
    assert "psnr" in capsys.readouterr().out
    (written,) = run.glob(f"evaluation-step*-folder-{tmp_path.name}.json")
    found = json.loads(written.read_text())
    # Another source is taken whole, not only a held-out part of it.
    assert found["count"] == 3 and found["source"] == f"folder:{tmp_path}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--step=7"], "no checkpoint of step 7"),
        (["--step=newest"], "'last' or 'best'"),
        (["--config.optim.lr=1"], "only evaluate.* and data.*"),
        (["--config.evaluate.sauce=x"], "evaluate.source"),
        (["--config.evaluate.source=folder:/nowhere"], "/nowhere"),
        (["--config.evaluate.batch_size=3"], "evaluate.batch_size=3"),
    ],
)
def test_mistakes_are_named(run, capsys, arguments, words):
    assert main.main(["--mode=evaluate", f"--workdir={run}", *arguments]) == 2
    message = capsys.readouterr().err
    assert words in message and "Traceback" not in message


def test_method_without_evaluation_is_refused(run, monkeypatch):
    config, method, _ = checkpoint.load_run(run)
    monkeypatch.setattr(method, "evaluation", lambda: None)
    with pytest.raises(UserError, match="defines no evaluation"):
        evaluate.Evaluator(method, config)
