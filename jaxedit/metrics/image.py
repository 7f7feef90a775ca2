"""Pixel metrics: PSNR, SSIM and L1, one value per image, over whole images or inside holes.

Values are not rounded, PSNR and SSIM are on the 0..255 scale, L1 is on the [-1, 1] scale. SSIM is
that of Wang et al., IEEE TIP 2004, section III, as pytorch-msssim computes it. Figures are means
over images of per-image values.
"""

from __future__ import annotations

import numpy as np
import scipy.ndimage

from jaxedit.errors import UserError
from jaxedit.metrics import base

_PEAK = 255.0
_WINDOW = 11  # pixels, the side of SSIM's Gaussian window
_SIGMA = 1.5  # pixels
_K = (0.01, 0.03)


def psnr(prediction: np.ndarray, target: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Returns 10 log10(255^2 / MSE) of each image, in dB.

    Args:
      prediction: (B, H, W, C) in [-1, 1], mapped to 0..255 without rounding.
      target: like `prediction`.
      mask: (B, H, W, 1); when given, the MSE runs over its pixels (1 = hole) only.

    Returns:
      (B,) float64: inf where the images are equal, NaN where the mask is empty.
    """
    squares = np.square(to_255(prediction) - to_255(target))
    with np.errstate(divide="ignore"):
        return 10 * np.log10(_PEAK**2 / _mean(squares, mask))


def l1(prediction: np.ndarray, target: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Returns the mean absolute difference of each image on the [-1, 1] scale (B,), float64.

    Half of it is the figure on the [0, 1] scale. With `mask` (B, H, W, 1), over the hole only;
    NaN where that is empty.
    """
    return _mean(np.abs(prediction.astype(np.float64) - target), mask)


def psnr_outside(prediction: np.ndarray, target: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Returns `psnr` over the pixels where the mask is not set; PSNR-M, as edits are measured."""
    return psnr(prediction, target, 1 - (np.asarray(mask) > 0.5))


def ssim_outside(prediction: np.ndarray, target: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Returns `ssim`, its map averaged where the mask is not set; SSIM-M, as edits are measured.

    A window belongs to its middle pixel, and may see what is masked. NaN where nothing is left.
    """
    reach = _WINDOW // 2
    outside = 1 - (np.asarray(mask) > 0.5)[:, reach:-reach, reach:-reach]
    return _mean(_similarity(prediction, target), outside)


def ssim(prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Returns the structural similarity of each image (B,), float64.

    An 11x11 Gaussian window (sigma 1.5) at every place where it fits into the image, biased
    variances, K = (0.01, 0.03), range 255; the map is averaged per channel, then over channels.

    Args:
      prediction: (B, H, W, C) in [-1, 1]; H and W at least 11.
      target: like `prediction`.

    Raises:
      UserError: the images are smaller than the window.
    """
    return np.mean(_similarity(prediction, target), axis=(1, 2, 3))


def _similarity(prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Returns the map of `ssim`, (B, H - 10, W - 10, C)."""
    if min(prediction.shape[1:3]) < _WINDOW:
        raise UserError(
            f"SSIM needs images of at least {_WINDOW}x{_WINDOW} pixels, got "
            f"{prediction.shape[1]}x{prediction.shape[2]}."
        )
    x, y = to_255(prediction), to_255(target)
    constant_1, constant_2 = ((k * _PEAK) ** 2 for k in _K)
    mean_x, mean_y = _gaussian(x), _gaussian(y)
    variance_x = _gaussian(x * x) - mean_x**2
    variance_y = _gaussian(y * y) - mean_y**2
    covariance = _gaussian(x * y) - mean_x * mean_y
    structure = (2 * covariance + constant_2) / (variance_x + variance_y + constant_2)
    luminance = (2 * mean_x * mean_y + constant_1) / (mean_x**2 + mean_y**2 + constant_1)
    return luminance * structure


def to_255(images: np.ndarray) -> np.ndarray:
    """Returns images of [-1, 1] on the scale 0..255, float64, not rounded."""
    return (images.astype(np.float64) + 1) * (_PEAK / 2)


def _mean(values: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Means of (B, H, W, C) over each image, or over the pixels where `mask` is set."""
    if mask is None:
        return np.mean(values, axis=(1, 2, 3))
    hole = np.asarray(mask) > 0.5
    # `where` instead of a product: a NaN outside of the hole must not reach its figure.
    total = np.sum(values, axis=(1, 2, 3), where=hole)
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / (np.sum(hole, axis=(1, 2, 3)) * values.shape[3])


def _gaussian(images: np.ndarray) -> np.ndarray:
    """Returns the Gaussian-weighted local means of (B, H, W, C) where the window fits."""
    reach = _WINDOW // 2
    offsets = np.arange(-reach, reach + 1)
    window = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    window /= window.sum()
    for axis in (1, 2):
        images = scipy.ndimage.correlate1d(images, window, axis=axis)
    return images[:, reach:-reach, reach:-reach]


class ImageMetric(base.PairMetric):
    """One of the functions above over whole images, or as masks (`keys.region`) say."""

    def __init__(self, name: str, keys: base.Keys = base.PLAIN_KEYS):
        self._function, self._masked, title, higher_is_better = _METRICS[name]
        nothing = "nothing is outside of the mask" if name.endswith("_m") else "there is no hole"
        super().__init__(name, title, higher_is_better, nothing, keys)

    def compare(self, prediction, target, region):
        if not self._masked:
            values = self._function(prediction, target)
        elif region is None:
            where = "outside of masks" if self.names[0].endswith("_m") else "inside holes"
            raise UserError(f"{self.names[0]} is measured {where} and needs masks.")
        else:
            values = self._function(prediction, target, region)
        return values, base.has_value(values, prediction, target)


# name -> (function, whether it takes the mask, title, higher is better)
_METRICS = {
    "psnr": (psnr, False, "PSNR (dB)", True),
    "psnr_hole": (psnr, True, "PSNR inside the hole (dB)", True),
    "psnr_m": (psnr_outside, True, "PSNR-M, outside of the mask (dB)", True),
    "ssim": (ssim, False, "SSIM", True),
    "ssim_m": (ssim_outside, True, "SSIM-M, outside of the mask", True),
    "l1": (l1, False, "L1 on the [-1, 1] scale", False),
    "l1_hole": (l1, True, "L1 inside the hole, on the [-1, 1] scale", False),
}
NAMES = tuple(_METRICS)
