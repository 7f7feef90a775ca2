"""Published folders are read, and come out as they were; the networks have the published sizes."""

import dataclasses
import math

import jax
import numpy as np
import pytest
import safetensors.numpy

from jaxedit.errors import UserError
from jaxedit.models.clip import configs, folder
from jaxedit.models.clip.configs import CLIPConfig, CLIPSegConfig
from tests.models.clip import examples


def contents(path):
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name, dtype, options", [
    ("clip", "float32", {"positions": True}),
    ("clip", "float16", {"file": "model.fp16.safetensors"}),
    ("clipseg", "float32", {"positions": False}),
    ("text", "bfloat16", {"prefix": False}),
    ("text", "float16", {"positions": True}),
])
def test_a_folder_saves_back_unchanged(tmp_path, name, dtype, options):
    source = examples.write(tmp_path / "source", name, dtype, **options)
    loaded = folder.load(source)
    assert loaded.config == examples.config(name)
    expected = folder.fill(loaded.config, examples.arrays(name), "filled")
    kind = examples.ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b.astype(kind).astype(np.float32)),
                 loaded.variables, expected)
    assert contents(folder.save(tmp_path / "back", loaded, like=source)) == contents(source)


@pytest.mark.parametrize("name", examples.PUBLISHED)
def test_a_network_of_our_own_is_written_for_others(tmp_path, name):
    config = examples.config(name)
    loaded = folder.Loaded(config, folder.fill(config, examples.arrays(name), "filled"))
    again = folder.load(folder.save(tmp_path / "ours", loaded))
    assert again.config == config
    jax.tree.map(np.testing.assert_array_equal, again.variables, loaded.variables)


def test_what_does_not_fit_is_refused(tmp_path):
    source = examples.write(tmp_path / "source", "clip")
    path = source / "model.safetensors"
    arrays = examples.arrays("clip")
    del arrays["logit_scale"]
    arrays["vision_model.more"] = np.ones(2, np.float32)
    safetensors.numpy.save_file(arrays, path)
    with pytest.raises(UserError, match="missing 'logit_scale'.*unused 'vision_model.more'"):
        folder.load(source)
    path.unlink()
    with pytest.raises(UserError, match="source: this folder lacks model.safetensors or .*CLIPSeg"):
        folder.load(source)
    (source / "config.json").write_text('{"model_type": "siglip"}')
    with pytest.raises(UserError, match="config.json: describes siglip; a CLIP has"):
        folder.load(source)


@pytest.mark.parametrize("change, message", [
    ({"hidden_act": "mish"}, "hidden_act='mish' is unknown"),
    ({"num_attention_heads": 3}, "num_attention_heads=3 does not divide"),
    ({"hidden_size": "wide"}, "does not describe a CLIP"),
])
def test_another_network_is_refused(change, message):
    with pytest.raises(UserError, match=f"there.json: .*{message}"):
        CLIPConfig.from_published({**examples.TEXT_ALONE, **change}, "there.json")
    with pytest.raises(UserError, match=r"extract_layers=\[3\].*0 to 2"):
        CLIPSegConfig.from_published({**examples.SEGMENTER, "extract_layers": [3]})


def test_old_descriptions():
    """The first files give a tower twice; what the publishers' library takes is the second."""
    published = {**examples.BOTH, "text_config": {}, "text_config_dict": examples.TEXT}
    assert CLIPConfig.from_published(published) == examples.config("clip")
    text = CLIPConfig.from_published({**examples.TEXT_ALONE, "eos_token_id": 2}).text
    assert text.ends_at_largest and not examples.config("text").text.ends_at_largest


@pytest.mark.parametrize("config, tensors, parameters", [
    # The text encoder of Stable Diffusion 1.x: L/14's, without the projection.
    (CLIPConfig(configs.L14.text, None, None), 196, 123_060_480),
    (configs.L14, 590, 427_616_513),
    (configs.B32, 398, 151_277_313),
    (CLIPSegConfig(), 462, 150_747_746),
])
def test_published_sizes(config, tensors, parameters):
    shapes = jax.tree.leaves(folder.variables(config))
    assert sum(math.prod(leaf.shape) for leaf in shapes) == parameters
    assert len(shapes) == len(folder.conversion_table(config)) == tensors


def test_published_names():
    names = set(folder.conversion_table(CLIPSegConfig()))
    assert {
        "clip.logit_scale", "clip.text_projection.weight", "clip.visual_projection.weight",
        "clip.text_model.encoder.layers.11.self_attn.q_proj.bias",
        "clip.vision_model.embeddings.class_embedding", "clip.vision_model.pre_layrnorm.weight",
        "clip.vision_model.embeddings.patch_embedding.weight", "decoder.film_mul.weight",
        "decoder.reduces.2.bias", "decoder.layers.0.layer_norm2.weight",
        "decoder.transposed_convolution.4.weight",
    } <= names
    simple = dataclasses.replace(CLIPSegConfig(), use_complex_transposed_convolution=False)
    entry = folder.conversion_table(simple)["decoder.transposed_convolution.weight"]
    assert entry.kind == "transposed_conv"
