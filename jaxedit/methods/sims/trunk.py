"""What the three networks of SIMS are made of (Qi et al., CVPR 2018; the published layers).

Every 3 x 3 convolution is without bias, followed by a normalisation over the whole sample and a
leaky ReLU of slope 0.2. Alignment and ordering network share `Trunk`.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.layers.convolution import Conv
from jaxedit.layers.normalization import SampleNorm
from jaxedit.layers.resampling import average_pool_same, max_pool_same

XAVIER = nn.initializers.xavier_uniform()
TRUNK_DEPTHS = (2, 2, 3, 3, 3)
SLOPE = 0.2  # of the leaky ReLU


class Block(nn.Module):
    """Convolutions in a row, each normalised and rectified.

    Attributes:
      features: output channels of each.
      count: how many.
      kernel_size: side of the kernels.
      dtype: dtype of the computation and of the result.
    """

    features: int
    count: int = 2
    kernel_size: int = 3
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, H, W, features)."""
        for i in range(self.count):
            x = Conv(
                self.features,
                kernel_size=self.kernel_size,
                padding=self.kernel_size // 2,
                use_bias=False,
                kernel_init=XAVIER,
                dtype=self.dtype,
                name=f"conv_{i}",
            )(x)
            x = nn.leaky_relu(SampleNorm(dtype=self.dtype, name=f"norm_{i}")(x), SLOPE)
        return x


class Trunk(nn.Module):
    """Five blocks with a pool after each, the first of averages, the others of maxima.

    Attributes:
      width: channels of the first block; 64 as published.
      remat: recompute the blocks in the backward pass, to save memory.
      dtype: dtype of the computation and of the result.
    """

    width: int = 64
    remat: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) -> (B, H / 32, W / 32, 8 width), rounded up."""
        block = nn.remat(Block) if self.remat else Block
        for i, count in enumerate(TRUNK_DEPTHS):
            features = self.width * min(2**i, 8)
            x = block(features, count, dtype=self.dtype, name=f"encoder_{i + 1}")(x)
            x = max_pool_same(x) if i else average_pool_same(x)
        return x
