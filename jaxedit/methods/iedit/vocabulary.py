"""The tokenizer of towers of one's own: a small shipped vocabulary, or that of a published folder.

The shipped byte pairs make one token of each word of `words.json` and of the captions of scenes;
any other text is read byte by byte.
"""

from __future__ import annotations

import functools
from importlib import resources

from jaxedit.host import json_text
from jaxedit.models.clip import tokenizer
from jaxedit.models.clip.tokenizer import Tokenizer


@functools.lru_cache(maxsize=8)
def create(folder: str, length: int) -> Tokenizer:
    """Returns the tokenizer.

    Args:
      folder: with vocab.json and merges.txt; "" is the shipped vocabulary.
      length: tokens of a text, with its start and its end.

    Raises:
      UserError: the folder is no CLIP tokenizer's.
    """
    if folder:
        return tokenizer.load(folder, length)
    text = (resources.files("jaxedit.methods.iedit") / "vocabulary.json").read_bytes()
    pairs = [tuple(pair.split(" ")) for pair in json_text.loads(text)["merges"]]
    return tokenizer.of_merges(pairs, length)
