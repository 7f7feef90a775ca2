"""The contrastive losses on arrays small enough to work out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.methods.scat import contrastive
from jaxedit.run import sharding

RNG = np.random.default_rng(0)


def test_size_and_start_of_the_head():
    head = contrastive.ProjectionHead()
    params = jax.jit(head.init)(jax.random.key(0), jnp.zeros((1, 1024)))["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 328_192
    for layer in params.values():
        kernel = np.asarray(layer["kernel"])
        np.testing.assert_allclose(kernel.T @ kernel, 2 * np.eye(256), atol=1e-4)
        assert (layer["bias"] == 0).all()


def test_normalise():
    z = RNG.standard_normal((3, 5)).astype(np.float32)
    expected = z / (np.linalg.norm(z, axis=1, keepdims=True) + 1e-7)
    np.testing.assert_allclose(contrastive.normalise(z), expected, rtol=1e-5)
    gradient = jax.grad(lambda z: contrastive.normalise(z).sum())(jnp.zeros((1, 4)))
    assert np.isfinite(gradient).all()


def test_textural_loss():
    anchors, positives, negatives = (
        [RNG.standard_normal((2, 4, 4, 3)).astype(np.float32) for _ in range(6)] for _ in range(3)
    )
    terms = contrastive.textural_terms(anchors, positives, negatives, levels=(2, 5))
    expected = [
        [np.abs(anchors[i] - positives[i]).mean(), np.abs(anchors[i] - negatives[i]).mean()]
        for i in (2, 5)
    ]
    np.testing.assert_allclose(terms, expected, rtol=1e-5)
    np.testing.assert_allclose(
        contrastive.textural_loss(terms), sum(a / (b + 1e-7) for a, b in expected), rtol=1e-5
    )


def test_every_image_with_every_mask():
    image = RNG.uniform(-1, 0.9, (3, 2, 2, 3)).astype(np.float32)
    mask = (RNG.random((3, 2, 2, 1)) > 0.5).astype(np.float32)
    found = contrastive.corrupted_by_every_mask(image, mask)
    assert found.shape == (9, 2, 2, 3)
    for i in range(3):
        for j in range(3):
            expected = np.where(mask[j] > 0, 1.0, image[i])
            np.testing.assert_array_equal(found[3 * i + j], expected)


def test_groups_share_their_masks():
    image = RNG.uniform(-1, 0.9, (4, 2, 2, 3)).astype(np.float32)
    mask = (RNG.random((4, 2, 2, 1)) > 0.5).astype(np.float32)
    found = contrastive.corrupted_by_every_mask(image, mask, group=2)
    halves = [
        contrastive.corrupted_by_every_mask(image[part], mask[part])
        for part in (slice(0, 2), slice(2, 4))
    ]
    np.testing.assert_array_equal(found, np.concatenate(halves))
    with pytest.raises(UserError, match="4 samples does not divide into groups of 3"):
        contrastive.corrupted_by_every_mask(image, mask, group=3)


@pytest.mark.parametrize("temperature", [1.0, 0.07])
def test_semantic_loss(temperature):
    unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
    anchor, positive, negatives = (
        unit(RNG.standard_normal((n, 6))).astype(np.float32) for n in (2, 2, 6)
    )
    logits = contrastive.semantic_logits(anchor, positive, negatives)
    expected = np.array(
        [
            [anchor[i] @ positive[i]] + [anchor[i] @ negatives[3 * i + j] for j in range(3)]
            for i in range(2)
        ]
    )
    np.testing.assert_allclose(logits, expected, atol=1e-6)
    scaled = np.exp(expected / temperature)
    np.testing.assert_allclose(
        contrastive.semantic_loss(logits, temperature),
        -np.log(scaled[:, 0] / scaled.sum(1)).mean(),
        rtol=1e-5,
    )


def test_a_batch_over_four_devices_has_the_losses_of_the_whole():
    """Every image meets every mask of the batch, on whichever device it lies."""
    plan = sharding.Plan(jax.devices()[:4])
    image = RNG.uniform(-1, 0.9, (4, 2, 2, 3)).astype(np.float32)
    mask = (RNG.random((4, 2, 2, 1)) > 0.5).astype(np.float32)
    others = RNG.uniform(-1, 0.9, (2, 4, 2, 2, 3)).astype(np.float32)

    @jax.jit
    def losses(image, mask, *others):
        negatives = contrastive.corrupted_by_every_mask(image, mask)
        anchor, positive, negative = (
            contrastive.normalise(x.reshape(len(x), -1)) for x in (*others, negatives)
        )
        logits = contrastive.semantic_logits(anchor, positive, negative)
        terms = contrastive.textural_terms(*([x] for x in (*others, image)), levels=(0,))
        return contrastive.semantic_loss(logits, 0.1), contrastive.textural_loss(terms)

    arrays = (image, mask, *others)
    np.testing.assert_allclose(
        losses(*jax.device_put(arrays, plan.batch_sharding)), losses(*arrays), rtol=1e-5
    )
