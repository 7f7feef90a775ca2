"""SDIC's encoder e4e and the identity network ArcFace against the published ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from jaxedit.methods.sdic import e4e
from jaxedit.models import arcface, irse
from jaxedit.weights import table
from tests import memory
from tests.parity import golden
from tests.parity.sdic_files import SdicFile


def placed(names, published):
    """Returns a network's variables on the device; takes `published` apart on the way."""
    found = {}
    for name, entry in names.items():
        one = table.to_jax({name: entry}, {name: published.pop(name)})
        found |= traverse_util.flatten_dict(jax.tree.map(jnp.asarray, one))
    assert not published
    return traverse_util.unflatten_dict(found)


@pytest.mark.parametrize("path", golden.goldens("e4e", "sdic"), ids=golden.name_of)
def test_sdic_e4e(path):
    file = SdicFile(path)
    assert set(file.config) == {"stylegan_size", "style_count", "input"}
    module = e4e.encoder_of(file.config["stylegan_size"])
    assert module.codes == file.config["style_count"]
    image = golden.to_nhwc(file.input("image"))
    assert list(image.shape[1:3]) == file.config["input"]
    expected = jax.eval_shape(module.init, jax.random.key(0), image)
    # A gigabyte of weights: the program is compiled before they are there, and they are there once.
    encode = jax.jit(
        lambda variables, image: module.apply(variables, image, mutable=["intermediates"])
    ).lower(expected, image).compile()
    memory.forget()
    variables = placed(e4e.encoder_table(module.codes), file.published())
    memory.forget()
    codes, state = encode(variables, image)
    del variables, encode
    memory.forget()
    features = {name: found[0] for name, found in state["intermediates"].items()}
    file.compare_all({"w_plus": codes, **features})


@pytest.mark.parametrize("path", golden.goldens("arcface", "sdic"), ids=golden.name_of)
def test_sdic_arcface(path):
    file = SdicFile(path)
    assert set(file.config) == {"input_size", "num_layers", "mode"}
    assert file.config["input_size"] == arcface.SIDE
    blocks, squeeze = irse.DEPTHS[file.config["num_layers"]], file.config["mode"] == "ir_se"
    module = arcface.ArcFace(blocks, squeeze)
    face = golden.to_nhwc(file.input("face112"))
    expected = jax.eval_shape(module.init, jax.random.key(0), face)
    variables = table.to_jax(
        arcface.conversion_table(blocks, squeeze), file.published(), expected
    )
    x, y, y_hat = (golden.to_nhwc(file.input(name, "x, y, y_hat")) for name in ("x", "y", "y_hat"))
    pooled = np.asarray(arcface.crop_face(jnp.asarray(y)))
    faces = [face, pooled, arcface.crop_face(y_hat), arcface.crop_face(x)]
    every = jax.jit(module.apply)(variables, jnp.concatenate(faces))
    of_face, of_y, of_y_hat, of_x = np.split(np.asarray(every), 4)
    alike = (of_y_hat * of_y).sum(-1)
    file.compare_all({
        "embedding": of_face,
        "embedding_y": of_y,
        "embedding_y_hat": of_y_hat,
        "pooled_y": pooled,
        "id_loss": np.mean(1 - alike, keepdims=True),
        "id_improvement": np.mean(alike - (of_y * of_x).sum(-1), keepdims=True),
    })
