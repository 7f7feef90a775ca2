"""Adversarial losses on numbers small enough to work out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxedit.errors import UserError
from jaxedit.losses import adversarial

REAL = jnp.array([[2.0], [0.5]])
FAKE = jnp.array([[-3.0], [1.0]])
SOFTPLUS = lambda x: np.log1p(np.exp(x))


@pytest.mark.parametrize(
    ("kind", "discriminator", "generator"),
    [
        ("hinge", 0.25 + 1.0, 1.0),
        (
            "nsgan",
            (SOFTPLUS(-2) + SOFTPLUS(-0.5) + SOFTPLUS(-3) + SOFTPLUS(1)) / 2,
            (SOFTPLUS(3) + SOFTPLUS(-1)) / 2,
        ),
        ("lsgan", (1 + 0.25 + 9 + 1) / 2, 16 / 2),
    ],
)
def test_global_losses(kind, discriminator, generator):
    np.testing.assert_allclose(
        adversarial.discriminator_loss(kind, REAL, FAKE), discriminator, rtol=1e-6
    )
    np.testing.assert_allclose(adversarial.generator_loss(kind, FAKE), generator, rtol=1e-6)


def test_segmentation_losses_divide_by_all_pixels():
    mask = jnp.array([1.0, 0.0, 0.0, 0.0]).reshape(1, 2, 2, 1)
    real = jnp.full((1, 2, 2, 1), 3.0)
    fake = jnp.full((1, 2, 2, 1), 0.5)
    loss = adversarial.segmentation_discriminator_loss("hinge", real, fake, mask)
    np.testing.assert_allclose(loss, (3 * 0.5 + 1.5) / 4)
    loss = adversarial.segmentation_generator_loss("hinge", fake, mask)
    np.testing.assert_allclose(loss, -0.5 / 4)
    loss = adversarial.segmentation_generator_loss("hinge", fake, mask, region="all")
    np.testing.assert_allclose(loss, -0.5)
    gradient = jax.grad(
        lambda x: adversarial.segmentation_generator_loss("lsgan", x, mask)
    )(fake)
    np.testing.assert_allclose(gradient.reshape(-1), [-0.25, 0, 0, 0])


@pytest.mark.parametrize("kind", adversarial.KINDS)
def test_a_perfect_discriminator_beats_a_fooled_one(kind):
    mask = jnp.array([1.0, 0.0]).reshape(1, 1, 2, 1)
    right = jnp.array([-2.0, 2.0]).reshape(1, 1, 2, 1)
    real = jnp.full((1, 1, 2, 1), 2.0)
    loss = adversarial.segmentation_discriminator_loss
    assert loss(kind, real, right, mask) < loss(kind, real, -right, mask)
    fool = adversarial.segmentation_generator_loss
    assert fool(kind, -right, mask) < fool(kind, right, mask)


def test_large_logits_stay_finite():
    far = jnp.array([[1e4], [-1e4]])
    assert np.isfinite(adversarial.discriminator_loss("nsgan", far, far))


def test_unknown_names():
    with pytest.raises(UserError, match="'wgan' is unknown: use one of 'hinge', 'nsgan', 'lsgan'"):
        adversarial.discriminator_loss("wgan", REAL, FAKE)
    with pytest.raises(UserError, match="'rim' is unknown: use one of 'hole', 'all'"):
        adversarial.segmentation_generator_loss("hinge", FAKE, FAKE, region="rim")


def test_smgan_labels():
    mask = jnp.zeros((1, 16, 16, 1)).at[:, 4:12, 4:12].set(1.0)
    label = adversarial.soft_mask(mask, 5, 1.0)
    assert 0 <= label.min() and label.max() <= 1.0 and label[0, 8, 8, 0] > 0.99
    assert label[0, 3, 8, 0] > 0  # soft: some of it lies outside of the hole
    zeros = jnp.zeros((1, 16, 16, 1))
    # Patch logits that are the labels themselves cost nothing.
    loss = adversarial.smgan_discriminator_loss(zeros, label, mask, 5, 1.0)
    np.testing.assert_allclose(loss, 0.0, atol=1e-10)


def test_smgan_defects_and_their_flags():
    mask = jnp.zeros((1, 8, 8, 1)).at[:, :4].set(1.0)
    fake = jnp.where(mask > 0, 0.25, 3.0)
    loss = adversarial.smgan_generator_loss
    np.testing.assert_allclose(loss(fake, mask), (0.75**2 + 4) / 2, rtol=1e-6)
    np.testing.assert_allclose(loss(fake, mask, target=0.0), (0.25**2 + 9) / 2, rtol=1e-6)
    np.testing.assert_allclose(loss(fake, mask, masked=True), 0.75**2, rtol=1e-6)
    np.testing.assert_allclose(
        loss(fake, mask, target=0.0, masked=True), 0.25**2, rtol=1e-6
    )
    assert np.isfinite(loss(fake, jnp.zeros_like(mask), masked=True))
