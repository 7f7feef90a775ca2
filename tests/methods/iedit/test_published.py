"""Stable Diffusion's folder and single file become our weights, every part of them."""

import json

import jax
import numpy as np
import pytest
import safetensors.numpy

from jaxedit.errors import UserError
from jaxedit.methods.iedit import published, text_encoder
from jaxedit.models.diffusion import parts, single_file
from jaxedit.weights import convert, manifest, source
from tests.models.clip import examples as clip
from tests.models.diffusion import examples, test_single_file

FOLDER = "stable-diffusion-v1-4"
FILE = "stable-diffusion-v1-safetensors"


def whole_folder(place):
    examples.write(place, "float16", old=True)
    clip.write(place / "text_encoder", "text", "float16", positions=True)
    (place / "tokenizer" / "vocab.json").write_text("{}")
    return place


def test_a_folder_becomes_weights(tmp_path):
    place = whole_folder(tmp_path / "folder")
    convert.convert(FOLDER, place, weights_dir=tmp_path / "weights")
    found = convert.load(FOLDER, tmp_path / "weights")
    for name in ("unet", "vae"):
        expected = jax.tree.map(lambda leaf: leaf.astype(np.float16).astype(np.float32),
                                examples.variables(name))
        jax.tree.map(np.testing.assert_array_equal, found[name], expected)
    text = clip.arrays("text")["text_model.embeddings.token_embedding.weight"]
    embedding = found["text_encoder"]["params"]["text_model"]["embeddings"]["token_embedding"]
    np.testing.assert_array_equal(embedding["embedding"], text.astype(np.float16))
    assert convert.load_options(FOLDER, tmp_path / "weights")["unet"] == {
        "config": examples.CONFIGS["unet"]
    }
    kept = convert.load_file(FOLDER, "scheduler/scheduler_config.json", tmp_path / "weights")
    assert json.loads(kept) == examples.SCHEDULE
    (place / "text_encoder" / "model.safetensors").unlink()
    with pytest.raises(UserError, match="lacks text_encoder/model.safetensors or"):
        convert.convert(FOLDER, place, weights_dir=tmp_path / "weights")


def test_a_file_holds_the_three_networks(tmp_path):
    """Names of the original layout, each given to its network; sizes are checked in converting."""
    path = tmp_path / "model.safetensors"
    arrays = test_single_file.whole_file()
    safetensors.numpy.save_file(arrays, path)
    contents = source.read(manifest.get(FILE), path)
    assert not contents.unused
    assert set(contents.arrays["unet"]) == set(test_single_file.unet_file())
    assert set(contents.arrays["vae"]) == set(test_single_file.autoencoder_file())
    assert set(contents.arrays["text_encoder"]) == {"text_model.final_layer_norm.bias"}
    # At full size, a tiny file lacks most of it, and says so of each network.
    with pytest.raises(UserError) as raised:
        convert.convert(FILE, path, weights_dir=tmp_path / "weights")
    unet, vae, text = str(raised.value).splitlines()
    assert "missing 'down_blocks.0.attentions.1.norm.bias'" in unet and "and 516 more" in unet
    assert "missing 'decoder.up_blocks.0.resnets.0.conv1.bias'" in vae
    assert "missing 'text_model.embeddings.position_embedding.weight'" in text


def test_networks_of_full_size():
    counts = {"unet": 686, "vae": 248, "text_encoder": 196}
    for name in (FOLDER, FILE, "stable-diffusion-v1-ckpt"):
        for network in manifest.get(name).networks:
            assert len(network.table()) == counts[network.name]
    assert len(jax.tree.leaves(text_encoder.variables())) == 196
    assert sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(text_encoder.variables())) == (
        123_060_480
    )


def test_every_original_name_of_full_size_finds_its_place():
    """All 686 and 248 names, as the original code counts its modules."""
    config = parts.UNET.config()
    modules = {ours: theirs for theirs, ours in single_file._unet_modules(config).items()}
    names = {name: name for name in published.ENTRIES[1].networks[0].table()}
    original = test_single_file.original(names, modules, single_file._RESNET)
    assert len(original) == 686 and {name.split(".")[0] for name in original} == {
        "time_embed", "input_blocks", "middle_block", "output_blocks", "out",
    }
    assert single_file.unet_names(original, config) == {name: name for name in names}
