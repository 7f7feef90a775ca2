"""MatteFormer's encoder: a Swin transformer of prior-attentive blocks, and its six shortcuts."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.layers.resampling import upsample_bilinear
from jaxedit.methods.matting.prior_attention import PriorBlock
from jaxedit.methods.matting.shortcut import Shortcut
from jaxedit.models import swin

# Channels of the shortcuts at 1/1, 1/2, 1/4, 1/8, 1/16 and 1/32, in multiples of the width.
SHORTCUT_WIDTHS = (1, 1, 2, 4, 8, 16)
_PATCH = 4


class PriorEncoder(nn.Module):
    """Swin-T with prior tokens by default.

    Attributes:
      embed_dim, depths, heads, window, drop_path: as in `models.swin.SwinTransformer`.
      width: channels of the first two shortcuts; the others are multiples (`SHORTCUT_WIDTHS`).
      axis_name: as in `layers.normalization.BatchNorm`.
      remat: whether the blocks' activations are computed again in the backward pass.
      dtype: dtype of the computation and of the result.
    """

    embed_dim: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    window: int = 7
    drop_path: float = 0.3
    width: int = 32
    axis_name: str | None = None
    remat: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array, trimap: jax.Array, *, train: bool) -> list[jax.Array]:
        """Returns the features at 1/1, 1/2, ... 1/32 size, after the shortcuts' convolutions.

        Args:
          image: (B, H, W, 3) normalised colour.
          trimap: (B, H, W, 3), one-hot in the order background, unknown, foreground.
          train: whether batch statistics are used and updated, and paths dropped.
        """
        image = jnp.concatenate([image, trimap], -1).astype(self.dtype)
        features = [self._shortcut(0, image, train)]
        x = swin.PatchEmbedding(self.embed_dim, _PATCH, self.dtype, name="patch_embed")(image)
        features.append(self._shortcut(1, upsample_bilinear(x, align_corners=True), train))
        trimap = trimap[:, ::_PATCH, ::_PATCH]
        rates = swin.drop_path_rates(self.drop_path, self.depths)
        for stage, stage_rates in enumerate(rates):
            if stage:
                x = swin.PatchMerging(self.dtype, name=f"downsample_{stage - 1}")(x)
                trimap = trimap[:, ::2, ::2]
            x = self._stage(stage, x, trimap, stage_rates, train)
            normalised = swin.layer_norm(self.dtype, f"norm{stage}")(x)
            features.append(self._shortcut(stage + 2, normalised, train))
        return features

    def _stage(
        self,
        stage: int,
        x: jax.Array,
        trimap: jax.Array,
        rates: tuple[float, ...],
        train: bool,
    ) -> jax.Array:
        block = nn.remat(PriorBlock, static_argnums=(4,)) if self.remat else PriorBlock
        memory = jnp.zeros((x.shape[0], 0, x.shape[-1]), x.dtype)
        for index, rate in enumerate(rates):
            shift = self.window // 2 if index % 2 else 0
            name = f"layers_{stage}_{index}"
            x, memory = block(
                self.heads[stage], self.window, shift, rate, self.dtype, name=name
            )(x, trimap, memory, train)
        return x

    def _shortcut(self, index: int, x: jax.Array, train: bool) -> jax.Array:
        features = SHORTCUT_WIDTHS[index] * self.width
        return Shortcut(features, self.axis_name, self.dtype, name=f"shortcut_{index}")(
            x, train=train
        )
