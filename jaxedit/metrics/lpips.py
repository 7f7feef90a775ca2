"""LPIPS as a metric: how far pictures are from the true ones for the networks of `models/lpips`."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from jaxedit.errors import UserError
from jaxedit.metrics import base
from jaxedit.metrics.features import in_chunks
from jaxedit.models.lpips import MINIMUM, distance
from jaxedit.weights import convert

_BACKBONE_WEIGHTS = {"alex": "alexnet", "vgg": "vgg16"}


class LPIPS(base.PairMetric):
    """LPIPS as a streaming metric, one distance per image.

    Raises:
      PretrainedWeightsMissing: the backbone's or the heads' weights are not in `weights_dir`.
    """

    def __init__(self, name: str, backbone: str, weights_dir: str | Path | None = None,
                 keys: base.Keys = base.PLAIN_KEYS):
        network = {"alex": "AlexNet", "vgg": "VGG-16"}[backbone]
        super().__init__(name, f"LPIPS v0.1 ({network})", higher_is_better=False, keys=keys)
        self._minimum = MINIMUM[backbone]
        names = (f"lpips-{backbone}", _BACKBONE_WEIGHTS[backbone])
        heads, convolutions = convert.load_all(names, weights_dir)
        variables = {"heads": heads, "backbone": convolutions}
        self._run = in_chunks(functools.partial(distance, backbone), variables)

    def compare(self, prediction, target, region):
        del region
        if min(prediction.shape[1:3]) < self._minimum:
            raise UserError(
                f"{self.names[0]} needs images of at least {self._minimum} pixels a side, got "
                f"{prediction.shape[1]}x{prediction.shape[2]}."
            )
        values = self._run(prediction.astype(np.float32), target.astype(np.float32))
        return values, np.ones(len(prediction), bool)
