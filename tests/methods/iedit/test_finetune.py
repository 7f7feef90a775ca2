"""Pairs become latents, a denoiser is fine-tuned on them, edits, and is measured beside itself."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from flax import traverse_util

import jaxedit
from jaxedit import api
from jaxedit import method as method_lib
from jaxedit.data import sources
from jaxedit.errors import UserError
from jaxedit.methods.iedit import editing, features, pair_data, partial
from jaxedit.models.clip.configs import CLIPConfig, TextConfig, VisionConfig
from jaxedit.run import artifacts, evaluate, readers, train
from tests import shrink
from tests.fake_run import drawn


def method_of(**changes):
    return method_lib.create(shrink.iedit("edits", part="finetune", **changes))


def shapes_of(method):
    """Returns what a trained autoencoder and diffusion model would hand on, as shapes."""
    start = lambda module, *inputs: jax.eval_shape(
        module.init, jax.random.key(0), *inputs)["params"]
    autoencoder = method.networks()["autoencoder"]
    state = jax.eval_shape(lambda: method.variables(jax.random.key(0), {}))
    return {
        "autoencoder": start(autoencoder, jnp.zeros((1, 32, 32, 3))),
        "text": start(method.text.network(), jnp.zeros((1, method.text.length), jnp.int32)),
        "unet": state.params["unet"], "scale": jax.ShapeDtypeStruct((), jnp.float32),
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of both stages on networks that nobody has trained, in place of earlier stages."""
    folder = tmp_path_factory.mktemp("run")
    config = shrink.iedit("edits", **{"train.steps": "3"})
    parts = jax.tree.map(np.asarray, drawn(shapes_of(method_of())))
    file = folder / "start.safetensors"
    safetensors.numpy.save_file(traverse_util.flatten_dict(parts, sep="/"), file)
    places = {"autoencoder": "frozen/autoencoder/params", "scale": "frozen/latent_scale",
              "text": "frozen/text/params", "unet": "params/unet"}
    stages = []
    for stage in config.stages[2:]:
        names = [n for n in places if n != "unet" or stage["name"] == "finetune"]
        start = tuple((f"{file}:{name}", places[name]) for name in names)
        stages.append({**stage, "start": start})
    stages[0]["overrides"]["data"]["source"] = "half:first:scenes:edits:64"
    with config.unlocked():
        config.stages = tuple(stages)
    train.train(config, folder / "run", jax.devices()[:1])
    return folder / "run"


def test_latents_are_those_of_the_pairs(run):
    made = artifacts.load(run, "latents")
    source = sources.create(f"array_record:{made.folder}", "train")
    pairs = sources.create("half:first:scenes:edits:64", "train")
    assert made.facts["pairs"] == len(source) == len(pairs)
    _, method, state = readers.load_run(run, stage="finetune")
    record = source.read(5)
    pair = next(r for r in map(pairs.read, range(len(pairs))) if r["id"] == record["id"])
    assert record["edit_prompt"] == pair["edit_prompt"] and record["image"].shape == (32, 32, 3)
    expected = pair_data.pictures(pair, 32)
    for key in ("image", "target", "mask_source", "mask_target"):
        np.testing.assert_array_equal(record[key], expected[key])
    moments = method._autoencoder(
        state, jnp.asarray(expected["target"][None] / 127.5 - 1, jnp.float32), "encode")
    np.testing.assert_allclose(record["target_moments"], moments[0], atol=1e-4)
    symbols = method.text.symbols([pair["edit_prompt"]])
    np.testing.assert_array_equal(record["symbols"], symbols[0])
    states = method.text.states(state.frozen["text"], jnp.asarray(symbols))
    np.testing.assert_allclose(record["text_states"], states[0], atol=1e-4)


def test_fine_tuning_moves_the_unet_alone_and_logs_every_term(run):
    _, _, state = readers.load_run(run, stage="finetune")
    assert set(state.params) == set(state.ema) == {"unet"}
    assert {"autoencoder", "text", "latent_scale", "untuned"} <= set(state.frozen)
    moved = [(np.asarray(a) != np.asarray(b)).any() for a, b in zip(
        jax.tree.leaves(state.params["unet"]), jax.tree.leaves(state.frozen["untuned"]),
        strict=True)]
    assert all(moved)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row["stage"] == "finetune" and "loss/total" in row]
    assert len(rows) == 3
    for number, row in enumerate(rows):
        # Pictures are looked at in every second step.
        assert ("loss/perceptual" in row) == (number % 2 == 0)
        expected = 0.1 * row["loss/pair"] + row["loss/mask"] + 0.1 * row.get("loss/perceptual", 0)
        np.testing.assert_allclose(row["loss/total"], expected, rtol=1e-5)
        np.testing.assert_allclose(
            row["loss/mask"], row["loss/inside"] + row["loss/outside"], rtol=1e-5)
    assert any("loss/pair_0-249" in row for row in rows)


