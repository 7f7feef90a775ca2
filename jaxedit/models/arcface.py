"""ArcFace (Deng et al., CVPR 2019): an embedding of faces, the same for pictures of one person.

Pictures are aligned as FFHQ's are, in [-1, 1], RGB. The crop that the embedding sees is the one
that encoders for generators of faces are trained with (Richardson et al., CVPR 2021).
"""

from __future__ import annotations

import flax.linen as nn
import jax

from jaxedit.layers import initializers
from jaxedit.layers.linear import Dense
from jaxedit.layers.normalization import BatchNorm, unit_length
from jaxedit.layers.resampling import adaptive_average_pool
from jaxedit.models import irse
from jaxedit.weights import torch_names
from jaxedit.weights.table import Entry

_ALIGNED = 256  # pixels of the picture that the crop counts in
_ROWS, _COLUMNS = slice(35, 223), slice(32, 220)
SIDE = 112  # pixels of the crop as the network sees it


class ArcFace(nn.Module):
    """The trunk, BN, a dense layer over the whole map, BN; embeddings of unit length.

    Attributes:
      blocks: see `irse.DEPTHS`.
      squeeze: IR-SE, or IR without.
      width: channels of the first group; 64 as published.
      features: length of the embedding.
    """

    blocks: tuple[int, ...] = irse.DEPTHS[50]
    squeeze: bool = True
    width: int = 64
    features: int = 512

    @nn.compact
    def __call__(self, face: jax.Array) -> jax.Array:
        """(B, 112, 112, 3) in [-1, 1] -> (B, features). Always in evaluation mode."""
        x = irse.Trunk(self.blocks, self.width, self.squeeze, name="trunk")(face, train=False)[-1]
        x = BatchNorm(name="output_layer_0")(x, train=False)
        x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)  # the published order of the dense layer
        x = Dense(
            self.features, kernel_init=initializers.torch_kernel,
            bias_init=initializers.torch_bias(x.shape[-1]), name="output_layer_3",
        )(x)
        return unit_length(BatchNorm(name="output_layer_4")(x, train=False))


def crop_face(image: jax.Array) -> jax.Array:
    """Returns the crop (B, 112, 112, 3) of aligned pictures (B, H, W, 3), which are square.

    Pictures of another size are brought to 256 pixels first, by averages over cells.
    """
    if image.shape[1:3] != (_ALIGNED, _ALIGNED):
        image = adaptive_average_pool(image, (_ALIGNED, _ALIGNED))
    return adaptive_average_pool(image[:, _ROWS, _COLUMNS], (SIDE, SIDE))


def conversion_table(
    blocks: tuple[int, ...] = irse.DEPTHS[50], squeeze: bool = True
) -> dict[str, Entry]:
    """Returns the published names -> our places in the variables of `ArcFace`."""
    return {
        **irse.trunk_table(blocks, squeeze, ("trunk",)),
        **torch_names.batch_norm("output_layer.0", ("output_layer_0",)),
        **torch_names.linear("output_layer.3", ("output_layer_3",)),
        **torch_names.batch_norm("output_layer.4", ("output_layer_4",)),
    }
