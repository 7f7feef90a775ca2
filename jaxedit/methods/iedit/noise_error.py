"""How well a diffusion model tells noise from pictures, as a metric."""

from __future__ import annotations

import numpy as np

from jaxedit.metrics import base


class NoiseError(base.MeanMetric):
    """The mean squared error of the predicted noise, over an output (B, parts of the schedule).

    Noise has the variance 1: who guesses nothing is 1 off.
    """

    def __init__(self, output: str, how: str):
        title = f"squared error of the noise, {how}"
        super().__init__(output, title, higher_is_better=False)
        self._output = output

    def values(self, outputs, batch):
        values = np.asarray(outputs[self._output], np.float64).mean(1)
        return values, np.ones(len(values), bool)
