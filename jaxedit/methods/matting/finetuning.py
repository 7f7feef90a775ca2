"""Fine-tuning data: labelled subjects composed over other pictures (host side).

The recipe of MatteFormer on Composition-1k (Park et al., CVPR 2022; the published data code, which
continues that of GCA-Matting and MGMatting). In order: a second subject under the first, resizing,
an affine map, a trimap, a crop around an unknown pixel, colour jitter, composition. Every resizing
of a picture or an opacity map is interpolated in a way drawn for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np

from jaxedit.data import trimaps
from jaxedit.data.trimaps import UNKNOWN
from jaxedit.methods.matting import affine, jitter, mixing, real_world
from jaxedit.methods.matting.affine import random_resize

# A crop is centred on an unknown pixel only where there are at least this many to choose from.
_ENOUGH = 10
# Pictures too small for the crop are enlarged until the shorter side is this many crops long.
_ENLARGEMENT = 1.1
# The unknown pixels are looked for in every fourth row and column.
_STEP = 4

# Index of a subject -> (colours uint8 (H, W, 3), opacity uint8 (H, W)).
Subjects = Callable[[int], tuple[np.ndarray, np.ndarray]]


class Layers(NamedTuple):
    """What a picture will be composed of, all of one size.

    Attributes:
      foreground: colours uint8 (H, W, 3).
      alpha: opacity float32 (H, W); interpolation may leave values a little outside [0, 1].
      labels: trimap uint8 (H, W).
      background: colours uint8 (H, W, 3).
    """

    foreground: np.ndarray
    alpha: np.ndarray
    labels: np.ndarray
    background: np.ndarray


@dataclasses.dataclass(frozen=True)
class Finetuning:
    """The recipe's settings; the defaults are the published ones.

    Attributes:
      size: side of the crop, in pixels.
      merge: probability of a second subject under the first.
      resize_probability: probability of stretching the subject to `resize_size`.
      resize_size: side of that square, in pixels.
      affine: move the subject by a random affine map.
      trimap_width: smallest and largest side of the eroding ellipses, in pixels of the canvas.
      trimap_size: side of the canvas on which trimaps are made, in pixels.
      jitter: change the colours of the subject.
      real_world: probability of degrading the composed picture, see `real_world.py`.
    """

    size: int = 512
    merge: float = 0.5
    resize_probability: float = 0.25
    resize_size: int = 640
    affine: bool = True
    trimap_width: tuple[int, int] = (1, 29)
    trimap_size: int = trimaps.CANVAS
    jitter: bool = True
    real_world: float = 0.0

    def __call__(
        self,
        subjects: Subjects,
        count: int,
        index: int,
        background: np.ndarray,
        rng: np.random.Generator,
    ) -> dict[str, Any]:
        """Returns a sample, see `mixing.sample`.

        Args:
          subjects: gives one of the `count` labelled subjects.
          count: how many there are.
          index: of the background; the subject is number `index` modulo `count`.
          background: uint8 (H, W, 3), stretched to the subject's size.
          rng: where the randomness comes from.
        """
        foreground, alpha = opacity_of(subjects(index % count))
        if rng.random() < self.merge:
            other = opacity_of(subjects(int(rng.integers(count))))
            foreground, alpha = merge((foreground, alpha), other, rng)
        if rng.random() < self.resize_probability:
            side = self.resize_size
            foreground = random_resize(foreground, side, side, rng)
            alpha = random_resize(alpha, side, side, rng)
        if self.affine:
            foreground, alpha = affine.random_warp(foreground, alpha, rng)
        layers = Layers(foreground, alpha, self.trimap(alpha, rng), background)
        layers = crop(layers, self.size, rng)
        foreground = layers.foreground
        if self.jitter:
            foreground = jitter.jitter(foreground, layers.alpha, rng)
        alpha = np.clip(layers.alpha, 0, 1)
        made = mixing.sample(foreground, layers.background, alpha, layers.labels)
        if self.real_world and rng.random() < self.real_world:
            made["image"] = real_world.degrade(made["image"], rng)
        return made

    def trimap(self, alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Returns the labels uint8 (H, W) of a trimap of drawn width."""
        lowest, highest = self.trimap_width
        foreground_size, background_size = rng.integers(lowest, highest + 1, 2)
        return trimaps.on_canvas(
            alpha,
            int(foreground_size),
            int(background_size),
            affine.random_interpolation(rng),
            self.trimap_size,
        )


