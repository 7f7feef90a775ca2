"""Towers and segmenter as a host uses them: lists of pictures and texts in, NumPy arrays out.

They come from a published folder (CLIP, CLIPSeg), or from a run that trained its own.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import jax
import ml_collections
import numpy as np

from jaxedit.errors import UserError
from jaxedit.methods.iedit import region, segmenter_method, towers_method
from jaxedit.models.clip import folder, preprocessing, tokenizer
from jaxedit.models.clip.configs import CLIPConfig, CLIPSegConfig
from jaxedit.models.clip.tokenizer import Tokenizer
from jaxedit.models.clip.towers import CLIP, unit
from jaxedit.models.clipseg import CLIPSeg
from jaxedit.state import State

TOWERS, SEGMENTER = segmenter_method.TOWERS, segmenter_method.NETWORK
_BATCH = 16


class TowerEncoder:
    """CLIP's embeddings, of length 1.

    Args:
      config: of the towers.
      variables: {"params": ...}.
      text: the tokenizer.
    """

    def __init__(self, config: CLIPConfig, variables: Mapping[str, Any], text: Tokenizer):
        self.config, self.text = config, text
        network = CLIP(config)
        apply = lambda method: jax.jit(
            lambda variables, x: unit(network.apply(variables, x, method=method))
        )
        self._pictures = functools.partial(apply("embed_pixels"), variables)
        self._texts = functools.partial(apply("embed_tokens"), variables)

    @property
    def width(self) -> int:
        """Returns the width of the embeddings."""
        return self.config.projection_dim

    def pictures(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Pictures uint8 (H, W, 3) of any sizes -> float32 (N, width)."""
        side = self.config.vision.image_size
        pixels = [preprocessing.prepare(image, side) for image in images]
        return _in_batches(self._pictures, pixels, self.width)

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Texts -> float32 (N, width); of what is too long the end is not read."""
        return _in_batches(self._texts, list(self.text.tokens(texts)), self.width)


class RegionFinder:
    """CLIPSeg's maps.

    Args:
      config: of the segmenter.
      variables: {"params": ...}.
      text: the tokenizer.
      side: of its input in pixels.
      batch: how many pictures it looks at at once.
    """

    def __init__(
        self, config: CLIPSegConfig, variables: Mapping[str, Any], text: Tokenizer, side: int,
        batch: int = _BATCH,
    ):
        self.config, self.text, self.side, self._batch = config, text, side, batch
        network = CLIPSeg(config)
        run = jax.jit(lambda variables, x, tokens: network.apply(variables, x, tokens))
        self._logits = functools.partial(run, variables)

    def probabilities(
        self, images: Sequence[np.ndarray], phrases: Sequence[str]
    ) -> list[np.ndarray]:
        """Pictures uint8 (H, W, 3) and a phrase for each -> maps float32 (H, W) in [0, 1]."""
        tokens = self.text.tokens(phrases)
        found = []
        for start in range(0, len(images), self._batch):
            span = slice(start, start + self._batch)
            part = images[span]
            pixels = np.stack([preprocessing.prepare_for_segmentation(image, self.side)
                               for image in part])
            rows = np.arange(self._batch) % len(part)  # one shape, so that it compiles once
            logits = np.asarray(self._logits(pixels[rows], tokens[span][rows]))
            found += [
                _resized(one, image.shape[:2]) for one, image in zip(logits, part, strict=False)
            ]
        return found

    def masks(self, images: Sequence[np.ndarray], phrases: Sequence[str]) -> list[np.ndarray]:
        """Returns bool (H, W) for each, by the rule of `region.binary`."""
        return [region.binary(one) for one in self.probabilities(images, phrases)]


def _resized(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    probability = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return cv2.resize(
        probability.astype(np.float32), size[::-1], interpolation=cv2.INTER_LINEAR
    )


def _in_batches(
    run: Callable[[np.ndarray], jax.Array], rows: Sequence[np.ndarray], width: int
) -> np.ndarray:
    found = [np.zeros((0, width), np.float32)]
    for start in range(0, len(rows), _BATCH):
        part = np.stack(rows[start : start + _BATCH])
        found.append(np.asarray(run(part[np.arange(_BATCH) % len(part)]))[: len(part)])
    return np.concatenate(found)


def towers_of_folder(path: str | pathlib.Path) -> TowerEncoder:
    """Returns the towers of a published CLIP folder with its tokenizer.

    Raises:
      UserError: the folder is incomplete, or has one tower alone.
    """
    loaded = folder.load(path)
    config = loaded.config
    if not isinstance(config, CLIPConfig) or config.text is None or config.vision is None:
        raise UserError(f"{path} is not the folder of a CLIP with both towers, such as "
                        "openai/clip-vit-large-patch14.")
    text = tokenizer.load(path, config.text.max_position_embeddings)
    return TowerEncoder(config, loaded.variables, text)


def segmenter_of_folder(path: str | pathlib.Path, batch: int = _BATCH) -> RegionFinder:
    """Returns the segmenter of a published CLIPSeg folder with its tokenizer.

    Args:
      path: the folder.
      batch: how many pictures it is to look at at once.

    Raises:
      UserError: the folder is incomplete, or is not a CLIPSeg's.
    """
    loaded, text, side = region.read(path)
    return RegionFinder(loaded.config, loaded.variables, text, side, batch)


def towers(config: ml_collections.ConfigDict, start: State) -> TowerEncoder:
    """Returns the towers of `pairs.towers`, a folder, or those that a stage starts from.

    Raises:
      UserError: there are neither.
    """
    if config.pairs.towers:
        return towers_of_folder(config.pairs.towers)
    if TOWERS not in start.frozen:
        raise UserError(
            "Pairs are found by towers, and there are none. Give the stage the pair "
            f"(STAGE:ema/{towers_method.NETWORK}, frozen/{TOWERS}) of a stage that trains them, or "
            "name the folder of a CLIP in pairs.towers."
        )
    variables = {"params": start.frozen[TOWERS]}
    text = towers_method.tokenizer(config)
    return TowerEncoder(towers_method.description(config), variables, text)


def segmenter(config: ml_collections.ConfigDict, start: State) -> RegionFinder:
    """Returns the segmenter of `pairs.segmenter`, a folder, or what a stage starts from.

    Raises:
      UserError: there are neither.
    """
    if config.pairs.segmenter:
        return segmenter_of_folder(config.pairs.segmenter)
    if not {TOWERS, SEGMENTER} <= set(start.frozen):
        raise UserError(
            "Masks are made by a segmenter, and there is none. Give the stage the pairs "
            f"(STAGE:frozen/{TOWERS}, frozen/{TOWERS}) and (STAGE:ema/{SEGMENTER}, "
            f"frozen/{SEGMENTER}) of a stage that trains one, or name the folder of a CLIPSeg in "
            "pairs.segmenter."
        )
    params = {"clip": start.frozen[TOWERS], "decoder": start.frozen[SEGMENTER]}
    text = towers_method.tokenizer(config)
    return RegionFinder(
        segmenter_method.description(config), {"params": params}, text, config.segmenter.side
    )
