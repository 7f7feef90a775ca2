"""The demo trains, is measured and restored, shrunk; other branches take a step."""

import functools

import jax
import numpy as np
import pytest

from jaxedit import config as config_lib
from jaxedit import method as method_lib
from jaxedit.errors import PretrainedWeightsMissing, UserError
from jaxedit.report import reading
from jaxedit.run import readers, starting
from jaxedit.weights import shipped
from tests import fake_run, notebooks, shrink

SPEC = method_lib.create(shrink.scat("demo")).spec(8)
# What no other test computes: test_update has the other losses and precisions on smaller networks,
# tests/parity the residual discriminator with attention; tests/run/test_export.py lowers them all.
VARIANTS = ("v1",)


def draw_batch():
    rng = np.random.default_rng(0)
    hole = np.zeros(SPEC["mask"].shape, np.float32)
    hole[:, 10:40, 5:30] = 1
    return {"image": rng.uniform(-1, 1, SPEC["image"].shape).astype(np.float32), "mask": hole}


def test_demo_trains_and_is_measured(tmp_path):
    """As its notebook trains and shows it."""
    run = notebooks.run_to_its_end("scat", tmp_path)
    _, _, state = readers.load_run(run)
    assert int(state.step) == 4
    result = reading.read_evaluation(run / "evaluation.json")
    assert set(result["table"]) == {"model", "mean fill", "Telea", "membrane", "biharmonic"}
    assert result["counts"]["all"] == 8
    assert np.isfinite(result["table"]["model"]["all"]["psnr"])
    assert 0 <= result["table"]["model"]["all"]["suspicion_auc"] <= 1
    assert result["table"]["Telea"]["all"]["suspicion_auc"] is None
    assert (run / "pictures/evaluation-samples.png").is_file()


@pytest.mark.parametrize("name", VARIANTS)
def test_variant_takes_a_step(name):
    """One update of every branch that lowers to another program; tests/run has the loop."""
    config = shrink.scat(name)
    method = method_lib.create(config)
    start = starting.read(method.starting_values(), {})
    before = fake_run.begun(method, start)
    step = jax.jit(lambda s, b: method.update(s, b, jax.random.key(0), phase="step"))
    after, sums = step(before, draw_batch())
    for key, (value, weight) in sums.items():
        assert np.isfinite(value / weight), key
    for network in before.params:
        moved = [
            float(np.abs(np.asarray(a) - np.asarray(b)).max())
            for a, b in zip(jax.tree.leaves(before.params[network]),
                            jax.tree.leaves(after.params[network]), strict=True)
        ]
        assert 0 < max(moved) < np.inf, network


def test_loss_of_weight_zero_is_not_logged(tmp_path):
    config = shrink.scat("demo", **{"loss.semantic": "0", "train.steps": "1"})
    method = method_lib.create(config)
    assert "head" not in method.networks()
    sums = jax.eval_shape(
        lambda: method.update(
            method.init(jax.random.key(0), SPEC),
            {k: jax.numpy.zeros(s.shape) for k, s in SPEC.items()},
            jax.random.key(0), phase="step",
        )[1]
    )
    assert "loss/semantic" not in sums and "loss/textural" in sums


def test_missing_vgg_weights_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXEDIT_WEIGHTS", str(tmp_path))
    config = shrink.scat("aotgan", **{"loss.features": "vgg19"})
    with pytest.raises(PretrainedWeightsMissing, match="vgg19"):
        starting.read(method_lib.create(config).starting_values(), {})


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("precision.compute", "float16", "'float32', 'bfloat16'"),
        ("optim.schedule", "cosin", "Did you mean 'cosine'"),
        ("loss.features", "vgg16", "'vgg19', 'random_features'"),
        ("loss.global_gan", "wgan", "hinge"),
        ("discriminator.kind", "unett", "unet"),
        ("generator.upsample", "cubic", "nearest"),
        ("data.mask", "pconvs", "Did you mean 'pconv'"),
        ("evaluate.mask", "own", "'free_form', 'strokes', 'files', 'record'"),
    ],
)
def test_unknown_choices_are_named(key, value, words):
    with pytest.raises(UserError, match=words):
        method = method_lib.create(shrink.scat("demo", **{key: value}))
        method.transform(train=True)
        jax.eval_shape(lambda: method.init(jax.random.key(0), SPEC))


@pytest.mark.parametrize("name", ["scat-places2", "of-ours"])
def test_a_generator_begins_with_weights_by_name(name, monkeypatch, tmp_path):
    """Published ones hold the network alone, those that come with jaxedit a field of a state."""
    monkeypatch.setattr(shipped, "folder", lambda: tmp_path)
    method = method_lib.create(shrink.scat("no_adversary", **{"generator.initial": name}))
    ours = fake_run.drawn(jax.eval_shape(lambda: method.variables(jax.random.key(0), SPEC))).params
    if name == "of-ours":
        shipped.write(tmp_path, name, {"params": ours}, dict.fromkeys(shipped.REQUIRED, ""))
    else:
        monkeypatch.setattr(
            "jaxedit.weights.convert.load", lambda *_, **__: {"params": ours["generator"]}
        )
    start = starting.read(method.starting_values(), {})
    # Stored as float16.
    found = jax.jit(lambda: method.init(jax.random.key(0), SPEC, start).params)()
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-6), found, ours)
    # They are measured beside what is made of them, by their name.
    batch = draw_batch()
    filled = method.evaluations()["inpainting"].baselines[name](batch)
    state = fake_run.begun(method, start)
    expected = jax.jit(lambda s, b: method.predict(s, b, None, task="inpaint"))(state, batch)
    np.testing.assert_allclose(filled, expected["composite"], atol=1e-5)


def test_the_fine_tuning_begins_with_what_comes_with_jaxedit():
    """At the size of the preset; no jaxedit of before had the key, and its runs are still read."""
    config = config_lib.load(f"{shrink.SCAT}:finetune")
    method = method_lib.create(config)
    (start,) = starting.read(method.starting_values(), {})
    shapes = jax.eval_shape(lambda: method.init(jax.random.key(0), SPEC, [start]).params)
    size = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))
    assert size(start.tree) == size(shapes["generator"]) == 2_034_467
    with config.unlocked():
        del config.generator.initial
    assert method_lib.create(config).starting_values() == ()