def opacity_of(subject: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the colours as they are and the opacity as float32 in [0, 1]."""
    foreground, alpha = subject
    return foreground, np.divide(alpha, np.float32(255), dtype=np.float32)


def merge(
    first: tuple[np.ndarray, np.ndarray],
    second: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first subject over the second, which is stretched to its size.

    Colours are `F a + F2 (1 - a)`, cut to whole numbers, the opacity is `1 - (1 - a)(1 - a2)`.
    Where that would be opaque everywhere, the first subject is returned alone.

    Args:
      first: colours uint8 (H, W, 3) and opacity float32 (H, W) in [0, 1].
      second: the same, of any size.
      rng: where the randomness comes from.
    """
    foreground, alpha = first
    height, width = alpha.shape
    other_foreground = random_resize(second[0], height, width, rng)
    other_alpha = random_resize(second[1], height, width, rng)
    together = 1 - (1 - alpha) * (1 - other_alpha)
    if not (together < 1).any():
        return first
    mixed = mixing.mix(
        foreground.astype(np.float32), other_foreground.astype(np.float32), alpha
    )
    return mixed.astype(np.uint8), together


def crop(layers: Layers, size: int, rng: np.random.Generator) -> Layers:
    """Returns size x size pixels, centred on a random unknown one; the background is stretched to
    the subject first.

    A picture of which a side is not longer than `size` is enlarged until the shorter side is 1.1
    `size`. Unknown pixels are looked for in every fourth row and column, where a whole crop fits
    around them; with fewer than ten, the crop lies anywhere. A picture without any unknown pixel
    is not cropped but stretched to the size.
    """
    height, width = layers.alpha.shape
    background = random_resize(layers.background, height, width, rng)
    layers = layers._replace(background=background)
    if min(height, width) <= size:
        ratio = _ENLARGEMENT * size / min(height, width)
        # Rounding down must not lead back below the limit.
        height = max(int(height * ratio), size + 1)
        width = max(int(width * ratio), size + 1)
        layers = resize(layers, height, width, rng)
    if not (layers.labels == UNKNOWN).any():
        return resize(layers, size, size, rng)
    top, left = corner(layers.labels, size, rng)
    return Layers(*(layer[top : top + size, left : left + size] for layer in layers))


def corner(labels: np.ndarray, size: int, rng: np.random.Generator) -> tuple[int, int]:
    """Returns (top, left) of a crop of `size` pixels as `crop` describes it."""
    height, width = labels.shape
    small = cv2.resize(
        labels, (width // _STEP, height // _STEP), interpolation=cv2.INTER_NEAREST
    )
    half = size // 2
    inner = small[half // _STEP : (height - half) // _STEP, half // _STEP : (width - half) // _STEP]
    unknown = np.flatnonzero(inner == UNKNOWN)
    if len(unknown) < _ENOUGH:
        return int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
    row, column = divmod(int(unknown[rng.integers(len(unknown))]), inner.shape[1])
    return row * _STEP, column * _STEP


def resize(layers: Layers, height: int, width: int, rng: np.random.Generator) -> Layers:
    """Returns the layers stretched to (height, width), the trimap by its nearest pixels."""
    return Layers(
        random_resize(layers.foreground, height, width, rng),
        random_resize(layers.alpha, height, width, rng),
        cv2.resize(layers.labels, (width, height), interpolation=cv2.INTER_NEAREST),
        random_resize(layers.background, height, width, rng),
    )
