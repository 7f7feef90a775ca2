"""Disentangled pre-training: two pictures mixed by a pseudo opacity map (host side).

Li et al., WACV 2024, "Disentangled Pre-training for Image Matting"; numbers from the published
code. A grid of cells is laid over the picture. A quarter of them are known, half of these
background and half foreground; in all others every pixel has an opacity of its own, drawn at
random. Nothing is labelled: any two pictures will do.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import cv2
import numpy as np
from scipy import special

from jaxedit.data import trimaps
from jaxedit.data.trimaps import BACKGROUND, FOREGROUND, UNKNOWN
from jaxedit.methods.matting import affine, jitter
from jaxedit.methods.matting.mixing import sample

# The largest opacity of an unknown pixel is 254 / 255: only known foreground is exactly opaque.
_LEVELS = 255


@dataclasses.dataclass(frozen=True)
class Pretraining:
    """The task's settings; the defaults are the published ones.

    Attributes:
      size: side of a sample, in pixels.
      cell: side of a cell, in pixels. The grid has ceil(size / cell) cells along a side; the last
        ones are cut off where it does not fit.
      known: share of the cells that are background or foreground.
      foreground_share: share of the known cells that are foreground.
      noise: opacity of the unknown cells, see `unknown_alpha`.
      affine: move the first picture and the opacity by a random affine map.
      jitter: change the colours of the first picture.
    """

    size: int = 224
    cell: int = 7
    known: float = 0.25
    foreground_share: float = 0.5
    noise: str = "pixel"
    affine: bool = True
    jitter: bool = True

    @property
    def side(self) -> int:
        """Returns the number of cells along a side of the grid."""
        return -(-self.size // self.cell)

    def __call__(
        self, first: np.ndarray, second: np.ndarray, rng: np.random.Generator
    ) -> dict[str, Any]:
        """Returns a sample of two pictures uint8 (H, W, 3), see `mixing.sample`.

        `first` becomes the foreground, `second` the background; both are stretched to the size.
        """
        foreground = stretch(first, self.size)
        background = stretch(second, self.size)
        alpha = self.alpha(rng)
        if self.affine:
            foreground, alpha = affine.random_warp(foreground, alpha, rng)
        if self.jitter:
            foreground = jitter.jitter(foreground, alpha, rng)
        np.clip(alpha, 0, 1, out=alpha)
        return sample(foreground, background, alpha, trimaps.from_exact(alpha))

    def alpha(self, rng: np.random.Generator) -> np.ndarray:
        """Returns a drawn pseudo opacity map, float32 (size, size), before the affine map."""
        cells = self.side**2
        known = round(self.known * cells)
        foreground = round(self.foreground_share * known)
        grid = label_cells(rng.permutation(cells), self.side, known - foreground, foreground)
        levels = unknown_alpha(self.noise, self.size, self.cell, rng)
        return pseudo_alpha(grid, levels, self.cell)


def label_cells(order: np.ndarray, side: int, background: int, foreground: int) -> np.ndarray:
    """Returns trimap labels uint8 (side, side) of the cells, row by row.

    Args:
      order: a permutation of the side * side cells: the first `background` of it are background,
        the next `foreground` are foreground, the others unknown.
      side: cells along a side.
      background: number of background cells.
      foreground: number of foreground cells.
    """
    grid = np.full(side * side, UNKNOWN, np.uint8)
    grid[order[:background]] = BACKGROUND
    grid[order[background : background + foreground]] = FOREGROUND
    return grid.reshape(side, side)


def pseudo_alpha(grid: np.ndarray, levels: np.ndarray, cell: int) -> np.ndarray:
    """Returns the pseudo opacity map, float32 (size, size) in [0, 1].

    Args:
      grid: trimap labels uint8 of the cells.
      levels: uint8 (size, size) in 0..254, the opacity of unknown pixels times 255.
      cell: side of a cell, in pixels.
    """
    height, width = levels.shape
    labels = grid.repeat(cell, axis=0).repeat(cell, axis=1)[:height, :width]
    opacity = np.where(labels == UNKNOWN, levels, np.uint8(255) * (labels == FOREGROUND))
    # A table, so that 255 becomes exactly 1 and the quotient is rounded once, as published.
    return (np.arange(256) / 255).astype(np.float32)[opacity]


def unknown_alpha(noise: str, size: int, cell: int, rng: np.random.Generator) -> np.ndarray:
    """Returns opacities for unknown pixels, uint8 (size, size) in 0..254.

    Args:
      noise: `pixel` (published): independent and uniform for every pixel; `cell`: one uniform
        value per cell; `smooth`: uniform too, but pixels closer than about half a cell share
        theirs; `gaussian`: independent, normal about the middle with a deviation of a quarter,
        cut off at the ends.
      size: side in pixels.
      cell: side of a cell in pixels.
      rng: where the randomness comes from.
    """
    if noise == "pixel":
        return rng.integers(0, _LEVELS, (size, size), dtype=np.uint8)
    if noise == "cell":
        side = -(-size // cell)
        cells = rng.integers(0, _LEVELS, (side, side), dtype=np.uint8)
        return cells.repeat(cell, axis=0).repeat(cell, axis=1)[:size, :size]
    normal = rng.standard_normal((size, size), dtype=np.float32)
    if noise == "gaussian":
        share = np.float32(0.5) + np.float32(0.25) * normal
    else:
        blurred = cv2.GaussianBlur(normal, (0, 0), cell / 4, borderType=cv2.BORDER_REFLECT)
        blurred /= max(float(blurred.std()), 1e-6)
        # The normal distribution function makes the values uniform again.
        share = special.ndtr(blurred)
    return np.clip(share * np.float32(_LEVELS), 0, _LEVELS - 1).astype(np.uint8)


def stretch(picture: np.ndarray, size: int) -> np.ndarray:
    """Returns the picture at size x size, bilinear and without regard for its aspect ratio."""
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR)


def flat_colour(size: int, rng: np.random.Generator) -> np.ndarray:
    """Returns a picture uint8 (size, size, 3) of one colour, drawn uniformly."""
    colour = rng.integers(0, 256, 3, dtype=np.uint8)
    return np.broadcast_to(colour, (size, size, 3)).copy()
