"""CLIP score and its directional form, on a tiny CLIP that was converted as a published one is."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from jaxedit import metrics
from jaxedit.errors import PretrainedWeightsMissing
from jaxedit.metrics import base, text_image
from jaxedit.models.clip import folder, preprocessing
from jaxedit.models.clip import tokenizer as tokenizers
from jaxedit.models.clip.configs import CLIPConfig
from jaxedit.weights import convert, table
from tests.models.clip import examples
from tests.parity import fill

NAME = "clip-vit-base-patch32"
TOKENIZER = tokenizers.learn(["a red hat", "a blue hat on a table"], 540, 12)
PUBLISHED = examples.BOTH | {"text_config": examples.TEXT | {
    "vocab_size": TOKENIZER.size, "max_position_embeddings": 12, "eos_token_id": TOKENIZER.end,
}}
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    place = tmp_path_factory.mktemp("weights")
    source = place / "published"
    source.mkdir()
    (source / "config.json").write_text(json.dumps(PUBLISHED))
    TOKENIZER.write(source)
    config = CLIPConfig.from_published(PUBLISHED)
    shapes = table.to_published(
        folder.conversion_table(config), examples.zeros(folder.variables(config)))
    arrays = fill.fill_all({name: array.shape for name, array in shapes.items()})
    # As files of older libraries have it.
    arrays["text_model.embeddings.position_ids"] = np.arange(12)[None]
    safetensors.numpy.save_file(arrays, source / "model.safetensors")
    convert.convert(NAME, source, weights_dir=place)
    return place


def embedded(weights, images=None, texts=None):
    variables = convert.load(NAME, weights)["clip"]
    network = folder.module(CLIPConfig.from_published(PUBLISHED))
    if images is None:
        found = network.apply(variables, TOKENIZER.tokens(texts), method="embed_tokens")
    else:
        rounded = np.round((images + 1) * 127.5).astype(np.uint8)
        pixels = jnp.stack([preprocessing.prepare(image, 16) for image in rounded])
        found = network.apply(variables, pixels, method="embed_pixels")
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def test_scores_are_cosines_of_what_the_towers_say(weights):
    images, source = RNG.uniform(-1, 1, (2, 3, 20, 24, 3)).astype(np.float32)
    prompts = np.array(["a red hat", "a blue hat", "a hat"])
    captions = np.array(["a blue hat", "a blue hat", "a table"])
    batch = {"image": source, "prompt_text": prompts, "caption_text": captions}
    keys = base.Keys("edited", "image")
    names = ("clip_score_b32", "clip_s_b32", "clip_direction_b32")
    found, absent = metrics.create(names, keys, weights)
    assert not absent
    figures = {}
    for metric in found:
        accumulator = metric.new()
        accumulator.update({"edited": images}, batch)
        figures |= accumulator.result()
        assert "ViT-B/32" in metric.titles[metric.names[0]]
    edited, before = embedded(weights, images), embedded(weights, source)
    told, was = embedded(weights, texts=list(prompts)), embedded(weights, texts=list(captions))
    cosine = (edited * told).sum(-1)
    np.testing.assert_allclose(figures["clip_score_b32"], 100 * cosine.mean(), rtol=1e-4)
    np.testing.assert_allclose(figures["clip_s_b32"], 2.5 * np.maximum(cosine, 0).mean(), rtol=1e-4)
    # The second text does not move, so that there is no direction.
    moves = [(edited - before)[i] for i in (0, 2)], [(told - was)[i] for i in (0, 2)]
    unit = lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)
    expected = (unit(np.stack(moves[0])) * unit(np.stack(moves[1]))).sum(-1).mean()
    np.testing.assert_allclose(figures["clip_direction_b32"], expected, rtol=1e-3)
    _, defined = found[2].values({"edited": images}, batch)
    assert defined.tolist() == [True, False, True]


def test_without_weights_nothing_stands_in(tmp_path):
    found, absent = metrics.create(("clip_score", "clip_direction_b32"), weights_dir=tmp_path)
    assert not found and "clip_score: absent" in absent[0] and "clip-vit-large-patch14" in absent[0]
    assert "weights" in absent[1] and NAME in absent[1]
    with pytest.raises(PretrainedWeightsMissing, match="weights"):
        text_image.Embedder(NAME, tmp_path)
