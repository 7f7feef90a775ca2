"""A judge: a small network of this project's own that reads numbers off a picture.

What it was taught to read, renders tell exactly; it judges edits, whether what was wanted has
changed and the rest has not.
"""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax

from jaxedit.errors import UserError
from jaxedit.layers.convolution import Conv
from jaxedit.layers.group_norm import GroupNorm
from jaxedit.layers.resampling import adaptive_average_pool, average_pool

_GROUP = 8  # channels that are normalised together
_SIDE = 4  # of the map that the dense layers see


def check_channels(channels: Sequence[int]) -> None:
    """Raises UserError for widths that a `Judge` cannot have."""
    if any(width % _GROUP for width in channels):
        raise UserError(
            f"judge.channels={tuple(channels)}: each must be a multiple of {_GROUP}."
        )


class Judge(nn.Module):
    """Pictures to numbers.

    Attributes:
      outputs: how many numbers.
      channels: of each level, multiples of 8; every level has half the side of the one before.
      hidden: width of the dense layer before the last.
      middle: what it says of everything before it has learned.
    """

    outputs: int
    channels: tuple[int, ...] = (16, 32, 64, 64)
    hidden: int = 64
    middle: float = 0.0

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """(B, H, W, 3) in [-1, 1] -> (B, outputs), not bounded."""
        x = image
        for level, width in enumerate(self.channels):
            x = average_pool(x) if level else x
            for _ in range(2):
                x = Conv(width, padding=1, use_bias=False,
                         kernel_init=nn.initializers.he_normal())(x)
                x = GroupNorm(width // _GROUP, silu=True)(x)
        # Where something is matters: of light and pose the mean over the map knows little.
        x = adaptive_average_pool(x, (_SIDE, _SIDE)).reshape(len(x), -1)
        x = nn.silu(nn.Dense(self.hidden)(x))
        return nn.Dense(self.outputs, bias_init=nn.initializers.constant(self.middle))(x)
