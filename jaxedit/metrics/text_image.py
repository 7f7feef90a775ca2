"""Do pictures show what texts say: CLIP score (Hessel et al., 2021), and its directional form.

    clip_score        100 cos(picture, text)
    clip_s            2.5 max(cos(picture, text), 0), as Hessel et al. report it
    clip_direction    cos(edited - source, edit prompt - caption), of embeddings of length 1
                      (Gal et al., 2022): does the picture move as the text does

on CLIP ViT-L/14, and with `_b32` behind the name on ViT-B/32. Figures of the two do not compare.
The texts are the batch's `prompt_text` and `caption_text`, pictures are rounded to 8 bits first, as
if they had been saved. The weights must be here: nothing stands in for them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jaxedit.host import levels
from jaxedit.metrics import base
from jaxedit.metrics.features import in_chunks
from jaxedit.models.clip import preprocessing
from jaxedit.models.clip import tokenizer as tokenizers
from jaxedit.models.clip.towers import CLIP, unit
from jaxedit.weights import convert

PROMPT, CAPTION = "prompt_text", "caption_text"  # keys of the batch
_TOWERS = {"": ("clip-vit-large-patch14", "ViT-L/14"), "_b32": ("clip-vit-base-patch32",
                                                              "ViT-B/32")}
_KINDS = {
    "clip_score": "CLIP score, 100 x cosine with the prompt",
    "clip_s": "CLIP-S, 2.5 x cosine with the prompt where that is above 0",
    "clip_direction": "directional CLIP similarity to the change of the caption",
}


class Embedder:
    """A CLIP as embeddings of length 1; those of the last pictures and texts are kept.

    Args:
      name: of its weights.
      weights_dir: the folder of converted weights, by default the usual one.

    Raises:
      PretrainedWeightsMissing: the weights are not there; the message says how to get them.
    """

    def __init__(self, name: str, weights_dir: str | Path | None = None):
        variables = convert.load(name, weights_dir)["clip"]
        config = convert.load_options(name, weights_dir)["clip"]["config"]
        network = CLIP(config)
        self._side = config.vision.image_size
        self._tokenizer = tokenizers.of_weights(
            name, config.text.max_position_embeddings, weights_dir
        )
        run = lambda method: in_chunks(
            lambda given, x: unit(network.apply(given, x, method=method)), variables
        )
        self._pictures, self._texts = run("embed_pixels"), run("embed_tokens")
        self._kept: list[tuple[object, np.ndarray]] = []

    def pictures(self, images: np.ndarray) -> np.ndarray:
        """(B, H, W, 3) in [-1, 1] -> (B, D)."""
        return self._once(images, lambda: self._pictures(np.stack([
            preprocessing.prepare(image, self._side) for image in levels.of_picture(images)
        ])))

    def texts(self, texts: np.ndarray) -> np.ndarray:
        """Texts (B,) -> (B, D); of what is too long the end is left out."""
        return self._once(texts, lambda: self._texts(self._tokenizer.tokens(list(map(str, texts)))))

    def _once(self, given: object, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Metrics on one batch ask for the same: what was made last is found again by identity."""
        for known, made in self._kept:
            if known is given:
                return made
        made = make()
        self._kept = [*self._kept[-7:], (given, made)]
        return made


@functools.cache
def _embedder(name: str, weights_dir: str | Path | None) -> Embedder:
    return Embedder(name, weights_dir)


class TextImage(base.MeanMetric):
    """One of the figures above."""

    def __init__(self, name: str, keys: base.Keys, weights_dir: str | Path | None = None):
        suffix = next(end for end in reversed(_TOWERS) if name.endswith(end))
        self._kind, self._keys = name.removesuffix(suffix), keys
        weights, called = _TOWERS[suffix]
        super().__init__(name, f"{_KINDS[self._kind]}, {called}", higher_is_better=True,
                         undefined="picture and text do not move")
        self._embed = _embedder(weights, weights_dir)

    def values(self, outputs: base.Outputs, batch: base.Batch) -> tuple[np.ndarray, np.ndarray]:
        """Returns (values, defined), both (B,)."""
        edited = self._embed.pictures(outputs[self._keys.prediction])
        prompt = self._embed.texts(batch[PROMPT])
        if self._kind == "clip_direction":
            source = self._embed.pictures(batch[self._keys.target])
            caption = self._embed.texts(batch[CAPTION])
            return direction(edited - source, prompt - caption)
        cosine = np.sum(edited.astype(np.float64) * prompt, -1)
        value = 100 * cosine if self._kind == "clip_score" else 2.5 * np.maximum(cosine, 0)
        return value, np.ones(len(value), bool)


def direction(pictures: np.ndarray, texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the cosines of two changes (B, D), and where both are some, (B,) each."""
    pictures, texts = pictures.astype(np.float64), texts.astype(np.float64)
    lengths = np.linalg.norm(pictures, axis=-1) * np.linalg.norm(texts, axis=-1)
    defined = lengths > 1e-12
    return np.sum(pictures * texts, -1) / np.where(defined, lengths, 1), defined


NAMES = tuple(f"{kind}{suffix}" for suffix in _TOWERS for kind in _KINDS)
