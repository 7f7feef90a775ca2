"""Continuing what is known smoothly over what is not, as a membrane that is held at its edge.

The values inside solve Laplace's equation, about: each is the mean of its four neighbours. Added to
a filling, such a continuation of what the filling lacks at the edge takes the seam away and leaves
its gradients nearly as they are (Perez et al., "Poisson Image Editing", 2003, section 2, where it
is the correction of a cloned source).

The solution is found from coarse to fine, in time that grows with the number of pixels; a direct
solver of the same equations takes minutes and gigabytes for a hole of some megapixels. From it, the
result differs by about half a hundredth of what the values spread over.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

_SMALLEST = 8  # pixels of a side, below which a picture is not halved again
_SWEEPS = 24  # at every size
_WIDTH = 40  # pixels: of the widest hole that the sweeps of one size can fill well on their own


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
    if min(height, width) >= 2 * _SMALLEST:
        size = ((width + 1) // 2, (height + 1) // 2)
        shrink = lambda x: cv2.resize(x, size, interpolation=cv2.INTER_AREA)
        weight = shrink(known.astype(np.float32))
        means = shrink(values).reshape(*weight.shape, -1) / np.maximum(weight, 1e-6)[..., None]
        start = continued(means, weight <= 0)
        start = cv2.resize(start, (width, height), interpolation=cv2.INTER_LINEAR)
        start = start.reshape(values.shape)
    else:
        start = np.broadcast_to(values[known].mean(0), values.shape)
    return _swept(np.where(known[..., None], values, start), unknown)


def _swept(values: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Returns the values closer to the solution: Jacobi's iteration, accelerated by Chebyshev's."""
    before, factor = values, 1.0
    radius = math.cos(math.pi / min(_WIDTH, *unknown.shape))  # of the iteration's spectrum
    for sweep in range(_SWEEPS):
        padded = np.pad(values, ((1, 1), (1, 1), (0, 0)), mode="edge")
        mean = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
        moved = before + np.float32(factor) * (mean / 4 - before)
        before, values = values, np.where(unknown[..., None], moved, values)
        factor = 1 / (1 - radius**2 * (factor / 4 if sweep else 0.5))
    return values
