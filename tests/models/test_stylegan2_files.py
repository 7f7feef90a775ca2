"""Generators of any size from files: rosinality's, stylegan2-ada's for PyTorch and TensorFlow."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.models.stylegan2 import ada, files, tables
from jaxedit.models.stylegan2.discriminator import Discriminator
from jaxedit.models.stylegan2.generator import NOISE, Generator, average_code
from jaxedit.weights import reader, table
from tests.fake_run import drawn

ADA = Path(__file__).parents[1] / "weights" / "fixtures" / "ada.pkl"
SMALL = Generator(16, style_width=5, mapping_layers=2, channel_multiplier=0.01, most_channels=6)


@pytest.fixture(scope="module")
def variables():
    return drawn(jax.eval_shape(SMALL.init, jax.random.key(0), jnp.zeros((1, 5))))


def test_a_pickle_of_pytorch():
    loaded = files.read(ADA)
    generator = loaded.generator
    assert (generator.size, generator.style_width, generator.mapping_layers) == (8, 3, 1)
    params, noise = loaded.variables["params"], loaded.variables[NOISE]
    arrays = reader.read(ADA, nested=("G_ema",))
    np.testing.assert_array_equal(loaded.average, arrays["mapping.w_avg"])
    for ours, theirs in (
        (params["mapping_0"]["kernel"], arrays["mapping.fc0.weight"].T),
        (params["constant"], arrays["synthesis.b4.const"].transpose(1, 2, 0)),
        (params["conv1"]["bias"], arrays["synthesis.b4.conv1.bias"]),
        (params["convs_0"]["conv"]["kernel"],
         arrays["synthesis.b8.conv0.weight"].transpose(2, 3, 1, 0)),
        (params["convs_1"]["conv"]["modulation"]["bias"],
         arrays["synthesis.b8.conv1.affine.bias"]),
        (params["convs_1"]["noise_strength"], arrays["synthesis.b8.conv1.noise_strength"]),
        (params["to_rgbs_0"]["bias"], arrays["synthesis.b8.torgb.bias"]),
        (noise["noise_0"], arrays["synthesis.b4.conv1.noise_const"]),
        (noise["noise_1"], arrays["synthesis.b8.conv0.noise_const"]),
        (noise["noise_2"], arrays["synthesis.b8.conv1.noise_const"]),
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_discriminator_of_pytorch():
    arrays = ada.discriminator(reader.read(ADA, nested=("D",)))
    image = jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32)
    expected = jax.eval_shape(
        Discriminator(8, channel_multiplier=0.001, most_channels=2).init, jax.random.key(0), image
    )
    found = table.to_jax(tables.discriminator_table(8), arrays, expected)["params"]
    theirs = reader.read(ADA, nested=("D",))
    np.testing.assert_array_equal(found["block_8"]["conv2"]["bias"], theirs["b8.conv1.bias"])
    np.testing.assert_array_equal(found["score"]["kernel"], theirs["b4.out.weight"].T)


def ours_of(variables):
    """Our arrays by the names of rosinality's code, in its shapes."""
    found = table.to_published(tables.generator_table(16, 2), variables)
    for name, array in found.items():
        if name == "input.input":
            found[name] = array.transpose(2, 0, 1)[None]
        elif name.startswith("noises."):
            found[name] = array[None, None]
        elif name.endswith("conv.weight"):
            found[name] = array[None]
        elif name.endswith("noise.weight"):
            found[name] = array.reshape(1)
        elif "rgb" in name and name.endswith(".bias") and "modulation" not in name:
            found[name] = array.reshape(1, 3, 1, 1)
    return found


def as_tensorflow(published):
    """The same arrays as TensorFlow's code names and stores them, restated layer by layer."""
    kernel = lambda x: x[0].transpose(2, 3, 1, 0)
    found = {"dlatent_avg": np.arange(5.0), "lod": np.zeros(()),
             "synthesis/4x4/Const/const": published["input.input"]}
    for number in (0, 1):
        for part in ("weight", "bias"):
            found[f"mapping/Dense{number}/{part}"] = published[f"style.{number + 1}.{part}"].T
    places = {"conv1": "4x4/Conv", "convs.0": "8x8/Conv0_up", "convs.1": "8x8/Conv1",
              "convs.2": "16x16/Conv0_up", "convs.3": "16x16/Conv1", "to_rgb1": "4x4/ToRGB",
              "to_rgbs.0": "8x8/ToRGB", "to_rgbs.1": "16x16/ToRGB"}
    for index, (name, place) in enumerate(places.items()):
        at, weight = f"synthesis/{place}", kernel(published[f"{name}.conv.weight"])
        found[f"{at}/weight"] = weight[::-1, ::-1] if place.endswith("_up") else weight
        found[f"{at}/mod_weight"] = published[f"{name}.conv.modulation.weight"].T
        found[f"{at}/mod_bias"] = published[f"{name}.conv.modulation.bias"] - 1
        if "rgb" in name:
            found[f"{at}/bias"] = published[f"{name}.bias"].ravel()
        else:
            found[f"{at}/bias"] = published[f"{name}.activate.bias"]
            found[f"{at}/noise_strength"] = published[f"{name}.noise.weight"].reshape(())
            found[f"synthesis/noise{index}"] = published[f"noises.noise_{index}"]
    return found


def test_tensorflow_says_the_same(variables):
    published = ours_of(variables)
    found = ada.generator(as_tensorflow(published))
    np.testing.assert_array_equal(found.pop("latent_avg"), np.arange(5))
    assert found.keys() == published.keys()
    for name, array in published.items():
        np.testing.assert_allclose(found[name], array, atol=1e-6, err_msg=name)


def test_rosinalitys_files(variables, tmp_path, monkeypatch):
    """With and without the average code; read here by a reader of nested dicts of arrays."""
    content = {"g_ema": {**ours_of(variables), "conv1.conv.blur.kernel": np.ones((4, 4))},
               "latent_avg": np.arange(5.0)}
    path = tmp_path / "generator.pt"
    path.write_bytes(b"PK\x03\x04")

    def read(path, nested=(), ignore=()):
        return dict(content["g_ema"]) if nested else {
            k: v for k, v in content.items() if k == "latent_avg" and ignore == ("[!l]*",)
        }

    monkeypatch.setattr(reader, "read", read)
    loaded = files.read(path)
    same = jax.tree.map(np.array_equal, loaded.variables, jax.tree.map(np.asarray, variables))
    assert all(jax.tree.leaves(same)) and loaded.average.tolist() == [0, 1, 2, 3, 4]
    assert loaded.generator.most_channels == 6 and loaded.generator.size == 16
    del content["latent_avg"]
    np.testing.assert_allclose(
        files.read(path).average, average_code(SMALL, variables), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(("name", "message"), [
    ("mapping.embed.weight", "trained with labels"),
    ("synthesis.b8.skip.weight", "no layer of StyleGAN2"),
    ("synthesis.b8.conv1.gain", "no layer of StyleGAN2"),
    ("torgb.weight", "no layer of StyleGAN2"),
])
def test_other_networks_are_refused(name, message):
    with pytest.raises(UserError, match=message):
        ada.generator({name: np.zeros((1, 1, 1, 1))})
