"""SCAT's contrastive learning losses, textural and semantic, on the discriminator's features.

The anchor is the composite, the positive the real image, the negatives are corrupted images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.errors import UserError
from jaxedit.layers import initializers
from jaxedit.layers.linear import Dense
from jaxedit.methods.scat.generator import corrupt

_EPSILON = 1e-7


class ProjectionHead(nn.Module):
    """The MLP ahead of the semantic loss: linear, ReLU, linear; `linear_0` and `linear_2`.

    Attributes:
      features: size of both layers; 328,192 parameters for 256 on 1024 inputs.
    """

    features: int = 256

    @nn.compact
    def __call__(self, pooled: jax.Array) -> jax.Array:
        """(N, D) float32 -> (N, features)."""
        start = initializers.orthogonal(math.sqrt(2))
        x = nn.relu(Dense(self.features, kernel_init=start, name="linear_0")(pooled))
        return Dense(self.features, kernel_init=start, name="linear_2")(x)


def normalise(z: jax.Array) -> jax.Array:
    """Returns z / (|z| + 1e-7) along the last axis; 0, with gradient 0 of the length, for z = 0."""
    squares = jnp.sum(jnp.square(z), axis=-1, keepdims=True)
    positive = squares > 0
    length = jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1.0)), 0.0)
    return z / (length + _EPSILON)


def textural_terms(
    anchors: Sequence[jax.Array],
    positives: Sequence[jax.Array],
    negatives: Sequence[jax.Array],
    levels: Sequence[int] = (1, 2, 3, 4),
) -> jax.Array:
    """Returns, per level, the mean distances of the anchor to its positive and to its negative.

    Args:
      anchors: e_0, e_1, ... of the composites.
      positives: the same of the real images.
      negatives: the same of the corrupted images.
      levels: which of them count.

    Returns:
      (levels, 2) float32, means over batch, pixels and channels of absolute differences.
    """
    distance = lambda a, b: jnp.mean(jnp.abs(a.astype(jnp.float32) - b.astype(jnp.float32)))
    return jnp.stack(
        [
            jnp.stack([distance(anchors[i], positives[i]), distance(anchors[i], negatives[i])])
            for i in levels
        ]
    )


def textural_loss(terms: jax.Array) -> jax.Array:
    """Returns the sum over levels of positive / (negative + 1e-7), of `textural_terms`."""
    return jnp.sum(terms[:, 0] / (terms[:, 1] + _EPSILON))


def corrupted_by_every_mask(image: jax.Array, mask: jax.Array, group: int = 0) -> jax.Array:
    """Returns every image with the holes of every mask of its group.

    Args:
      image: (B, H, W, 3).
      mask: (B, H, W, 1), 1 = hole.
      group: how many consecutive samples share their masks, a divisor of B; 0, or B and more, for
        all of them.

    Returns:
      (B group, H, W, 3): the first `group` images are image 0 with masks 0, 1, ...

    Raises:
      UserError: `group` does not divide the batch.
    """
    batch = image.shape[0]
    group = min(group, batch) or batch
    if batch % group:
        raise UserError(
            f"The batch of {batch} samples does not divide into groups of {group}: "
            "change semantic_group or the batch size."
        )
    images = jnp.repeat(image, group, axis=0)
    masks = mask.reshape((batch // group, 1, group) + mask.shape[1:])
    masks = jnp.broadcast_to(masks, (batch // group, group) + masks.shape[2:])
    return corrupt(images, masks.reshape((batch * group,) + mask.shape[1:]))


def semantic_logits(anchor: jax.Array, positive: jax.Array, negatives: jax.Array) -> jax.Array:
    """Returns the cosines of every anchor with its positive and with its negatives.

    Args:
      anchor: (B, D), normalised.
      positive: (B, D), normalised.
      negatives: (B N, D), normalised, those of anchor 0 first.

    Returns:
      (B, 1 + N), the positive first.
    """
    negatives = negatives.reshape(anchor.shape[0], -1, anchor.shape[1])
    candidates = jnp.concatenate([positive[:, None], negatives], axis=1)
    return jnp.einsum("bd,bnd->bn", anchor, candidates)


def semantic_loss(logits: jax.Array, temperature: float = 1.0) -> jax.Array:
    """Returns the mean cross-entropy of `logits` (B, 1 + N) over `temperature`, positive first.

    The published code declares a temperature of 0.07 and never divides by it.
    """
    return -jnp.mean(jax.nn.log_softmax(logits / temperature, axis=-1)[:, 0])
