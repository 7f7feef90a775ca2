"""CLIP's towers and CLIPSeg against the published ones."""

import jax
import numpy as np
import pytest

from jaxedit.models.clip import folder, towers
from jaxedit.models.clip.configs import CLIPConfig, CLIPSegConfig
from tests.parity import golden
from tests.parity.iedit_files import load

KINDS = ("CLIPModel", "CLIPTextModel", "CLIPTextModelWithProjection", "CLIPVisionModel",
         "CLIPVisionModelWithProjection")


def files(*kinds):
    found = [path for path in golden.goldens("clip", "iedit") if kind(load(path)) in kinds]
    return pytest.mark.parametrize("path", found, ids=golden.name_of)


def kind(file):
    return file.info["model"].split()[1]


def filled(file, config):
    """Returns the network and its variables; every published name must find its place."""
    return folder.module(config), folder.fill(config, file.published(), file.path.name)


def test_iedit_clip_kinds():
    """No file goes without a test."""
    found = {kind(load(path)) for path in golden.goldens("clip", "iedit")}
    assert found <= {*KINDS, "CLIPSegForImageSegmentation"}


@files(*KINDS)
def test_iedit_clip(path):
    file = load(path)
    config = CLIPConfig.from_published({**file.config, "architectures": [kind(file)]})
    module, variables = filled(file, config)
    inputs = {entry["name"] for entry in file.info["inputs"]}
    assert inputs <= {"pixel_values", "input_ids"}

    @jax.jit
    def run(variables, pixels, tokens):
        clip, found = module.bind(variables), {}
        if pixels is not None:
            states = clip.read_pixels(pixels)
            found |= {
                "embeddings": states.embeddings,
                "last_hidden_state": states.last,
                "vision_last_hidden_state": states.last,
                "pooler_output": states.pooled,
                "vision_pooled": states.pooled,
                "image_embeds": clip.project_picture(states.pooled),
            }
        if tokens is not None:
            states = clip.read_tokens(tokens)
            found |= {
                "embeddings": states.embeddings,
                "last_hidden_state": states.last,
                "before_final_norm": states.layers[-1],
                "pooler_output": states.pooled,
                "text_pooled": states.pooled,
                "text_embeds": clip.project_text(states.pooled),
            }
        if pixels is not None and tokens is not None:
            pictures, texts = clip(pixels, tokens)
            count = min(len(pictures), len(texts))
            query = towers.unit(pictures[:count] + texts[:count])
            found |= {
                "image_embeds": pictures, "text_embeds": texts,
                "logits_per_image": clip.logits(pictures, texts),
                "logits_per_text": clip.logits(pictures, texts).T,
                "retrieval_query": query, "retrieval_scores": query @ pictures.T,
            }
        return found

    pixels, tokens = (
        file.input(name) if name in inputs else None for name in ("pixel_values", "input_ids")
    )
    found = run(variables, pixels, tokens)
    file.compare({name: found[name] for name in file.outputs})


@files("CLIPSegForImageSegmentation")
def test_iedit_clipseg(path):
    file = load(path)
    module, variables = filled(file, CLIPSegConfig.from_published(file.config))

    @jax.jit
    def run(variables, pixels, tokens):
        bound = module.bind(variables)
        condition = bound.clip.embed_tokens(tokens)
        logits = bound(pixels, tokens)
        return {"logits": logits, "conditional_embeddings": condition,
                "mask_probability": jax.nn.sigmoid(logits),
                "again": bound.segment(pixels, condition)}

    found = run(variables, file.input("pixel_values"), file.input("input_ids"))
    np.testing.assert_array_equal(found.pop("again"), found["logits"])
    file.compare(found)
