"""The diffusion model trains on a trained autoencoder's latents, is measured, and samples."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit import method as method_lib
from jaxedit.errors import UserError
from jaxedit.methods.iedit import text_states
from jaxedit.methods.iedit.data import Captioned
from jaxedit.methods.iedit.noise_error import NoiseError
from jaxedit.run import evaluate, readers, train
from tests import shrink


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config = shrink.iedit("diffusion", **{
        "train.steps": "4", "train.checkpoint_every": "4", "loss.adversarial": "0",
        "loss.perceptual": "0", "remat": "true",
        "schedule.prediction_type": "v_prediction",
    })
    train.train(config, folder, jax.devices()[:1])
    return folder


def test_it_trains_on_the_autoencoders_latents_and_is_measured(run):
    _, _, first = readers.load_run(run, stage="autoencoder")
    stage, method, state = readers.load_run(run, stage="diffusion")
    jax.tree.map(np.testing.assert_array_equal, state.frozen["autoencoder"]["params"],
                 first.ema["autoencoder"])
    assert state.frozen["latent_scale"] == first.extra["latent_scale"] != 1
    moved = [
        np.isfinite(leaf).all() and (np.asarray(leaf) != average).any() for leaf, average in
        zip(jax.tree.leaves(state.params), jax.tree.leaves(state.ema), strict=True)
    ]
    assert np.mean(moved) > 0.8  # what zeros hide at first has moved the least
    result = evaluate.evaluate(method, stage, state, run, evaluation="denoising")
    table = result.table["model"]["all"]
    assert 0 < table["noise_error"] < 10 and np.isfinite(table["psnr"])
    samples = evaluate.evaluate(method, stage, state, run, evaluation="samples").table["model"]
    assert np.isfinite(samples["all"]["psnr"])
    rows = list(map(json.loads, (run / "metrics.jsonl").read_text().splitlines()))
    first = next(row for row in rows if row["stage"] == "diffusion" and "loss/total" in row)
    assert 0.8 < first["loss/total"] < 1.2  # fresh, it predicts nothing of a target of variance 1
    parts = {key for row in rows for key in row if key.startswith("loss/steps_")}
    assert parts == {f"loss/steps_{p}" for p in ("0-249", "250-499", "500-749", "750-999")}


def test_samples_follow_key_prompt_and_guidance(run):
    _, method, state = readers.load_run(run, stage="diffusion")
    # So few steps leave the text without a word: the transformers pass their input on.
    state = state.replace(ema=jax.tree.map(lambda leaf: leaf + 0.05, state.ema))
    task = method.tasks["sample"]
    one, _ = task.read({"prompt": "a cat"})
    assert one["guidance"] == 3 and one["prompt"].shape == one["negative"].shape == (1, 8)
    batch = {name: np.repeat(array, 4, 0) for name, array in one.items()}
    batch["guidance"] = np.float32([3, 3, 1, 3])
    batch["prompt"][3] = task.read({"prompt": "a dog"})[0]["prompt"]
    keys = jax.random.split(jax.random.key(0), 2)[jnp.asarray([0, 1, 0, 0])]
    sample = jax.jit(lambda inputs, keys: method.predict(state, inputs, keys, task="sample"))
    images = np.asarray(sample(batch, keys)["image"])
    assert images.shape == (4, 32, 32, 3) and np.abs(images).max() <= 1
    differ = lambda a, b: np.abs(images[a] - images[b]).max() > 1e-4
    assert differ(0, 1) and differ(0, 2) and differ(0, 3)
    batch["guidance"][:] = 3
    same = {name: array[[0, 0, 3, 3]] for name, array in batch.items()}
    again = np.asarray(sample(same, keys[jnp.asarray([0, 0, 0, 0])])["image"])
    np.testing.assert_allclose(again[1], images[0], atol=1e-5)
    with pytest.raises(UserError, match="more than the 8 bytes.*' ster' would be cut off"):
        task.read({"prompt": "monsters ster"})


def test_the_loss_is_that_of_the_drawn_steps():
    """Of a network that predicts nothing, it is the mean square of the target, part by part."""
    method = method_lib.create(shrink.iedit("diffusion", **{"part": "diffusion"}))
    shapes = jax.eval_shape(lambda: method.variables(jax.random.key(0), method.spec(1)).params)
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)
    latents = jax.random.normal(jax.random.key(1), (512, 4, 4, 4))
    prompt = jnp.zeros((512, 8), jnp.int32)
    keys = jax.random.split(jax.random.key(2), 3)
    loss, terms = jax.jit(method._loss)(params, latents, prompt, keys)
    np.testing.assert_allclose(loss, 1, atol=0.03)
    assert terms["parts/counts"].sum() == 512 and (terms["parts/counts"] > 90).all()
    np.testing.assert_allclose(terms["parts/errors"] / terms["parts/counts"], 1, atol=0.06)


def test_what_cannot_be_is_refused():
    for changes, message in (
        ({"unet.attention": "(True,)"}, "each of the 2 levels"),
        ({"unet.groups": "3"}, "norm_num_groups=3 does not divide"),
        ({"text.heads": "3"}, "does not divide"),
        ({"sample.steps": "2000"}, "it must be 1 to 1000"),
        ({"image_size": "33"}, "must be a multiple of 2"),
        ({"schedule.prediction_type": "'noise'"}, "is unknown"),
    ):
        with pytest.raises(UserError, match=message):
            method_lib.create(shrink.iedit("diffusion", part="diffusion", **changes))
    method = method_lib.create(shrink.iedit("diffusion", part="diffusion"))
    state = jax.eval_shape(lambda: method.init(jax.random.key(0), method.spec(1)))
    with pytest.raises(UserError, match="no autoencoder to work on.*frozen/latent_scale"):
        jax.eval_shape(lambda s, b: method.update(s, b, jax.random.key(0), phase="step"),
                       state, method.spec(2))


def test_captions_become_symbols():
    config = shrink.iedit("diffusion", part="diffusion", **{"text.length": "6"})
    text = text_states.create(config)
    transform = Captioned(8, False, (1.0, 1.0), False, text)
    image = np.zeros((8, 8, 3), np.uint8)
    sample = transform({"image": image, "caption": "caf\u00e9s!"}, np.random.default_rng(0))
    assert sample["prompt"].tolist() == [*"caf\u00e9s".encode()]
    assert text.symbols([""]).tolist() == [[256] * 6]
    # A character is not cut in two.
    assert text.symbols(["abcde\u00e9"]).tolist() == [[*b"abcde", 256]]
    with pytest.raises(UserError, match="has no caption"):
        transform({"image": image}, np.random.default_rng(0))


def test_noise_error_is_the_mean_over_the_schedule():
    metric = NoiseError("noise_error", "with the caption")
    values, defined = metric.values({"noise_error": np.float32([[1, 2, 3, 6], [0, 0, 0, 1]])}, {})
    assert values.tolist() == [3, 0.25] and defined.all()
