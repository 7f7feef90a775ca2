"""Evaluation: tables per group, baselines, any checkpoint of any run, on any source."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxedit import config as config_lib
from jaxedit import main, metrics, task
from jaxedit.data import sources
from jaxedit.errors import UserError
from jaxedit.evaluation import Curve, Evaluation
from jaxedit.host import levels
from jaxedit.layers.randomness import sample_keys
from jaxedit.method import State, Task
from jaxedit.run import evaluate, figures, readers, train
from tests.run.test_train import TOY, one_device, toy
from tests.toy_method import Toy


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate") / "run"
    config = toy(("evaluate.limit", "0"))
    train.train(config, folder, one_device())
    return folder


def measured(run, name="evaluation"):
    return json.loads((run / f"{name}.json").read_text())


def test_groups_add_up_and_means_are_means(run):
    config, method, state = readers.load_run(run)
    evaluate.evaluate(method, config, state, run)
    found = measured(run)
    counts = found["counts"]
    assert counts["all"] == counts["low"] + counts["high"] == found["count"] > 16
    for system in ("model", "grey"):
        row = {g: found["table"][system][g]["l1"] for g in found["groups"]}
        parts = [(row[g] or 0.0) * counts[g] for g in ("low", "high")]
        np.testing.assert_allclose(sum(parts) / counts["all"], row["all"], rtol=1e-6)
        assert {g: n["l1"] for g, n in found["samples"][system].items()} == counts
    assert found["titles"]["psnr"] == "PSNR (dB)" and found["titles"].keys() == {"psnr", "l1"}
    # What it took stands with the other times, apart from the figures.
    taken = json.loads((run / "evaluations" / "timing.jsonl").read_text().splitlines()[-1])
    (name,) = (key for key in taken if key.startswith("seconds_per_sample/"))
    assert name.endswith("/model") and 0 < taken[name] < 10 and "seconds" not in found


def test_a_mean_that_is_infinite_is_explained():
    """PSNR of a system that gives back the truth of one sample; an empty cell alone would say less.
    """
    truth = np.full((2, 4, 4, 3), 0.5, np.float32)
    near, same = truth + 0.1, np.concatenate([truth[:1], truth[1:] + 0.1])
    table = figures.Table(
        metrics.create(("psnr", "l1"), metrics.Keys(prediction="image", target="image"))[0],
        ["model", "copy"],
    )
    table.add({"model": {"image": near}, "copy": {"image": same}}, {"image": truth}, 2)
    found, _, notes = table.figures()
    assert found["copy"]["all"]["psnr"] is None and found["model"]["all"]["psnr"] > 0
    assert notes == ["psnr of 'copy' has no mean over all: it is infinite, as where a sample is "
                     "equal to the truth."]


class Dreamer(Toy):
    """Paints noise of a strength that it is given, and shows its draws as an output."""

    tasks = {"dream": Task(
        {"image": task.Image(), "strength": task.Number()},
        {"dream": task.Image(), "plain": task.Image()}, multiple=10,  # pictures have 16 pixels
    )}

    def predict(self, state, inputs, rng, *, task):
        image = inputs["image"]
        self.traced = image.shape[1:3]
        keys = sample_keys(rng, len(image))
        noise = jax.vmap(lambda key: jax.random.normal(key, image.shape[1:]))(keys)
        strength = inputs.get("strength", jnp.ones(len(image)))[:, None, None, None]
        return {"dream": image + strength * jnp.clip(noise, -0.5, 0.5), "plain": image / 2}

    def evaluations(self):
        curve = Curve("distance over strength", "strength", (0.0, 0.5, 1.0), "l1", "spread",
                      ("model", "plain", "grey"))
        lost = Curve("nothing", "strength", (1.0,), "l1", "lpips_alex")
        dream = Evaluation(
            "dream", "dream", "image", (Spread(), "l1", "lpips_alex"), systems={"plain": "plain"},
            baselines={"grey": lambda batch: 0 * batch["image"]}, curves=(curve, lost),
            groups=("dark", "bright"),
            group=lambda batch: ["dark" if x.mean() < -0.1 else "bright" for x in batch["image"]],
        )
        return {"dreams": dream, "plainly": dataclasses.replace(
            dream, prediction="plain", systems={}, curves=(),
            prepare=lambda batch: {"image": batch["image"]},
        )}

    def pictures(self, batch, outputs):
        return {"dream": levels.of_picture(outputs["dream"])}


class Spread(metrics.base.MeanMetric):
    """A metric of the method's own: it reads an output and a number of the batch."""

    def __init__(self):
        super().__init__("spread", "strength + deviation", False)

    def values(self, outputs, batch):
        strength = batch.get("strength", np.ones(len(batch["image"])))
        spread = outputs["dream"].std((1, 2, 3))
        return strength + spread, np.ones(len(spread), bool)