def test_edits_are_measured_beside_the_network_as_it_came(run):
    stage, method, state = readers.load_run(run, stage="finetune")
    result = evaluate.evaluate(method, stage, state, run)
    assert set(result.table) == {"model", "un-tuned", "un-tuned, encode and decode"}
    assert set(result.table["model"]) == {"colour", "subject", "setting", "all"}
    row = result.table["model"]["all"]
    assert {"psnr_m", "ssim_m", "truth_l1", "truth_l1_inside", "truth_l1_outside"} <= set(row)
    assert all(np.isfinite(value) for value in row.values())
    # In three steps nothing is learned, and yet the two are not one.
    assert row["truth_l1"] != result.table["un-tuned"]["all"]["truth_l1"]
    (curve,) = result.curves
    assert set(curve["systems"]) == {"model", "un-tuned"}
    weaker, stronger = curve["systems"]["model"]
    assert (weaker[0], stronger[0]) == (0.5, 1.0) and weaker[1:] != stronger[1:]


def test_a_run_edits_a_photograph(run):
    record = sources.create("scenes:edits:64", "eval").read(0)
    mask = record["mask_source"]
    how = {"mask": mask, "run": run, "feather": 0}
    made = jaxedit.edit(record["image"], record["edit_prompt"][:8], **how)
    np.testing.assert_array_equal(made[~mask], record["image"][~mask])
    assert (made[mask] != record["image"][mask]).any()
    api.forget()


def test_what_is_computed_when_it_is_needed_is_what_was_kept():
    method, fresh = method_of(), method_of(**{"latents.cached": "False"})
    parts = drawn(shapes_of(method))
    state = method_lib.State(step=0, frozen={
        "autoencoder": {"params": parts["autoencoder"]}, "text": {"params": parts["text"]},
        "latent_scale": parts["scale"],
    })
    transform = fresh.transform(train=True)
    source = sources.create("scenes:edits:64", "eval")
    samples = [transform(source.read(i), np.random.default_rng(0)) for i in range(4)]
    batch = {key: jnp.stack([jnp.asarray(one[key]) for one in samples]) for key in samples[0]}
    assert {key: (4, *one.shape[1:]) for key, one in fresh.spec(4).items()} == {
        key: one.shape for key, one in batch.items()
    }
    encode = lambda image: method._autoencoder(state, image, "encode")
    kept = batch | {
        "moments": encode(batch["image"]), "target_moments": encode(batch["target"]),
        "text_states": method.text.states({"params": parts["text"]}, batch["symbols"]),
    }
    key = jax.random.key(0)
    for name, one in fresh.draw(state, batch, key).items():
        np.testing.assert_allclose(one, method.draw(state, kept, key)[name], atol=1e-4)
    # The source is what is noised; the target, what is aimed at, is another picture.
    made = method.draw(state, kept, key)
    assert np.abs(made["source"] - made["target"]).max() > 0.1
    selfish = method_of(**{"data.target": "self"}).draw(state, kept, key)
    np.testing.assert_array_equal(selfish["target"], selfish["source"])
    alone = method_of(**{"loss.mask_of": "source", "loss.mask_grown": "0"})
    assert alone.draw(state, kept, key)["mask"].sum() < made["mask"].sum()


def test_the_attention_to_the_text_alone():
    method = method_of(**{"finetune.scope": "attn2"})
    state = jax.eval_shape(lambda: method.init(jax.random.key(0), method.spec(1)))
    size = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))
    names = traverse_util.flatten_dict(state.ema["unet"], sep="/")
    assert names and all("/attn2/" in name for name in names)
    assert size(state.opt) < 3 * size(state.ema) < size(state.params)
    part = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), state.ema["unet"])
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), state.params["unet"])
    both = partial.merged(zeros, part)
    assert jax.tree.structure(both) == jax.tree.structure(zeros)
    assert sum(float(leaf.sum()) for leaf in jax.tree.leaves(both)) == size(part)


def tiny_clip(monkeypatch):
    text = TextConfig(8, 16, 1, 2, vocab_size=64, max_position_embeddings=8, eos_token_id=63)
    vision = VisionConfig(8, 16, 9, 2, image_size=16, patch_size=4)
    monkeypatch.setitem(features.CLIPS, "clip-vit-base-patch32", CLIPConfig(text, vision, 8))
    shapes = jax.eval_shape(
        features.towers("clip-vit-base-patch32").init, jax.random.key(0),
        jnp.zeros((1, 16, 16, 3)), jnp.zeros((1, 8), jnp.int32),
    )
    return drawn(shapes)


