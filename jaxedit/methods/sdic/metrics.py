"""Measures of inversions and edits that are this paper's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxedit.methods.sdic import losses
from jaxedit.metrics import base, features
from jaxedit.weights import convert


class SquaredError(base.PairMetric):
    """The mean squared difference of each picture, on the [-1, 1] scale."""

    def __init__(self, keys: base.Keys = base.PLAIN_KEYS):
        super().__init__("mse", "MSE on the [-1, 1] scale", False, keys=keys)

    def compare(self, prediction, target, region):
        del region
        squares = np.square(prediction.astype(np.float64) - target)
        return squares.mean((1, 2, 3)), np.ones(len(prediction), bool)


class Identity(base.PairMetric):
    """The cosine of ArcFace's embeddings of a picture and its truth, faces aligned as FFHQ's."""

    def __init__(self, keys: base.Keys = base.PLAIN_KEYS, variables: Any = None):
        """`variables` are ArcFace's; None reads the published ones.

        Raises:
          PretrainedWeightsMissing: they are not on this machine.
        """
        super().__init__("identity", "cosine of ArcFace embeddings", True, keys=keys)
        variables = convert.load("arcface") if variables is None else variables
        self._alike = features.in_chunks(
            lambda given, a, b: losses.identity("arcface", given, a, b), variables
        )

    def compare(self, prediction, target, region):
        del region
        return self._alike(prediction, target), np.ones(len(prediction), bool)


OF_PAIRS: Mapping[str, Callable[[base.Keys], base.Metric]] = {
    "mse": SquaredError, "identity": Identity,
}
