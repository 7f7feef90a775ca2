"""The demo trains, is restored and measured, shrunk; pictures of any size; mistakes.

Other branches (ResNet-34, bfloat16, accumulation) are lowered in tests/run/test_export.py. What
sees the whole batch or whole kernels is tested over several devices where it stands: batch
normalisation and spectral normalisation in tests/layers, the losses in test_objectives.py.
"""

import functools

import jax
import numpy as np
import pytest

from jaxedit import config as config_lib
from jaxedit import method as method_lib
from jaxedit.apply import applier, cutout, photograph
from jaxedit.commands import matte as front_end
from jaxedit.data import trimaps
from jaxedit.errors import PretrainedWeightsMissing, UserError
from jaxedit.report import reading
from jaxedit.run import evaluate, readers, stages, starting
from tests import fake_run, notebooks, shrink

SYSTEMS = {"model", "trimap"}


def test_demo_sets_pretrained_beside_scratch(tmp_path):
    """The demo itself with its three stages, shrunk, as its notebook trains and shows it."""
    folder = notebooks.run_to_its_end("matting", tmp_path)
    config = config_lib.from_json((folder / "config.json").read_text())
    assert [s.name for s in stages.read(config)] == ["pretrain", "scratch", "finetune"]
    _, _, state = readers.load_run(folder)
    result = reading.read_evaluation(folder / "evaluation.json")
    assert set(result["table"]) == SYSTEMS | {"scratch"} and result["counts"]["all"] == 8
    assert (folder / "pictures/evaluation-samples.png").is_file()
    for leaf in jax.tree.leaves(jax.device_get(state.params)):
        assert np.isfinite(leaf).all()
    model, scratch = (result["table"][s]["all"]["sad"] for s in ("model", "scratch"))
    assert np.isfinite([model, scratch]).all() and model != scratch
    _, _, other = readers.load_run(folder, stage="scratch")
    assert float(np.abs(
        np.asarray(jax.tree.leaves(other.params)[0]) - np.asarray(jax.tree.leaves(state.params)[0])
    ).max()) > 0
    with pytest.raises(UserError, match="no checkpoint of a stage 'scrap'"):
        readers.load_run(folder, stage="scrap")


def test_pictures_of_any_size_are_measured_as_the_command_computes_them(tmp_path, monkeypatch):
    """Whole pictures, one by one on one of eight devices, through the published padding."""
    from tests.methods.matting import folders

    root = folders.matting_folder(tmp_path / "data", sizes=[(40, 52), (61, 47), (64, 64)])
    config = shrink.matting("finetune", **{
        "evaluate.source": f"folder:{root}", "evaluate.split": "all", "evaluate.compose": "false",
        "evaluate.batch_size": "1", "evaluate.margin": "32", "evaluate.pictures": "3",
    })
    method = method_lib.create(config)
    state = fake_run.drawn(jax.eval_shape(lambda: method.init(jax.random.key(0), {})))
    # Parameters of unit variance saturate.
    state = state.replace(params=jax.tree.map(lambda x: 0.6 * x, state.params))
    evaluator, seen = evaluate.Evaluator(method, config), []
    picture = type(method).pictures
    monkeypatch.setattr(type(method), "pictures", lambda self, batch, outputs: (
        seen.append(outputs["alpha"][0, ..., 0]) or picture(self, batch, outputs)
    ))
    result = evaluator.run(state, baselines=True)
    assert result.counts["all"] == 3
    assert result.table["trimap"]["all"]["sad"] > 0
    assert np.isfinite(result.table["model"]["all"]["conn"])

    predict = functools.partial(method.predict, task="matte")
    tool = applier.Applier(predict, state, method.tasks["matte"])
    for number in range(3):
        image = photograph.read(evaluator.source.name(number))
        trimap = trimaps.from_levels(evaluator.source[number]["trimap"])
        alpha = front_end.estimate(tool, image, trimap)
        assert np.ptp(alpha[trimap == trimaps.UNKNOWN]) > 0.05
        np.testing.assert_array_equal(alpha, seen[number])
        # What is written has exactly those levels.
        np.testing.assert_array_equal(cutout.opacity_map(alpha).pixels, np.rint(255 * alpha))


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
        ("evaluate.margin", "20", "multiple of 32"),
    ],
)
def test_unsound_configurations_are_named(key, value, words):
    config = shrink.matting("finetune", **{key: value})
    with pytest.raises(UserError, match=words):
        method_lib.create(config).optimizers(config.train.steps)


@pytest.mark.parametrize("name", ["swin-tiny", "dpt", "matteformer"])
def test_missing_published_weights_are_named(name, monkeypatch, tmp_path):
    monkeypatch.setenv("JAXEDIT_WEIGHTS", str(tmp_path))
    method = method_lib.create(shrink.matting("finetune", **{"network.initial": name}))
    with pytest.raises(PretrainedWeightsMissing, match=name):
        starting.read(method.starting_values(), {})
