"""Every branch of matting trains, is measured and restored, shrunk; stages and comparisons."""

import json

import jax
import numpy as np
import pytest

from jaxedit import checkpoint, evaluate, main, stages, train
from jaxedit import method as method_lib
from jaxedit.errors import UserError
from tests import shrink

SYSTEMS = {"model", "trimap"}


def one_device():
    return jax.devices()[:1]


# What the demo below does not train; the paper's own size of everything is lowered in test_export.
@pytest.mark.parametrize("name", ["pretrain", "guided"])
def test_variant_trains_and_is_measured(name, tmp_path):
    config = shrink.matting(name)
    method = method_lib.create(config)
    before = jax.device_get(jax.jit(lambda: method.init(jax.random.key(3), {}).params)())
    state = train.train(config, tmp_path / "run", one_device())
    assert int(state.step) == 4
    for leaf, new in zip(
        jax.tree.leaves(before), jax.tree.leaves(jax.device_get(state.params)), strict=True
    ):
        assert np.isfinite(new).all() and leaf.shape == new.shape
    _, method, restored = checkpoint.load_run(tmp_path / "run")
    result = evaluate.evaluate(method, config, restored, tmp_path / "run")
    assert set(result.table) == SYSTEMS
    assert result.counts["all"] == 8
    for metric in ("sad", "mse_x1000", "grad", "conn"):
        assert np.isfinite(result.table["model"]["all"][metric])
    assert (tmp_path / "run/pictures/evaluation-samples.png").is_file()


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo itself with its three stages, shrunk."""
    folder = tmp_path_factory.mktemp("demo") / "run"
    config = shrink.matting("demo")
    train.train(config, folder, one_device())
    return folder, config


def test_demo_sets_pretrained_beside_scratch(demo):
    folder, config = demo
    assert [s.name for s in stages.plan(config)] == ["pretrain", "scratch", "finetune"]
    stage, method, state = checkpoint.load_run(folder)
    result = evaluate.evaluate(method, stage, state, folder)
    assert set(result.table) == SYSTEMS | {"scratch"}
    model, scratch = (result.table[s]["all"]["sad"] for s in ("model", "scratch"))
    assert np.isfinite([model, scratch]).all() and model != scratch
    _, _, other = checkpoint.load_run(folder, stage="scratch")
    assert float(np.abs(
        np.asarray(jax.tree.leaves(other.params)[0]) - np.asarray(jax.tree.leaves(state.params)[0])
    ).max()) > 0
    with pytest.raises(UserError, match="no checkpoint of a stage 'scrap'"):
        checkpoint.load_run(folder, stage="scrap")


def test_eight_devices_and_pmap_give_the_statistics_of_one(tmp_path):
    """Under jit everything is global; under pmap BatchNorm synchronises, as published."""
    config = shrink.matting("finetune", **{"train.steps": "1", "train.evaluate_every": "0",
                                           "optim.warmup": "0", "loss.regions": "pretrain",
                                           "network.drop_path": "0.0"})
    one = train.train(config, tmp_path / "one", one_device())
    eight = train.train(config, tmp_path / "eight")
    with config.unlocked():
        config.sharding.mode = "pmap"
    mapped = train.train(config, tmp_path / "mapped")
    first, other = (
        json.loads((tmp_path / n / "metrics.jsonl").read_text().splitlines()[0])
        for n in ("one", "eight")
    )
    for key, value in first.items():
        if key.startswith(("loss/", "grad_norm/")):
            np.testing.assert_allclose(value, other[key], rtol=1e-3, err_msg=key)
    for state in (eight, mapped):
        for left, right in zip(
            jax.tree.leaves(one.stats["network"]["batch_stats"]),
            jax.tree.leaves(state.stats["network"]["batch_stats"]), strict=True,
        ):
            np.testing.assert_allclose(np.asarray(left), np.asarray(right), rtol=2e-3, atol=2e-5)


def test_pictures_of_any_size_are_measured(tmp_path):
    """Whole pictures, one by one, through the published padding."""
    from tests.methods.matting import folders

    root = folders.matting_folder(tmp_path / "data", sizes=[(40, 52), (61, 47), (64, 64)])
    config = shrink.matting("finetune", **{
        "evaluate.source": f"folder:{root}", "evaluate.split": "all", "evaluate.compose": "false",
        "evaluate.batch_size": "1", "evaluate.margin": "32", "evaluate.pictures": "3",
    })
    method = method_lib.create(config)
    state = jax.jit(lambda: method.init(jax.random.key(0), {}))()
    result = evaluate.Evaluator(method, config).run(state, baselines=True)
    assert result.counts["all"] == 3
    assert result.table["trimap"]["all"]["sad"] > 0
    assert np.isfinite(result.table["model"]["all"]["conn"])


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("data.task", "pretrian", "Did you mean 'pretrain'"),
        ("network.backbone", "vit", "'swin', 'resnet34'"),
        ("network.initial", "dtp", "Did you mean 'dpt'"),
        ("loss.regions", "unknown", "self_guided"),
        ("optim.kind", "sgd", "adamw"),
        ("precision.compute", "float16", "float32"),
        ("image_size", "100", "multiple of 32"),
        ("image_size", "32", "at least 64"),
        ("data.foregrounds", "", "needs data.foregrounds"),
        ("optim.warmup", "9", "lower optim.warmup"),
    ],
)
def test_unsound_configurations_are_named(key, value, words):
    config = shrink.matting("finetune", **{key: value})
    with pytest.raises(UserError, match=words):
        method_lib.create(config).optimizers(config.train.steps)


def test_missing_published_weights_are_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("JAXEDIT_WEIGHTS", str(tmp_path))
    code = main.main([
        f"--config={shrink.MATTING}:matteformer,data.source=photos", f"--workdir={tmp_path}/run",
        "--config.data.foregrounds=scenes", "--config.evaluate.source=scenes",
        "--config.data.workers=0",
    ])
    assert code == 2
    assert "swin-tiny" in capsys.readouterr().err
