"""Where in a picture is what a phrase names: CLIPSeg's map, made a mask.

The rule is our choice: p >= max(0.1, half of the picture's largest p).
"""

from __future__ import annotations

import pathlib

import numpy as np

from jaxedit.errors import UserError
from jaxedit.models.clip import folder as folders
from jaxedit.models.clip import tokenizer as tokenizers
from jaxedit.models.clip.configs import CLIPSegConfig
from jaxedit.weights import published_folder

LEAST = 0.1  # probability
SHARE = 0.5  # of the largest probability in the picture
_SIDE = 352  # pixels of CLIPSeg's input, where its folder does not say
_PREPROCESSING = "preprocessor_config.json"


def read(
    folder: str | pathlib.Path,
) -> tuple[folders.Loaded, tokenizers.Tokenizer, int]:
    """Returns the network of a CLIPSeg folder, its tokenizer, and the side of its input in pixels.

    Raises:
      UserError: the folder is incomplete, or holds another network.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise UserError(f"The segmenter {folder} is no folder. Give that of a CLIPSeg, such as "
                        "clipseg-rd64-refined, with config.json, weights and tokenizer.")
    loaded = folders.load(folder)
    if not isinstance(loaded.config, CLIPSegConfig):
        raise UserError(f"{folder} holds a CLIP, which does not segment. Give a CLIPSeg's.")
    text, patch = loaded.config.clip.text, loaded.config.clip.vision.patch_size
    tokenizer = tokenizers.load(folder, text.max_position_embeddings)
    if tokenizer.size != text.vocab_size:
        raise UserError(f"{folder}: the tokenizer has {tokenizer.size} tokens, the text "
                        f"tower {text.vocab_size}: they do not belong together.")
    side = _side_of(folder)
    if side % patch:
        raise UserError(f"{folder / _PREPROCESSING}: pictures of {side} pixels do not "
                        f"divide into patches of {patch}.")
    return loaded, tokenizer, side


def binary(probabilities: np.ndarray, least: float = LEAST, share: float = SHARE) -> np.ndarray:
    """Returns masks, bool (..., H, W), each empty where nothing is likely enough."""
    largest = probabilities.max((-2, -1), keepdims=True)
    return probabilities >= np.maximum(least, share * largest)


def _side_of(folder: pathlib.Path) -> int:
    path = folder / _PREPROCESSING
    if not path.is_file():
        return _SIDE
    size = published_folder.read_json(path, "").get("size", _SIDE)
    size = size.get("height", _SIDE) if isinstance(size, dict) else size
    if not isinstance(size, int) or size < 1:
        raise UserError(f"{path}: 'size' is {size!r}; expected pixels.")
    return size
