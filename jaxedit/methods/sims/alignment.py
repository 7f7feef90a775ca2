"""The alignment network T: an affine map that fits a retrieved segment to its place.

Qi et al., CVPR 2018, section 3.2; layers of the published code. It reads the segment's colours, the
mask of its place and the whole layout, and gives six numbers for `affine.warp`.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.layers.linear import Dense
from jaxedit.layers.resampling import resize_bilinear
from jaxedit.methods.sims import affine, layout
from jaxedit.methods.sims.trunk import Trunk


def network_input(
    colour: jax.Array, target: jax.Array, label: jax.Array, classes: int
) -> jax.Array:
    """Returns what T reads, (B, H, W, classes + 5).

    Args:
      colour: (B, H, W, 3) in [0, 1], of the segment, black outside.
      target: (B, H, W, 1), 1 inside the place to fill.
      label: int (B, H, W), the layout.
      classes: how many there are.
    """
    return jnp.concatenate([colour, target, layout.one_hot(label, classes)], axis=-1)


class AlignmentNetwork(nn.Module):
    """The network T. A fresh one gives the identity.

    Attributes:
      width: channels of the first block; 64 as published.
      shrink: the input is read at 1 / shrink of its size (published: 2 at 512 x 1024, 4 at 1024 x
        2048, so that the network always sees 256 x 512). The map is in pixels of the full size.
      remat, dtype: as in `Trunk`.
    """

    width: int = 64
    shrink: int = 1
    remat: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, classes + 5), see `network_input`, to theta (B, 6) float32."""
        if self.shrink > 1:
            size = tuple(-(-side // self.shrink) for side in x.shape[1:3])
            x = resize_bilinear(x, size, align_corners=True)
        x = Trunk(self.width, self.remat, self.dtype, name="trunk")(x)
        pooled = jnp.mean(x.astype(jnp.float32), (1, 2))
        theta = Dense(6, kernel_init=nn.initializers.zeros, name="theta")(pooled)
        return theta + jnp.asarray(affine.IDENTITY, jnp.float32)


def loss(
    image: jax.Array, warped: jax.Array, targets: jax.Array
) -> jax.Array:
    """Returns how far the warped segments are from the photograph they were taken of, (B,).

    The segments, each cut by its own place, are added up; the sum over pixels and channels of the
    absolute difference to the photograph, within all places, over their area plus 1.

    Args:
      image: (B, H, W, 3), 0..255.
      warped: (B, S, H, W, 3), 0..255.
      targets: (B, S, H, W, 1) masks; all 0 for a segment that is not there.
    """
    joined = jnp.sum(warped * targets, 1)
    union = jnp.max(targets, 1)
    error = jnp.sum(jnp.abs(joined - image) * union, (1, 2, 3))
    return error / (jnp.sum(union, (1, 2, 3)) + 1)
