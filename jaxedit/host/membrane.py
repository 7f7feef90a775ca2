"""Continuing what is known smoothly over what is not, as a membrane that is held at its edge.

The values inside solve Laplace's equation, about: each is the mean of its four neighbours. Added to
a filling, such a continuation of what the filling lacks at the edge takes the seam away and leaves
its gradients nearly as they are (Perez et al., "Poisson Image Editing", 2003, section 2, where it
is the correction of a cloned source).

The solution is found from coarse to fine, in time that grows with the number of pixels; a direct
solver of the same equations takes minutes and gigabytes for a hole of some megapixels. From it, the
result differs by about half a hundredth of what the values spread over.

Here is one picture of any size in memory; `layers/membrane.py` has the same for networks.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

SMALLEST = 8  # pixels of a side, below which a picture is not halved again
SWEEPS = 24  # at every size
WIDTH = 40  # pixels: of the widest hole that the sweeps of one size can fill well on their own
TINY = 1e-6  # share of a pixel that is known, below which its mean means nothing


def continued(values: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Returns the values with what is unknown continued from around it.

    From coarse to fine: what is found at half the size is where the sweeps at this size begin.

    Args:
      values: float32 (H, W, C); what they are where `unknown` has no influence.
      unknown: bool (H, W), True where values are wanted. Something must be known.
    """
    if not unknown.any():
        return np.array(values, np.float32)
    known = ~unknown
    values = np.where(known[..., None], values, 0).astype(np.float32)
    height, width = unknown.shape
    if is_halved(height, width):
        size = ((width + 1) // 2, (height + 1) // 2)
        shrink = lambda x: cv2.resize(x, size, interpolation=cv2.INTER_AREA)
        weight = shrink(known.astype(np.float32))
        means = shrink(values).reshape(*weight.shape, -1) / np.maximum(weight, TINY)[..., None]
        start = continued(means, weight <= 0)
        start = cv2.resize(start, (width, height), interpolation=cv2.INTER_LINEAR)
        start = start.reshape(values.shape)
    else:
        start = np.broadcast_to(values[known].mean(0), values.shape)
    values = before = np.where(known[..., None], values, start)
    for factor in factors(height, width):
        padded = np.pad(values, ((1, 1), (1, 1), (0, 0)), mode="edge")
        mean = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
        moved = before + factor * (mean / 4 - before)
        before, values = values, np.where(unknown[..., None], moved, values)
    return values


def is_halved(height: int, width: int) -> bool:
    """Returns whether a picture of this size is continued at half of it first."""
    return min(height, width) >= 2 * SMALLEST


def factors(height: int, width: int) -> np.ndarray:
    """Returns how far each sweep goes: Jacobi's iteration, accelerated by Chebyshev's."""
    radius = math.cos(math.pi / min(WIDTH, height, width))  # of the iteration's spectrum
    found = [1.0]
    for sweep in range(SWEEPS - 1):
        found.append(1 / (1 - radius**2 * (found[-1] / 4 if sweep else 0.5)))
    return np.array(found, np.float32)
