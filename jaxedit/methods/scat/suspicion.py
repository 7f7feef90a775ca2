"""What the segmentation discriminator takes for filled in: a check of a result without the truth.

In training the discriminator learns to tell filled pixels from those of photographs (Zuo et al.,
2023, segmentation confusion). Asked about a result, it points at what gave the filling away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from jaxedit.methods.scat import discriminators
from jaxedit.metrics import base
from jaxedit.task import Image, Mask, Task

OUTPUT = "suspicion"
_WORST = 0.9  # quantile of the error in the hole above which a pixel is among the worst
TASK = Task(
    {"image": Image()}, {OUTPUT: Mask()},
    multiple=discriminators.MULTIPLE, minimum=discriminators.MULTIPLE,
)


def measured(inpainting: Task) -> Task:
    """Returns the task of filling a hole and being suspicious of the result."""
    return Task(
        inpainting.inputs, {**inpainting.outputs, OUTPUT: Mask()},
        multiple=TASK.multiple, minimum=max(inpainting.minimum, TASK.minimum),
    )


def of_pictures(
    discriminator: nn.Module, variables: Mapping[str, Any], image: jax.Array
) -> jax.Array:
    """Returns how sure the discriminator is that a pixel is filled in, (B, H, W, 1) in 0..1.

    Half is where it is of two minds: the logistic function of the pixel logits, turned round. The
    hinge loss does not make a probability of it.

    Args:
      discriminator: one with a head for pixels.
      variables: its parameters and spectral vectors; no power iteration is done.
      image: (B, H, W, 3) in [-1, 1], sides multiples of 64.
    """
    return jax.nn.sigmoid(-discriminator.apply(variables, image).pixel_logits)


class PointsAtErrors(base.MeanMetric):
    """The area under the ROC curve of suspicion, for finding the worst tenth of a hole's pixels.

    Pixels of the hole alone count: that the rest is no filling is no feat. The error of a pixel is
    the mean of |prediction - target| over its colours.
    """

    def __init__(self, keys: base.Keys):
        super().__init__(
            "suspicion_auc", "AUC of suspicion for the worst tenth of the hole", True,
            undefined="only a network with a segmentation discriminator suspects pixels, and "
            "holes of a few pixels or of one error have no worst ones",
        )
        self.keys = keys

    def values(self, outputs, batch):
        prediction, target, hole = self.keys.read(outputs, batch)
        base.check(prediction, target, hole)
        values = np.full(len(target), np.nan)
        if OUTPUT in outputs and hole is not None:
            error = np.abs(prediction - target).mean(axis=-1, keepdims=True)
            for index, inside in enumerate(hole > 0.5):
                values[index] = _area(outputs[OUTPUT][index][inside], error[index][inside])
        return values, np.isfinite(values)


def _area(suspicion: np.ndarray, error: np.ndarray) -> float:
    """Returns the area under the curve, NaN where no pixel is worse than the others."""
    if not error.size or not (np.isfinite(error).all() and np.isfinite(suspicion).all()):
        return float("nan")
    worst = error > np.quantile(error, _WORST)
    from sklearn.metrics import roc_auc_score  # slow to import: not for filling a hole

    return roc_auc_score(worst, suspicion) if worst.any() and not worst.all() else float("nan")


# name -> maker, for `metrics.create`
OWN = {"suspicion_auc": PointsAtErrors}
