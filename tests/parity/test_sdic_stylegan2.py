"""StyleGAN2's networks against the published ones."""

import functools

import jax
import numpy as np
import pytest

from jaxedit.models.stylegan2 import tables
from jaxedit.models.stylegan2.discriminator import Discriminator
from jaxedit.models.stylegan2.generator import Generator, noise_sizes, truncate
from jaxedit.weights import table
from tests.parity import golden
from tests.parity.sdic_files import SdicFile

GENERATORS = golden.goldens("generator", "sdic")
DISCRIMINATORS = golden.goldens("discriminator", "sdic")
_GENERATOR = {
    "size", "style_dim", "n_mlp", "channel_multiplier", "lr_mlp", "blur_kernel", "n_latent",
    "num_noise_layers",
}
_DISCRIMINATOR = {"size", "channel_multiplier", "stddev_group", "stddev_feat"}


def generator(file):
    config = file.config
    assert set(config) == _GENERATOR and config["blur_kernel"] == [1, 3, 3, 1]
    module = Generator(
        config["size"], config["style_dim"], config["n_mlp"], config["lr_mlp"],
        config["channel_multiplier"],
    )
    assert module.codes == config["n_latent"]
    assert len(noise_sizes(config["size"])) == config["num_noise_layers"]
    shape = jax.ShapeDtypeStruct((1, config["style_dim"]), np.float32)
    expected = jax.eval_shape(module.init, jax.random.key(0), shape)
    names = tables.generator_table(config["size"], config["n_mlp"])
    return module, table.to_jax(names, tables.prepare_generator(file.published()), expected)


@pytest.mark.parametrize("path", GENERATORS, ids=golden.name_of)
def test_sdic_generator(path):
    file = SdicFile(path)
    module, variables = generator(file)
    side = next(int(n.split("_")[0][7:]) for n in file.arrays if n.startswith("feature"))

    # As an argument: what a program closes over is copied into it, several times while it compiles.
    @functools.partial(jax.jit, static_argnames="injected")
    def synthesise(variables, codes, noise, inject, injected=False):
        given = {side: inject} if injected else {}
        return module.apply(
            variables, codes, noise, taps=(side,), inject=given, method="synthesise"
        )

    (described,) = [key for key in file.info["inputs"] if key.startswith("noise_i ")]
    assert "r = 2 ** ((i + 5) // 2)" in file.info["inputs"][described]["shape"]
    noise = [
        golden.to_nhwc(file.input(f"noise_{i}", described, (1, 1, pixels, pixels)))
        for i, pixels in enumerate(noise_sizes(file.config["size"]))
    ]
    feature = golden.to_nhwc(file.input("injected_feature"))
    codes = jax.jit(functools.partial(module.apply, method="map"))(variables, file.input("z"))
    cut = truncate(codes, file.input("truncation_latent"), 0.7)
    assert "0.7 *" in file.info["outputs"]["w_truncated"]["what"]
    several = np.repeat(np.asarray(cut)[:, None], module.codes, 1)
    stored = [np.asarray(variables["noise"][f"noise_{i}"])[None, ..., None]
              for i in range(len(noise))]
    found = {"w": codes, "w_truncated": cut}
    for name, arguments in (
        ("wplus", (file.input("w_plus"), noise)), ("z", (several, stored))
    ):
        picture, tapped = synthesise(variables, *arguments, feature)
        found |= {f"image_from_{name}": picture, f"feature{side}_from_{name}": tapped[side]}
    found["image_injected"], _ = synthesise(
        variables, file.input("w_plus"), noise, feature, injected=True
    )
    assert found.keys() == file.arrays.keys() == file.info["outputs"].keys()
    for name, array in found.items():
        file.compare(name, array)


@pytest.mark.parametrize("path", DISCRIMINATORS, ids=golden.name_of)
def test_sdic_discriminator(path):
    file = SdicFile(path)
    config = file.config
    assert set(config) == _DISCRIMINATOR and config["stddev_feat"] == 1
    module = Discriminator(config["size"], config["channel_multiplier"],
                           group=config["stddev_group"])
    image = golden.to_nhwc(file.input("image"))
    expected = jax.eval_shape(module.init, jax.random.key(0), image)
    names = tables.discriminator_table(config["size"])
    variables = table.to_jax(names, tables.prepare_discriminator(file.published()), expected)
    scores, state = jax.jit(
        functools.partial(module.apply, mutable=("intermediates",))
    )(variables, image)
    found = {"logits": scores, "features_4x4": state["intermediates"]["features"][0]}
    assert found.keys() == file.arrays.keys()
    for name, array in found.items():
        file.compare(name, array)
