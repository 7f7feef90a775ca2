"""A text encoder that is trained with the diffusion model, from nothing, and needs no vocabulary.

Latent diffusion's own text-to-image model has a transformer for its captions that learns together
with the UNet (Rombach et al., 2022, section 4.3.1). This one reads UTF-8 bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxedit.models.diffusion.transformer import Attention, FeedForward

_FILLING = 256  # behind the end of a text
_SYMBOLS = 257


def to_bytes(texts: Sequence[str], length: int) -> tuple[np.ndarray, list[str]]:
    """Returns the bytes of texts, int32 (texts, length), and of each text what was cut off."""
    found = np.full((len(texts), length), _FILLING, np.int32)
    cut = []
    for row, text in zip(found, texts, strict=True):
        data = text.encode("utf-8")
        kept = data[:length].decode("utf-8", "ignore").encode("utf-8")  # whole characters
        row[: len(kept)] = np.frombuffer(kept, np.uint8)
        cut.append(data[len(kept):].decode("utf-8"))
    return found, cut


class TextTransformer(nn.Module):
    """Bytes to states: pre-norm transformer blocks, each attending to the whole text.

    Attributes:
      length: bytes of a text.
      width: of the states.
      layers, heads: of the transformer.
      dtype: dtype of the computation and of the result.
    """

    length: int = 96
    width: int = 64
    layers: int = 2
    heads: int = 4
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, symbols: jax.Array) -> jax.Array:
        """int32 (B, length) -> (B, length, width)."""
        normal = nn.initializers.normal(0.02)
        table = self.param("symbols", normal, (_SYMBOLS, self.width), jnp.float32)
        places = self.param("places", normal, (self.length, self.width), jnp.float32)
        norm = lambda name: nn.LayerNorm(
            epsilon=1e-5, use_fast_variance=False, dtype=self.dtype, name=name
        )
        x = (table[symbols] + places).astype(self.dtype)
        for index in range(self.layers):
            attention = Attention(self.heads, self.width // self.heads, self.dtype,
                                  name=f"attention_{index}")
            x = x + attention(norm(f"norm1_{index}")(x))
            x = x + FeedForward(self.dtype, name=f"feed_forward_{index}")(
                norm(f"norm2_{index}")(x)
            )
        return norm("final_norm")(x)
