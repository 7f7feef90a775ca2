"""The relative error of AOT-GAN (arXiv 2104.01431), the network that SCAT builds on."""

from __future__ import annotations

import numpy as np

from jaxedit.metrics import base
from jaxedit.metrics.image import to_255


def aotgan_mae(prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Returns sum|a - b| / sum(a + b) of each image (B,), float64, on the 0..255 scale.

    AOT-GAN (arXiv 2104.01431) reports it as "MAE"; it is a relative error, not comparable with
    `l1`. Its script reads 8-bit files; here the values are not rounded. NaN where both images
    are black.
    """
    a, b = to_255(prediction), to_255(target)
    total = np.sum(a + b, axis=(1, 2, 3))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sum(np.abs(a - b), axis=(1, 2, 3)) / total


class RelativeError(base.PairMetric):
    """`aotgan_mae` as a streaming metric."""

    def __init__(self, keys: base.Keys):
        super().__init__(
            "aotgan_mae", "AOT-GAN's MAE, sum|a-b| / sum(a+b)", higher_is_better=False,
            undefined="the images are black", keys=keys,
        )

    def compare(self, prediction, target, region):
        del region
        values = aotgan_mae(prediction, target)
        return values, base.has_value(values, prediction, target)


# name -> maker, for `metrics.create`
OWN = {"aotgan_mae": RelativeError}
