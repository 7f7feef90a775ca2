"""Pictures of any size for networks that take some: padded by reflection, and cut out again.

The one place where commands, evaluations and published inference do it. Host side, NumPy.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

Sides = tuple[int, int]
COARSE = 0  # a step of `bucket`: few lengths, for folders of photographs of many sizes
_SMALL = 64  # up to four times as many pixels, coarse buckets are multiples of it
_LARGE = 512  # from twice as many pixels on, buckets get coarser


@dataclasses.dataclass(frozen=True)
class Frame:
    """Where a picture lies in its padded one.

    Attributes:
      size: height and width of the picture, in pixels.
      rims: ((top, bottom), (left, right)), the pixels that are added.
    """

    size: Sides
    rims: tuple[Sides, Sides]

    @property
    def padded(self) -> Sides:
        """Height and width with the rims."""
        return tuple(n + sum(rim) for n, rim in zip(self.size, self.rims, strict=True))

    def pad(self, pictures: np.ndarray) -> np.ndarray:
        """Returns pictures (B, H, W, ...) of any dtype with their rims.

        Pixels are reflected at the rim, which is not repeated itself; back and forth where a
        picture is smaller than what is added, and a side of one pixel is repeated.
        """
        if pictures.shape[1:3] != self.size:
            raise ValueError(f"The frame is {self.size}, the picture {pictures.shape[1:3]}")
        if not any(map(sum, self.rims)):
            return pictures
        others = [(0, 0)] * (pictures.ndim - 3)
        return np.pad(pictures, [(0, 0), *self.rims, *others], mode="reflect")

    def cut(self, padded: np.ndarray, scale: int = 1) -> np.ndarray:
        """Returns the picture in padded ones (B, H, W, ...), `scale` times as large as the frame.
        """
        wanted = tuple(scale * n for n in self.padded)
        if padded.shape[1:3] != wanted:
            raise ValueError(f"Expected {wanted} pixels, got {padded.shape[1:3]}")
        (top, _), (left, _) = self.rims
        height, width = self.size
        rows = slice(scale * top, scale * (top + height))
        return padded[:, rows, scale * left : scale * (left + width)]


def centred(size: Sides, padded: Sides) -> Frame:
    """Returns the frame of a picture in the middle of its padded one."""
    rims = (((n - m) // 2, n - m - (n - m) // 2) for n, m in zip(padded, size, strict=True))
    return Frame(tuple(size), tuple(rims))


def with_margin(size: Sides, filled: Sides, margin: int) -> Frame:
    """Returns a frame of `margin` pixels on every side, and more at the right and bottom.

    Args:
      size: height and width.
      filled: what these are filled up to, margins apart.
      margin: in pixels.
    """
    rims = ((margin, margin + n - m) for n, m in zip(filled, size, strict=True))
    return Frame(tuple(size), tuple(rims))


def bucket(pixels: int, *, multiple: int, minimum: int, step: int = 1) -> int:
    """Returns the padded length of a side, so that many sizes share few programs.

    Args:
      pixels: the side.
      multiple: what the network needs the side to be a multiple of.
      minimum: the smallest side that the network takes.
      step: lengths are multiples of this too; above 1,024 pixels of 2, 4, .. times as much, so
        that at most a quarter is added. Where it divides `multiple`, no more than needed is.
        `COARSE` has lengths of 64, 128, 192, 256, and then 384, 512, 768, 1,024, 1,536 and so on:
        at most half is added, and photographs of all phones share two or three programs.
    """
    if step == COARSE:
        pixels = max(pixels, minimum)
        step, power = math.lcm(multiple, _SMALL), 2 ** max(0, pixels - 1).bit_length()
        if pixels > 4 * _SMALL:
            pixels, step = (3 * power // 4 if pixels <= 3 * power // 4 else power), multiple
        return -(-pixels // step) * step
    step = math.lcm(multiple, step)
    if step > multiple:
        step *= max(1, 2 ** math.floor(math.log2(max(1, pixels / _LARGE))))
    return -(-max(pixels, minimum) // step) * step
