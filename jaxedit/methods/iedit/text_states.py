"""Which network turns texts into the states that the UNet attends to: `config.text.encoder`."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from jaxedit.errors import UserError
from jaxedit.models.clip import tokenizer as tokenizers
from jaxedit.models.clip.configs import CLIPConfig, TextConfig
from jaxedit.models.clip.tokenizer import Tokenizer
from jaxedit.models.clip.towers import CLIP
from jaxedit.models.diffusion.text import TextTransformer, to_bytes

ENCODERS = ("bytes", "clip")
FOLDER = "tokenizer"  # of an artefact, where it keeps the one that its texts were read with


class ByteEncoder:
    """A transformer on UTF-8 bytes that is trained together with the UNet. Picklable.

    Attributes:
      length: symbols of a text.
      width: of its states.
      trained: whether it learns with a diffusion model that is trained from nothing.
    """

    trained = True

    def __init__(self, config: ml_collections.ConfigDict):
        text = config.text
        self.length, self.width = text.length, text.width
        self._layers, self._heads = text.layers, text.heads
        _check_heads(text)

    def network(self, dtype: jnp.dtype = jnp.float32) -> nn.Module:
        """Returns the module, symbols int32 (B, length) -> states (B, length, width)."""
        return TextTransformer(self.length, self.width, self._layers, self._heads, dtype)

    def states(
        self, variables: Mapping[str, Any], symbols: jax.Array, dtype: jnp.dtype = jnp.float32
    ) -> jax.Array:
        """int32 (B, length) -> (B, length, width)."""
        return self.network(dtype).apply(variables, symbols)

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

    def unknown(self, text: str) -> list[str]:
        """Returns no word: bytes spell any."""
        del text
        return []


class ClipEncoder:
    """CLIP's text tower, frozen: what Stable Diffusion 1.x attends to. Picklable.

    The states are those behind the final norm, of all tokens, filling included.

    Attributes:
      length, width, trained: as of `ByteEncoder`.
      config: of the tower.
    """

    trained = False

    def __init__(self, config: CLIPConfig, tokenizer: Tokenizer | str | pathlib.Path):
        """`tokenizer` is one, or where one is: a folder, or the name of weights that have one."""
        self.config = config
        self.length, self.width = config.text.max_position_embeddings, config.text.hidden_size
        self._tokenizer = tokenizer

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer.

        Raises:
          UserError: there is none, or it is another tower's.
        """
        found = self._tokenizer
        if not isinstance(found, Tokenizer):
            found = load_tokenizer(found, self.length)
        if found.size != self.config.text.vocab_size:
            raise UserError(
                f"The tokenizer {self._tokenizer} has {found.size} tokens, the text tower "
                f"{self.config.text.vocab_size} (text.vocabulary): they do not belong together."
            )
        return found

    def network(self, dtype: jnp.dtype = jnp.float32) -> nn.Module:
        """Returns the tower, see `states`."""
        return CLIP(self.config, dtype)

    def states(
        self, variables: Mapping[str, Any], symbols: jax.Array, dtype: jnp.dtype = jnp.float32
    ) -> jax.Array:
        """int32 (B, length) -> (B, length, width)."""
        return self.network(dtype).apply(variables, symbols, method="read_tokens").last

    def symbols(self, texts: Sequence[str]) -> np.ndarray:
        """Returns int32 (texts, length); of what is too long the end is left out."""
        return self.tokenizer.tokens(texts)

    def checked(self, texts: Sequence[str]) -> np.ndarray:
        """Returns what `symbols` does; raises UserError, which says what would be cut off."""
        return self.tokenizer.checked(texts)

    def unknown(self, text: str) -> list[str]:
        """Returns the words that the vocabulary can only spell."""
        return self.tokenizer.spelled(text)


def create(
    config: ml_collections.ConfigDict, artifacts: Mapping[str, Any] | None = None
) -> ByteEncoder | ClipEncoder:
    """Returns the encoder that `config.text.encoder` names.

    Args:
      config: of the stage.
      artifacts: of earlier stages; one that has kept a tokenizer goes before `text.tokenizer`, so
        that a run needs nothing beside itself.
    """
    if config.text.encoder == "bytes":
        return ByteEncoder(config)
    text = config.text
    _check_heads(text)
    tower = TextConfig(
        hidden_size=text.width, intermediate_size=4 * text.width, num_hidden_layers=text.layers,
        num_attention_heads=text.heads, vocab_size=text.vocabulary,
        max_position_embeddings=text.length,
    )
    kept = [one.folder / FOLDER for one in (artifacts or {}).values()
            if (one.folder / FOLDER).is_dir()]
    where = kept[-1] if kept else text.tokenizer
    return ClipEncoder(CLIPConfig(text=tower, vision=None, projection_dim=None), where)


def load_tokenizer(where: str | pathlib.Path, length: int) -> Tokenizer:
    """Returns the tokenizer in a folder, or that of weights.

    Raises:
      UserError: it is neither, or the folder is incomplete; of weights that are not here, the
        message says how to get them.
    """
    if not str(where):
        raise UserError("text.tokenizer is empty: name a folder with vocab.json and merges.txt, or "
                        "weights that come with them, such as stable-diffusion-v1-4.")
    if pathlib.Path(where).is_dir():
        return tokenizers.load(where, length)
    return tokenizers.of_weights(str(where), length)


def _check_heads(text: ml_collections.ConfigDict) -> None:
    if text.width % text.heads:
        raise UserError(f"text.width={text.width}: text.heads={text.heads} does not divide it.")
