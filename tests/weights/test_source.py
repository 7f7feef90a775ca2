"""What a published file or folder holds, and what it lacks."""

import dataclasses
import json
from pathlib import Path

import flax.linen as nn
import pytest

from jaxedit.errors import UserError
from jaxedit.weights import source
from jaxedit.weights.entry import Bundle, File, Network
from tests.weights import examples

NESTED = Path(__file__).parent / "fixtures" / "nested.pt"


def nested(**changes):
    """A training checkpoint of torch with two networks under their own keys."""
    network = {"table": examples.linear_table, "network": lambda: nn.Dense(1)}
    first = {"nested": ("netD",), "ignore": ("*.num_batches_tracked",), **changes}
    return Bundle(
        name="training", what="", address="", licence="", files=(File("https://x/nested.pt"),),
        networks=(Network(name="discriminator", **network, **first),
                  Network(name="head", nested=("MLP",), **network)),
    )


def test_state_dicts_under_keys_of_one_torch_file():
    contents = source.read(nested(), NESTED)
    assert {name: len(arrays) for name, arrays in contents.arrays.items()} == {
        "discriminator": 6, "head": 1
    }
    assert contents.files == {"nested.pt": NESTED} and contents.unused == []


def test_entries_that_no_network_begins_like():
    contents = source.read(nested(starts=("0.",)), NESTED)
    assert set(contents.arrays["discriminator"]) == {"weight", "bias"}
    assert contents.unused == [
        f"{NESTED}: unused '1.weight', '1.bias', '1.running_mean', '1.running_var'"
    ]


def test_a_network_beside_the_state_dict_of_another(tmp_path):
    beside = Network(name="rest", table=dict, network=dict, ignore=("optimizer", "step", "MLP"))
    bundle = nested()
    bundle = dataclasses.replace(bundle, networks=(bundle.networks[0], beside))
    assert source.read(bundle, NESTED).arrays["rest"] == {}


def test_folders(tmp_path):
    folder = examples.pipeline(tmp_path / "pipeline")
    half = folder / "unet" / "weights.fp16.safetensors"
    (folder / "unet" / "weights.safetensors").rename(half)
    contents = source.read(examples.FOLDER, folder)
    assert contents.files["unet/weights.fp16.safetensors"] == half
    assert contents.configs["vae"]["out"] == 4
    with pytest.raises(UserError, match="published as a folder. Give the folder that holds unet/"):
        source.read(examples.FOLDER, half)
    for text, message in (("[1]", "no JSON object"), ("{", "no JSON"), ("x" * 1_000_001, "larger")):
        (folder / "unet" / "config.json").write_text(text)
        with pytest.raises(UserError, match=message):
            source.read(examples.FOLDER, folder)
    (folder / "unet" / "config.json").write_text(json.dumps({}))
    half.unlink()
    with pytest.raises(UserError, match="lacks unet/weights.safetensors or unet/weights.fp16"):
        source.read(examples.FOLDER, folder)
