"""Conversion tables of SCAT's and AOT-GAN's networks, and what a file's names tell."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.layers import spectral
from jaxedit.methods.scat import contrastive, discriminators, weights
from jaxedit.methods.scat.generator import Generator
from jaxedit.methods.scat.patch_discriminator import PatchDiscriminator
from jaxedit.weights import table

IMAGE = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
MASK = jax.ShapeDtypeStruct((1, 64, 64, 1), jnp.float32)
DISCRIMINATORS = [
    (kind, spectral_norm, attention)
    for kind in discriminators.KINDS
    for spectral_norm in (False, True)
    for attention in (False, True)
    if not (kind == "v1" and attention)
]


def draw(shapes):
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda s: rng.standard_normal(s.shape).astype(np.float32), dict(shapes))


def assert_round_trip(entries, variables, shapes):
    published = table.to_published(entries, variables)
    back = weights.convert(entries, published, shapes)
    back = {name: tree for name, tree in back.items() if tree}
    assert jax.tree.structure(back) == jax.tree.structure(variables)
    for a, b in zip(jax.tree.leaves(back), jax.tree.leaves(variables), strict=True):
        np.testing.assert_array_equal(a, b)
    return published


@pytest.mark.parametrize(("kind", "spectral_norm", "attention"), DISCRIMINATORS)
def test_discriminators(kind, spectral_norm, attention):
    module = discriminators.create(
        kind, channels=8, spectral_norm=spectral_norm, attention=attention
    )
    shapes = jax.eval_shape(module.init, jax.random.key(0), IMAGE)
    entries = weights.discriminator_table(
        kind, spectral_norm=spectral_norm, attention=attention
    )
    published = assert_round_trip(entries, draw(shapes), shapes)
    assert weights.describe_discriminator({n: a.shape for n, a in published.items()}) == {
        "kind": kind,
        "channels": 8,
        "spectral_norm": spectral_norm,
        "attention": attention,
    }


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_patch_discriminator(spectral_norm):
    shapes = jax.eval_shape(PatchDiscriminator(4, spectral_norm).init, jax.random.key(0), IMAGE)
    entries = weights.patch_table(spectral_norm=spectral_norm)
    published = assert_round_trip(entries, draw(shapes), shapes)
    assert weights.describe_discriminator({n: a.shape for n, a in published.items()}) == {
        "kind": "patch",
        "channels": 4,
        "spectral_norm": spectral_norm,
    }


def test_generator_and_head():
    shapes = jax.eval_shape(Generator(6, 2, (1, 2, 3)).init, jax.random.key(0), IMAGE, MASK)
    published = assert_round_trip(weights.generator_table(2, 3), draw(shapes), shapes)
    found = weights.describe_generator({name: a.shape for name, a in published.items()})
    assert found == {"channels": 6, "blocks": 2, "rates": 3}
    pooled = jax.ShapeDtypeStruct((1, 32), jnp.float32)
    shapes = jax.eval_shape(contrastive.ProjectionHead(8).init, jax.random.key(0), pooled)
    assert set(assert_round_trip(weights.head_table(), draw(shapes), shapes)) == {
        "0.weight", "0.bias", "2.weight", "2.bias",
    }


def patch_file():
    module = PatchDiscriminator(4)
    shapes = jax.eval_shape(module.init, jax.random.key(0), IMAGE)
    entries = weights.patch_table()
    return entries, table.to_published(entries, draw(shapes)), shapes


def test_spectral_import_in_pytorchs_order():
    """W / sigma with sigma = u . (W_mat v), worked out in PyTorch's layout."""
    entries, published, shapes = patch_file()
    variables = weights.convert(entries, published, shapes)
    weight, u, v = (published[f"conv.2.weight_{part}"] for part in ("orig", "u", "v"))
    sigma = u @ weight.reshape(weight.shape[0], -1) @ v
    layer = {name: variables[name]["conv_2"] for name in ("params", "spectral")}
    ours = spectral.sigma(layer["params"]["kernel"], **layer["spectral"])
    np.testing.assert_allclose(ours, sigma, rtol=1e-4)


def test_missing_v_is_rebuilt_from_u():
    entries, published, shapes = patch_file()
    weight, u = published["conv.2.weight_orig"], published["conv.2.weight_u"]
    kept = {name: a for name, a in published.items() if not name.endswith("weight_v")}
    variables = weights.convert(entries, kept, shapes)
    v = weight.reshape(weight.shape[0], -1).T @ u
    np.testing.assert_allclose(
        variables["spectral"]["conv_2"]["v"], v / np.linalg.norm(v), rtol=1e-5
    )


def test_prefixes_are_removed():
    entries, published, shapes = patch_file()
    prefixed = {f"module.{name}": array for name, array in published.items()}
    plain, same = (weights.convert(entries, p, shapes) for p in (published, prefixed))
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(same), strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_network_is_refused():
    entries, published, shapes = patch_file()
    with pytest.raises(UserError, match="D0300000.pt do not fit .* unused 'fc.weight'"):
        weights.convert(entries, published | {"fc.weight": np.zeros(3)}, shapes, "D0300000.pt")
    with pytest.raises(UserError, match="no generator file .* G\\*.pt; D\\*.pt and O\\*.pt"):
        weights.describe_generator({name: a.shape for name, a in published.items()})
    with pytest.raises(UserError, match="no discriminator file"):
        weights.describe_discriminator({"encoder.1.weight": (64, 4, 7, 7)})
