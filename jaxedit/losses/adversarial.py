"""Adversarial losses on discriminator logits, global, per pixel and per patch.

High logits mean "real" or "valid". Kinds: `hinge`, `nsgan` (binary cross-entropy, the generator
non-saturating) and `lsgan` (squares of logit minus target, targets 1 and 0). Means run over all
elements, also where a mask selects some of them (as published code has it).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxedit.host.names import check_choice
from jaxedit.layers.blur import gaussian_blur
from jaxedit.layers.resampling import resize_bilinear

KINDS = ("hinge", "nsgan", "lsgan")
REGIONS = ("hole", "all")


def _real(kind: str, logits: jax.Array) -> jax.Array:
    """What it costs the discriminator, element by element, that these logits are of real data."""
    check_choice("The adversarial loss", kind, KINDS)
    if kind == "hinge":
        return jax.nn.relu(1 - logits)
    if kind == "nsgan":
        return jax.nn.softplus(-logits)
    return jnp.square(logits - 1)


def _fake(kind: str, logits: jax.Array) -> jax.Array:
    """The same for generated data."""
    check_choice("The adversarial loss", kind, KINDS)
    if kind == "hinge":
        return jax.nn.relu(1 + logits)
    if kind == "nsgan":
        return jax.nn.softplus(logits)
    return jnp.square(logits)


def discriminator_loss(kind: str, real: jax.Array, fake: jax.Array) -> jax.Array:
    """Returns the discriminator's loss on whole images: mean real cost plus mean fake cost.

    Args:
      kind: one of KINDS.
      real, fake: logits of any shape.
    """
    return jnp.mean(_real(kind, real)) + jnp.mean(_fake(kind, fake))


def generator_loss(kind: str, fake: jax.Array) -> jax.Array:
    """Returns the generator's loss on whole images; arguments as in `discriminator_loss`."""
    return jnp.mean(_deceive(kind, fake))


def _deceive(kind: str, logits: jax.Array) -> jax.Array:
    return -logits if kind == "hinge" else _real(kind, logits)


def segmentation_discriminator_loss(
    kind: str, real: jax.Array, fake: jax.Array, mask: jax.Array
) -> jax.Array:
    """Returns the discriminator's segmentation loss: real and kept pixels valid, holes generated.

    Args:
      kind: one of KINDS.
      real: (B, H, W, 1) logits of real images.
      fake: the same of composites.
      mask: (B, H, W, 1) in {0, 1}, 1 = hole.
    """
    valid = 1 - mask
    return (
        jnp.mean(_real(kind, real))
        + jnp.mean(valid * _real(kind, fake))
        + jnp.mean(mask * _fake(kind, fake))
    )


def segmentation_generator_loss(
    kind: str, fake: jax.Array, mask: jax.Array, region: str = "hole"
) -> jax.Array:
    """Returns the segmentation confusion loss: generated pixels should be taken for valid ones.

    Args:
      kind: one of KINDS.
      fake: (B, H, W, 1) logits of composites.
      mask: (B, H, W, 1) in {0, 1}, 1 = hole.
      region: "hole" counts hole pixels only, and still divides by all; "all" counts every pixel.
    """
    check_choice("region", region, REGIONS)
    cost = _deceive(kind, fake)
    return jnp.mean(mask * cost if region == "hole" else cost)


def soft_mask(mask: jax.Array, size: int = 71, deviation: float = 10.0) -> jax.Array:
    """Returns AOT-GAN's soft label of composites: the mask (B, H, W, 1), blurred."""
    return gaussian_blur(mask, size, deviation)


def smgan_discriminator_loss(
    real: jax.Array, fake: jax.Array, mask: jax.Array, size: int = 71, deviation: float = 10.0
) -> jax.Array:
    """Returns AOT-GAN's soft mask-guided loss of the discriminator.

    Squared error of patch logits, resized to the mask, against 0 for real images and against the
    blurred mask for composites.

    Args:
      real, fake: (B, h, w, 1) patch logits of real images and composites.
      mask: (B, H, W, 1), 1 = hole.
      size, deviation: taps and standard deviation of the blur in pixels.
    """
    real, fake = (resize_bilinear(x, mask.shape[1:3], align_corners=True) for x in (real, fake))
    label = soft_mask(mask, size, deviation)
    return jnp.mean(jnp.square(fake - label)) + jnp.mean(jnp.square(real))


def smgan_generator_loss(
    fake: jax.Array, mask: jax.Array, target: float = 1.0, masked: bool = False
) -> jax.Array:
    """Returns AOT-GAN's soft mask-guided loss of the generator.

    The published code has two defects, which are the defaults here. Its target, 1, is also the
    discriminator's label of holes, so the two cooperate; `target=0` makes them adversaries. And
    its weighting by the mask multiplies an average by a factor of mean 1, hence does nothing;
    `masked=True` averages over hole pixels.

    Args:
      fake: (B, h, w, 1) patch logits of composites.
      mask: (B, H, W, 1), 1 = hole.
      target: what the logits should become.
      masked: whether only hole pixels count.
    """
    fake = resize_bilinear(fake, mask.shape[1:3], align_corners=True)
    squares = jnp.square(fake - target)
    if not masked:
        return jnp.mean(squares)
    return jnp.mean(squares * mask) / jnp.maximum(jnp.mean(mask), 1e-7)
