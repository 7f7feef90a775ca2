"""Matting metrics: SAD, MSE, Grad and Conn, one value per image, in the unknown region only.

The error measures of Rhemann et al., "A perceptually motivated online benchmark for image
matting" (CVPR 2009), as the MATLAB scripts of Deep Image Matting (Xu et al., CVPR 2017) compute
them and as tables on Composition-1k quote them: alphas are 8-bit, SAD, Grad and Conn are divided
by 1000, MSE is shown times 1000. Figures are plain means over images.

Two variants that go by the same names in published code have names of their own here:
`grad_minmax` stretches each alpha to its own range first, as the MATLAB script does (the same
wherever 0 and 255 occur), and `conn_python_port` lets the background count as the "largest
component", as a widespread Python port does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import scipy.ndimage

from jaxedit.errors import UserError
from jaxedit.host import levels
from jaxedit.metrics import base

_SIGMA = 1.4  # pixels, of the Gaussian derivative
_REACH = 4  # pixels: its kernel is 9 x 9
_LEVELS = 10  # Conn's thresholds are 1/10 .. 10/10
_TOLERANCE = 0.15  # Conn: a smaller distance to the connected level counts as connected
_SLACK = 1e-3  # float error that an alpha may exceed [0, 1] by


def sad(prediction: np.ndarray, target: np.ndarray, unknown: np.ndarray) -> float:
    """Returns sum |p - t| / 255 / 1000.

    Args:
      prediction: uint8 (H, W) alpha.
      target: like `prediction`.
      unknown: bool (H, W), where the sum runs.
    """
    difference = prediction.astype(np.float64) - target
    return float(np.abs(difference[unknown]).sum() / 255 / 1000)


def mse_x1000(prediction: np.ndarray, target: np.ndarray, unknown: np.ndarray) -> float:
    """Returns 1000 times the mean of ((p - t) / 255)^2. Arguments as in `sad`."""
    difference = (prediction.astype(np.float64) - target) / 255
    return float(1000 * np.square(difference[unknown]).mean())


def grad(prediction: np.ndarray, target: np.ndarray, unknown: np.ndarray) -> float:
    """Returns sum (|grad p| - |grad t|)^2 / 1000 of the alphas over 255. Arguments as in `sad`."""
    return _grad(prediction / 255.0, target / 255.0, unknown)


def grad_minmax(prediction: np.ndarray, target: np.ndarray, unknown: np.ndarray) -> float:
    """As `grad`, with each alpha stretched from its own least and largest value to 0 and 1."""
    return _grad(_stretch(prediction), _stretch(target), unknown)


def conn(prediction: np.ndarray, target: np.ndarray, unknown: np.ndarray) -> float:
    """Returns the connectivity error over 1000. Arguments as in `sad`.

    For each threshold th = i/10, omega is the largest 4-connected component of the pixels where
    both alphas reach th (empty where none does). A pixel's level l is the last threshold before
    it leaves omega for the first time, 1 if it never does. With d = alpha - l and
    phi = 1 - d [d >= 0.15], the error is sum |phi_p - phi_t|.
    """
    return _conn(prediction, target, unknown, largest_component)


def conn_python_port(prediction: np.ndarray, target: np.ndarray, unknown: np.ndarray) -> float:
    """As `conn`, but the pixels outside of the joint foreground compete as one component.

    Where they are more than any component of it, they are taken for omega: a figure that only
    compares with tables made by that code.
    """
    return _conn(prediction, target, unknown, _largest_label)


def gradient(alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the derivatives of `alpha` (H, W) along x and along y, float64.

    Convolution with Gaussian-derivative kernels g(row) g'(column) and its transpose, each of L2
    norm 1; edges are replicated.
    """
    offsets = np.arange(-_REACH, _REACH + 1)
    smooth = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    slope = -offsets * smooth
    # The L2 norm of an outer product is the product of the norms.
    smooth, slope = smooth / np.linalg.norm(smooth), slope / np.linalg.norm(slope)

    def convolve(along_rows: np.ndarray, along_columns: np.ndarray) -> np.ndarray:
        rows = scipy.ndimage.convolve1d(alpha.astype(np.float64), along_rows, 0, mode="nearest")
        return scipy.ndimage.convolve1d(rows, along_columns, 1, mode="nearest")

    return convolve(smooth, slope), convolve(slope, smooth)


