"""The discriminators: sizes, heads, options. The golden tests compare their values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.methods.scat import discriminators
from jaxedit.methods.scat.patch_discriminator import PatchDiscriminator
from jaxedit.run import drawing

IMAGE = np.tanh(np.random.default_rng(0).standard_normal((2, 64, 128, 3))).astype(np.float32)


def draw(module, image=IMAGE):
    """Returns variables of ordinary size, drawn without compiling the initialisers."""
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(module.init, jax.random.key(0), image)
    normal = lambda s: rng.standard_normal(s.shape).astype(np.float32)
    scale = lambda s: max(1, int(np.prod(s.shape[:-1]))) ** -0.5
    return jax.tree.map(lambda s: scale(s) * normal(s), shapes)


def count(module, size=256):
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), image)
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


@pytest.mark.parametrize(
    ("kind", "expected"), [("unet", 27_951_106), ("resunet", 44_067_586), ("v1", 49_972_738)]
)
def test_published_sizes(kind, expected):
    assert count(discriminators.create(kind)) == expected
    assert count(discriminators.create(kind, spectral_norm=False)) == expected


def test_size_of_the_patch_discriminator():
    # 3-64-128-256-512 without biases, then 512-1 with one, all 4 x 4.
    expected = 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512) + 1
    assert count(PatchDiscriminator()) == expected


@pytest.mark.parametrize("kind", discriminators.KINDS)
def test_outputs(kind):
    module = discriminators.create(kind, channels=4)
    variables = draw(module)
    found = jax.jit(module.apply)(variables, IMAGE)
    assert found.pixel_logits.shape == (2, 64, 128, 1)
    assert found.global_logits.shape == (2, 1)
    assert found.pooled.shape == (2, 64)
    assert [f.shape[1:3] for f in found.features] == [
        (64 >> level, 128 >> level) for level in range(6)
    ]
    np.testing.assert_array_equal(found.features[0], IMAGE)
    widths = (4, 8, 16, 32, 64 if kind == "v1" else 32)
    assert tuple(f.shape[-1] for f in found.features[1:]) == widths
    # The encoder alone says the same.
    encoder = jax.jit(lambda v, x: module.apply(v, x, decode=False))(variables, IMAGE)
    assert encoder.pixel_logits is None
    for a, b in zip(
        jax.tree.leaves(encoder), jax.tree.leaves(found._replace(pixel_logits=None)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_pooling_sums_or_averages():
    """`unet` sums the bottleneck, `v1` averages it: twice the image is twice the sum only."""
    twice = np.concatenate([IMAGE[:, :, :64]] * 2, axis=2)
    for kind in ("unet", "v1"):
        module = discriminators.create(kind, channels=2, spectral_norm=False)
        variables = draw(module)
        # Zero padding at the seam is the only difference between the halves and the whole.
        pooled = jax.jit(lambda v, x, m=module: m.apply(v, x, decode=False).pooled)
        ratio = np.linalg.norm(pooled(variables, twice)) / np.linalg.norm(
            pooled(variables, IMAGE[:, :, :64])
        )
        assert (ratio > 1.5) == (kind == "unet"), ratio


@pytest.mark.parametrize("kind", ["unet", "resunet"])
def test_initial_kernels_are_orthogonal(kind):
    module = discriminators.create(kind, channels=4)
    params = drawing.drawn(module.init, jax.random.key(0), IMAGE[:, :, :64])["params"]
    kernels = [leaf for leaf in jax.tree.leaves(params) if leaf.ndim > 1]
    assert len(kernels) > 10
    for kernel in kernels:
        matrix = np.asarray(kernel).reshape(-1, kernel.shape[-1])  # columns are output filters
        gram = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
        np.testing.assert_allclose(gram, 0.02**2 * np.eye(len(gram)), atol=1e-6)
    assert all((x == 0).all() for x in jax.tree.leaves(params) if x.ndim == 1)


def test_initial_kernels_of_v1_are_normal():
    module = discriminators.create("v1", channels=4)
    params = drawing.drawn(module.init, jax.random.key(0), IMAGE[:, :, :64])["params"]
    assert params["conv4"]["kernel"].std() == pytest.approx(0.02, rel=0.05)


def test_attention_follows_the_second_block():
    plain, attending = (
        discriminators.create("unet", channels=8, attention=a, spectral_norm=False)
        for a in (False, True)
    )
    variables = draw(attending)
    params = variables["params"]
    params["attention"]["gamma"] = jnp.float32(1.0)
    without = {name: value for name, value in params.items() if name != "attention"}
    a = jax.jit(attending.apply)({"params": params}, IMAGE)
    b = jax.jit(plain.apply)({"params": without}, IMAGE)
    np.testing.assert_allclose(a.features[1], b.features[1], atol=1e-6)
    assert np.abs(a.features[2] - b.features[2]).max() > 1e-6
    assert a.features[2].shape == b.features[2].shape


def test_bfloat16_gives_float32_heads():
    module = discriminators.create("unet", channels=4, dtype=jnp.bfloat16)
    variables = draw(module)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    found = jax.jit(module.apply)(variables, IMAGE)
    assert found.features[3].dtype == jnp.bfloat16
    heads = (found.pooled, found.global_logits, found.pixel_logits)
    assert {x.dtype for x in heads} == {jnp.dtype("float32")}


def test_what_does_not_exist_is_refused():
    with pytest.raises(UserError, match="'dcgan' is unknown: use one of 'unet', 'resunet', 'v1'"):
        discriminators.create("dcgan")
    with pytest.raises(UserError, match="v1 discriminator has no attention"):
        discriminators.create("v1", attention=True)
    for kind in discriminators.KINDS:
        with pytest.raises(UserError, match="multiples of 64 pixels, not 96 x 64"):
            jax.eval_shape(
                discriminators.create(kind, channels=2).init,
                jax.random.key(0),
                jnp.zeros((1, 96, 64, 3)),
            )
