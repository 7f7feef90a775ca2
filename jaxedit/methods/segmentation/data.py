"""From a record with a label map to a sample: photograph and classes at one size."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxedit.data import transforms
from jaxedit.data.classes import UNLABELLED
from jaxedit.errors import UserError
from jaxedit.method import Record


class Transform:
    """One record to one sample, on the host.

    A sample: `image` float32 (H, W, 3) in [-1, 1]; `label` int32 (H, W), 0 to `classes` - 1, or
    UNLABELLED. Training sees random parts of different scale, mirrored at times, in slightly
    changed colours; evaluation the whole picture, scaled until it covers the size and cut
    centrally.

    Args:
      size: (height, width) of a sample.
      classes: how many there are.
      train: whether it varies.
      scale: range of a part's side, as a share of the largest part that fits.
      jitter: of brightness, contrast and saturation; the hue changes by a fifth of it.
    """

    def __init__(
        self, size: tuple[int, int], classes: int, train: bool, scale: tuple[float, float],
        jitter: float,
    ):
        self.size, self.classes, self.train = size, classes, train
        self.scale, self.jitter = scale, jitter

    def __call__(self, record: Record, rng: np.random.Generator) -> dict[str, Any]:
        image, label = record["image"], labels_of(record, self.classes)
        height, width = image.shape[:2]
        largest = min(height / self.size[0], width / self.size[1])
        share = rng.uniform(*self.scale) if self.train else 1.0
        rows, columns = (max(1, round(side * largest * share)) for side in self.size)
        rows, columns = min(rows, height), min(columns, width)
        if self.train:
            top, left = (int(rng.integers(a - b + 1)) for a, b in ((height, rows),
                                                                   (width, columns)))
        else:
            top, left = (height - rows) // 2, (width - columns) // 2
        image = transforms.resize(image[top : top + rows, left : left + columns], *self.size)
        label = transforms.resize_nearest(
            label[top : top + rows, left : left + columns].astype(np.uint8), *self.size
        )
        if self.train:
            image = transforms.colour_jitter(
                image, rng, self.jitter, self.jitter, self.jitter, self.jitter / 5
            )
            if rng.random() < 0.5:
                image, label = image[:, ::-1], label[:, ::-1]
        return {
            "image": transforms.to_unit_range(image),
            "label": np.ascontiguousarray(label, np.int32),
        }


def labels_of(record: Record, classes: int) -> np.ndarray:
    """Returns the record's label map, checked.

    Raises:
      UserError: there is none, or a number is that of no class.
    """
    label = record.get("label")
    if label is None:
        raise UserError(
            "has no label map (`label`). Use scenes:several, a folder with labels/, or a data set "
            "that has them."
        )
    outside = (label != UNLABELLED) & ((label < 0) | (label >= classes))
    if outside.any():
        raise UserError(
            f"holds the class number {int(label[outside][0])}, but there are {classes} classes "
            "(classes.names). Name the classes of data.source there."
        )
    return label