def largest_component(mask: np.ndarray) -> np.ndarray:
    """Returns the largest 4-connected component of `mask`, bool (H, W); of equals, the first.

    The first is the one whose uppermost row, then leftmost pixel in it, comes first.
    """
    labels, count = scipy.ndimage.label(mask)
    if count == 0:
        return np.zeros_like(mask)
    return labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])


def to_levels(alpha: np.ndarray, what: str) -> np.ndarray:
    """Returns float alphas of [0, 1] as uint8, rounded to the nearest level. Any shape.

    Raises:
      UserError: values outside of [0, 1]; `what` names the array.
    """
    least, largest = alpha.min(initial=0.0), alpha.max(initial=0.0)
    if least < -_SLACK or largest > 1 + _SLACK:
        raise UserError(
            f"The {what} holds values from {least:g} to {largest:g}; matting metrics take alphas "
            "in [0, 1]."
        )
    return levels.rounded(alpha.astype(np.float64) * 255)


def _grad(prediction: np.ndarray, target: np.ndarray, unknown: np.ndarray) -> float:
    amplitudes = [np.hypot(*gradient(alpha)) for alpha in (prediction, target)]
    return float(np.square(amplitudes[0] - amplitudes[1])[unknown].sum() / 1000)


def _stretch(alpha: np.ndarray) -> np.ndarray:
    least, largest = float(alpha.min()), float(alpha.max())
    return (alpha - least) / max(largest - least, 1.0)  # a constant alpha has no gradient anyway


def _conn(
    prediction: np.ndarray,
    target: np.ndarray,
    unknown: np.ndarray,
    largest: Callable[[np.ndarray], np.ndarray],
) -> float:
    joint = np.minimum(prediction, target).astype(np.int64)
    level = np.ones(joint.shape)
    connected = np.ones(joint.shape, bool)
    for i in range(1, _LEVELS + 1):
        # In integers: 153/255 >= 6 * 0.1 is false in floating point.
        omega = largest(_LEVELS * joint >= 255 * i)
        level[connected & ~omega] = (i - 1) / _LEVELS
        connected &= omega

    def degree(alpha: np.ndarray) -> np.ndarray:
        distance = alpha / 255.0 - level
        return 1 - distance * (distance >= _TOLERANCE)

    return float(np.abs(degree(prediction) - degree(target))[unknown].sum() / 1000)


def _largest_label(mask: np.ndarray) -> np.ndarray:
    labels, _ = scipy.ndimage.label(mask)
    return labels == np.argmax(np.bincount(labels.ravel()))


class MattingMetric(base.PairMetric):
    """One of the functions above on float alphas (B, H, W, 1) in [0, 1].

    They are rounded to 8 bits first: scores on floats differ from those on files. `keys.region`
    is 1 where the trimap is unknown; an image without such a pixel has no value.
    """

    def __init__(self, name: str, keys: base.Keys = base.PLAIN_KEYS):
        self._function, title = _METRICS[name]
        super().__init__(name, title, False, "no trimap has an unknown pixel", keys)

    def compare(self, prediction, target, region):
        name = self.names[0]
        if region is None:
            raise UserError(f"{name} is measured where the trimap is unknown and needs that mask.")
        if prediction.shape[-1] != 1:
            raise UserError(f"{name} compares alphas of one channel, got {prediction.shape}.")
        unknown = np.asarray(region)[..., 0] > 0.5
        finite = np.isfinite(prediction).all((1, 2, 3)) & np.isfinite(target).all((1, 2, 3))
        values = np.full(len(prediction), np.nan)
        for index in np.flatnonzero(finite & unknown.any((1, 2))):
            values[index] = self._function(
                to_levels(prediction[index, ..., 0], "prediction"),
                to_levels(target[index, ..., 0], "target"),
                unknown[index],
            )
        return values, unknown.any((1, 2))


_WHERE = "in the unknown region"
# name -> (function, title)
_METRICS: dict[str, tuple[Callable[..., float], str]] = {
    "sad": (sad, f"SAD {_WHERE}, / 1000"),
    "mse_x1000": (mse_x1000, f"MSE {_WHERE}, x 1000"),
    "grad": (grad, f"Grad {_WHERE}, / 1000"),
    "conn": (conn, f"Conn {_WHERE}, / 1000"),
    "grad_minmax": (grad_minmax, f"Grad {_WHERE}, / 1000, each alpha stretched to its own range"),
    "conn_python_port": (
        conn_python_port, f"Conn {_WHERE}, / 1000, where the background may win as component"
    ),
}
NAMES = tuple(_METRICS)
# name -> maker, for `metrics.create`
OWN = {name: functools.partial(MattingMetric, name) for name in NAMES}
