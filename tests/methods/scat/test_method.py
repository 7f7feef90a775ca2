"""Every branch of SCAT trains, evaluates and is restored, shrunk."""

import json

import jax
import numpy as np
import pytest

from jaxedit import method as method_lib
from jaxedit.errors import PretrainedWeightsMissing, UserError
from jaxedit.run import checkpoint, evaluate, starting, train
from tests import shrink


@pytest.mark.parametrize("name", [n for n in shrink.SCAT_VARIANTS if n != "paper512"])
def test_variant_trains_and_is_measured(name, tmp_path):
    config = shrink.scat(name)
    before = jax.device_get(
        jax.jit(lambda: method_lib.create(config).init(jax.random.key(3), SPEC).params)()
    )
    state = train.train(config, tmp_path / "run", jax.devices()[:1])
    assert int(state.step) == 4
    for network, params in jax.device_get(state.params).items():
        for leaf, new in zip(
            jax.tree.leaves(before[network]), jax.tree.leaves(params), strict=True
        ):
            assert np.isfinite(new).all() and leaf.shape == new.shape
    _, method, restored = checkpoint.load_run(tmp_path / "run")
    result = evaluate.evaluate(method, config, restored, tmp_path / "run")
    assert set(result.table) == {"model", "mean fill", "biharmonic"}
    assert result.counts["all"] == 8
    assert np.isfinite(result.table["model"]["all"]["psnr"])
    assert (tmp_path / "run/pictures/evaluation-samples.png").is_file()


SPEC = method_lib.create(shrink.scat("demo")).spec(8)


def test_eight_devices_give_the_numbers_of_one(tmp_path):
    config = shrink.scat("demo", **{"train.steps": "2", "train.evaluate_every": "0"})
    train.train(config, tmp_path / "one", jax.devices()[:1])
    train.train(config, tmp_path / "eight")
    rows = [
        (tmp_path / n / "metrics.jsonl").read_text().splitlines()
        for n in ("one", "eight")
    ]
    # The first step's losses come before Adam's sign-like first update magnifies round-off.
    first, other = json.loads(rows[0][0]), json.loads(rows[1][0])
    for key, value in first.items():
        if key.startswith("loss/"):
            np.testing.assert_allclose(value, other[key], rtol=2e-4, atol=1e-6, err_msg=key)


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