@pytest.fixture
def dreamer(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXEDIT_WEIGHTS", str(tmp_path / "none"))
    config = toy(("evaluate.pictures", "2"))
    return Dreamer(config, None, {}), config, State(step=jnp.zeros((), jnp.int32))


def test_figures_do_not_depend_on_batches_or_devices(dreamer):
    method, config, state = dreamer
    mesh = jax.sharding.Mesh(np.asarray(one_device()), ("data",))
    tables = []
    for size, devices in ((1, mesh), (3, mesh), (8, mesh), (8, None)):
        with config.unlocked():
            config.evaluate.batch_size = size
        result = evaluate.Evaluator(method, config, devices).run(state, limit=11)
        assert result.counts["all"] == 11 and min(result.counts.values()) > 0
        tables.append(result.table["model"])
    for other in tables[1:]:
        for group, row in tables[0].items():
            for figure, value in row.items():
                np.testing.assert_allclose(other[group][figure], value, rtol=1e-6)


def test_outputs_are_systems_and_curves_are_measured(dreamer, tmp_path):
    method, config, state = dreamer
    with config.unlocked():
        config.evaluate.limit = 5
        config.evaluate.compare = ()
    result = evaluate.evaluate(method, config, state, tmp_path, "evaluations/dawn", stage="dawn")
    found = measured(tmp_path, "evaluations/dawn")
    assert (found["stage"], found["name"], found["systems"]) == (
        "dawn", "dreams", ["model", "plain", "grey"]
    )
    l1 = {system: row["all"]["l1"] for system, row in found["table"].items()}
    assert l1["plain"] == pytest.approx(l1["grey"] / 2, rel=1e-6)
    (curve,) = found["curves"]
    assert [curve[k] for k in ("title", "parameter", "x", "y")] == [
        "distance over strength", "strength", "l1", "spread"
    ]
    points = np.array(curve["systems"]["model"])
    assert points.shape == (3, 3) and points[:, 0].tolist() == [0, 0.5, 1]
    np.testing.assert_allclose(points[:, 1], [0, l1["model"] / 2, l1["model"]], atol=1e-6)
    assert points[2, 2] == pytest.approx(result.table["model"]["all"]["spread"], rel=1e-6)
    assert [p[1] for p in curve["systems"]["plain"]] == pytest.approx([l1["plain"]] * 3)
    assert any("nothing: absent: it needs lpips_alex" in line for line in found["absent"])
    assert (tmp_path / "pictures/evaluations-dawn-samples.png").is_file()
    method.traced = None
    other = evaluate.Evaluator(method, config, name="plainly").run(state, limit=5)
    assert method.traced == (20, 20)  # padded where inputs are prepared, too, and cut again
    assert other.name == "plainly" and other.table["model"]["all"]["l1"] == l1["plain"]
    with pytest.raises(UserError, match="Did you mean 'dreams'"):
        evaluate.Evaluator(method, config, name="dream")


@pytest.mark.parametrize(
    ("best", "words"),
    [
        (("pnsr", "max"), "'pnsr', which is not measured. Measured are: spread, l1, lpips_alex"),
        (("lpips_alex", "min"), "lpips_alex: absent: The weights .* not in"),
        (("l1/low", "min"), "groups: "),
    ],
)
def test_best_is_checked_before_the_first_step(dreamer, monkeypatch, tmp_path, best, words):
    method, config, _ = dreamer
    wanted = dataclasses.replace(method.evaluations()["dreams"], best=best)
    monkeypatch.setattr(method, "evaluations", lambda: {"dreams": wanted})
    monkeypatch.setattr(train.method_lib, "create", lambda *_, **__: method)
    with pytest.raises(UserError, match=words):
        train.train(config, tmp_path / "run", one_device())
    assert not (tmp_path / "run").exists()
    with config.unlocked():
        config.checkpoint.keep_best = 0
    evaluate.check_best(method, config)


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
    assert not found["notes"]
    # Joined, each is taken as it would be alone; what cannot be read is left out and told.
    joined, held_out = f"photos+folder:{tmp_path}", len(sources.create("photos", "eval"))
    name, split = evaluate.evaluation_source(config_lib.load(TOY, [("evaluate.source", joined)]))
    source = sources.create(name, split)
    assert len(source) == held_out + 3
    pixels = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(pixels[:2000])
    assert main.main([
        "--mode=evaluate", f"--workdir={run}", f"--config.evaluate.source=2*folder:{tmp_path}",
    ]) == 0
    assert f"skipped 1 of 3 records: {tmp_path / '1.png'}" in capsys.readouterr().out


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
    config, method, _ = readers.load_run(run)
    monkeypatch.setattr(method, "evaluations", dict)
    with pytest.raises(UserError, match="defines no evaluation"):
        evaluate.Evaluator(method, config)