def test_clip_looks_at_pictures_and_compares_them_with_prompts(monkeypatch):
    variables = tiny_clip(monkeypatch)
    name = "clip-vit-base-patch32"
    images = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)), jnp.float32)
    maps = features.Looker("clip", 2, name)({"clip": variables}, images)
    assert [one.shape for one in maps] == [(2, 4, 4, 8)] * 3
    of_pictures, of_tokens = features.embeddings(name, {"clip": variables})
    tokens = jnp.asarray([[1, 2, 63, 0, 0, 0, 0, 0], [1, 63, 0, 0, 0, 0, 0, 0]])
    assert of_pictures(images).shape == of_tokens(tokens).shape == (2, 8)
    method = method_of(**{
        "text.encoder": "clip", "loss.features": "clip", "loss.clip": name,
        "loss.perceptual": "0.1", "loss.text_image": "0.1",
        "loss.text_image_form": "contrastive", "text.vocabulary": "64",
    })
    assert method.starting_values() == ((f"weights:{name}:clip", "frozen/clip"),)
    state = jax.eval_shape(lambda: method.init(jax.random.key(0), method.spec(1)))
    of = lambda module, *inputs: jax.eval_shape(module.init, jax.random.key(0), *inputs)
    frozen = {
        **state.frozen, "clip": variables, "latent_scale": jnp.ones(()),
        "text": of(method.text.network(), None, jnp.zeros((1, 8), jnp.int32)),
        "autoencoder": of(method.networks()["autoencoder"], jnp.zeros((1, 32, 32, 3))),
    }
    # The tokenizer is asked for once, for the empty prompt.
    monkeypatch.setattr(type(method.text), "symbols", lambda self, texts: np.zeros((1, 8), int))
    _, sums = jax.eval_shape(lambda *a: method.update(*a, phase="look"),
                             state.replace(frozen=frozen), method.spec(2), jax.random.key(0))
    assert {"loss/perceptual", "loss/text_image"} <= set(sums)


def test_published_weights_are_where_the_paper_starts():
    method = method_lib.create(shrink.config_lib.load(f"{shrink.IEDIT}:paper"))
    assert dict(method.starting_values()) == {
        "weights:stable-diffusion-v1-4:unet/params": "params/unet",
        "weights:stable-diffusion-v1-4:vae": "frozen/autoencoder",
        "weights:stable-diffusion-v1-4:text_encoder": "frozen/text",
        "weights:clip-vit-large-patch14:clip": "frozen/clip",
    }
    assert method.phases(0) == method.phases(4) == ("look",) and method.phases(1) == ("step",)
    assert method.weights.pair is None and method.scale(None) == 0.18215


def test_what_cannot_be_is_refused():
    for changes, message in (
        ({"loss.features": "lpips", "loss.perceptual": "1.0"}, "loss.features 'lpips' is unk"),
        ({"loss.text_image": "0.1"}, "text.encoder=bytes does not make"),
    ):
        with pytest.raises(UserError, match=message):
            method_of(**changes)
    with pytest.raises(UserError, match="autoencoder, loss.features 'clip' is unknown"):
        method_lib.create(shrink.iedit("autoencoder", **{"loss.features": "clip"}))
    transform, source = method_of().transform(train=True), sources.create("scenes:64", "eval")
    with pytest.raises(UserError, match="has no target.*no pair"):
        transform(source.read(0), None)
    with pytest.raises(UserError, match="not from a stage `latents`"):
        transform(sources.create("scenes:edits:64", "eval").read(0), None)
    method = method_of(**{"text.encoder": "clip"})
    with pytest.raises(UserError, match="text.tokenizer is empty"):
        method.text.symbols(["a"])


def test_numbers_of_an_edit_belong_to_samples():
    """Strengths of a batch may differ: each is as it would be alone."""
    method = method_of()
    parts = drawn(shapes_of(method))
    noise = lambda latents, time, states: 0.1 * latents + time[:, None, None, None] / 1000
    model = editing.Model(lambda image: image[:, ::2, ::2, [0, 1, 2, 2]], lambda latents: latents,
                          lambda symbols: jnp.zeros((len(symbols), 1, 1)), noise,
                          method.schedule, 2)
    del parts
    inputs = {
        "image": jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (3, 8, 8, 3)), jnp.float32),
        "mask": jnp.zeros((3, 8, 8, 1)).at[:, 2:5, 3:5].set(1), "prompt": jnp.zeros((3, 2), int),
        "negative": jnp.zeros((3, 2), int), "guidance": jnp.ones(3), "caption": jnp.zeros((3, 2)),
        "strength": jnp.asarray([0.3, 0.7, 1.0]),
    }
    keys = jax.random.split(jax.random.key(0), 3)
    for start in editing.STARTS:
        together = editing.edit(model, inputs, keys, 10, start)
        for row in range(3):
            alone = {name: value[row : row + 1] for name, value in inputs.items()}
            found = editing.edit(model, alone, keys[row : row + 1], 10, start)
            np.testing.assert_allclose(found[0], together[row], atol=1e-5)
        # Cells that the mask does not touch are the source's.
        kept = np.ones((4, 4), bool)
        kept[1:3, 1:3] = False
        latents = model.encode(inputs["image"])
        np.testing.assert_array_equal(together[:, kept], latents[:, kept])
        assert np.abs(together[:, ~kept] - latents[:, ~kept]).max() > 1e-3


def test_what_is_added_may_come_anywhere():
    record = dict(sources.create("scenes:edits:64", "eval").read(0))
    edits = pair_data.Edits(32, method_of().text, union=False)
    assert 0 < edits(record, None)["mask"].mean() < 1
    record["mask_source"] = np.zeros_like(record["mask_source"])
    sample = edits(record, None)
    assert sample["mask"].all() and 0 < sample["changed"].mean() < 1
    assert sample["prompt_text"] == record["edit_prompt"]
