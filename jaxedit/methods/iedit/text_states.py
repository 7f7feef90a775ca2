"""Which network turns texts into the states that the UNet attends to: `config.text.encoder`."""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
import ml_collections
import numpy as np

from jaxedit.errors import UserError
from jaxedit.models.diffusion.text import TextTransformer, to_bytes

ENCODERS = ("bytes",)


class ByteEncoder:
    """A transformer on UTF-8 bytes that is trained together with the UNet. Picklable.

    Attributes:
      length: symbols of a text.
      width: of its states.
    """

    def __init__(self, config: ml_collections.ConfigDict):
        text = config.text
        self.length, self.width = text.length, text.width
        self._layers, self._heads = text.layers, text.heads
        if text.width % text.heads:
            raise UserError(f"text.width={text.width}: text.heads={text.heads} does not divide it.")

    def network(self, dtype: jnp.dtype) -> nn.Module:
        """Returns the module, symbols int32 (B, length) -> states (B, length, width)."""
        return TextTransformer(self.length, self.width, self._layers, self._heads, dtype)

    def symbols(self, texts: Sequence[str]) -> np.ndarray:
        """Returns int32 (texts, length); what is longer is cut, as captions in training are."""
        return to_bytes(texts, self.length)[0]

    def checked(self, texts: Sequence[str]) -> np.ndarray:
        """Returns what `symbols` does.

        Raises:
          UserError: a text is too long; the message says what would be cut.
        """
        found, cut = to_bytes(texts, self.length)
        for text, rest in zip(texts, cut, strict=True):
            if rest:
                raise UserError(
                    f"The text {text!r} has more than the {self.length} bytes that this network "
                    f"reads: {rest!r} would be cut off. Shorten it."
                )
        return found


def create(config: ml_collections.ConfigDict) -> ByteEncoder:
    """Returns the encoder that `config.text.encoder` names."""
    return {"bytes": ByteEncoder}[config.text.encoder](config)
