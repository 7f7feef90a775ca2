"""The matting network: an encoder that reads colour and trimap, and the decoder of three alphas.

DPT (Li et al., 2024) trains MatteFormer's network (Park et al., 2022): 44.75 million parameters
with the defaults of `MattingNetwork`. The ResNet-34 encoder is a convolutional one for comparison.

Beside `params`, the network has the collections `batch_stats` (running statistics) and `spectral`
(singular vectors); the caller iterates the latter once per training pass, see `layers.spectral`.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxedit.host.names import check_choice
from jaxedit.methods.matting.decoder import Decoder
from jaxedit.methods.matting.encoder import PriorEncoder
from jaxedit.methods.matting.resnet import ResNetEncoder

BACKBONES = ("swin", "resnet34")
MULTIPLE = 32  # height and width are multiples of this many pixels


class MattingNetwork(nn.Module):
    """Normalised colour and one-hot trimap to alphas at three levels of detail.

    Attributes:
      backbone: "swin" (MatteFormer's encoder) or "resnet34".
      embed_dim, depths, heads, window: of the Swin encoder, see `models.swin.SwinTransformer`.
      drop_path: the encoder's highest rate of stochastic depth.
      decoder_blocks: residual blocks of the decoder's four layers.
      width: channels of everything at full size; 2, 4, 8 and 16 times as many further down.
      guided_attention: for "resnet34", contextual attention at 1/8 size (GCA-Matting).
      axis_name: a mapped axis over which batch statistics are joined, or None.
      remat: whether the blocks' activations are computed again in the backward pass.
      dtype: dtype of the computation; the alphas are float32.
    """

    backbone: str = "swin"
    embed_dim: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    window: int = 7
    drop_path: float = 0.3
    decoder_blocks: tuple[int, ...] = (2, 3, 3, 2)
    width: int = 32
    guided_attention: bool = False
    axis_name: str | None = None
    remat: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, image: jax.Array, trimap: jax.Array, *, train: bool = False
    ) -> dict[str, jax.Array]:
        """Returns `os1`, `os4` and `os8`, alphas (B, H, W, 1) float32 in [0, 1].

        Args:
          image: (B, H, W, 3) colour as `colour.normalise` returns it; H and W multiples of 32.
          trimap: (B, H, W, 3), one-hot in the order background, unknown, foreground.
          train: whether batch statistics are used and updated, and paths dropped (rng
            `drop_path`).

        Raises:
          ValueError: the sizes are no multiples of 32, the inputs do not match, or `backbone` is
            unknown.
        """
        if image.shape != trimap.shape or image.shape[-1] != 3:
            raise ValueError(f"Image and trimap must be (B, H, W, 3), not {image.shape} and "
                             f"{trimap.shape}")
        if image.shape[1] % MULTIPLE or image.shape[2] % MULTIPLE:
            raise ValueError(f"Height and width must be multiples of {MULTIPLE}, not "
                             f"{image.shape[1]} and {image.shape[2]}")
        features = self._encoder()(image, trimap, train=train)
        decoder = Decoder(
            self.width,
            self.decoder_blocks,
            axis_name=self.axis_name,
            remat=self.remat,
            dtype=self.dtype,
            name="decoder",
        )
        return decoder(features, train=train)

    def _encoder(self) -> nn.Module:
        check_choice("backbone", self.backbone, BACKBONES)
        if self.backbone == "swin":
            return PriorEncoder(
                self.embed_dim,
                self.depths,
                self.heads,
                self.window,
                self.drop_path,
                self.width,
                axis_name=self.axis_name,
                remat=self.remat,
                dtype=self.dtype,
                name="encoder",
            )
        return ResNetEncoder(
            self.width,
            guided_attention=self.guided_attention,
            axis_name=self.axis_name,
            remat=self.remat,
            dtype=self.dtype,
            name="encoder",
        )
