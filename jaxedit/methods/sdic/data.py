"""From a record to a sample of SDIC: one aligned picture at the encoder's size."""

from __future__ import annotations

import ml_collections
import numpy as np

from jaxedit.data import transforms
from jaxedit.method import Record


class Transform:
    """One record to one sample, on the host: `image` float32 (H, W, 3) in [-1, 1].

    Args:
      config: `image_size`; `data.fit`: "scale" brings the whole picture to that size, "crop" its
        largest central part of that shape; `data.flip`: mirror half of the training pictures.
      train: whether it varies.
    """

    def __init__(self, config: ml_collections.ConfigDict, train: bool):
        self.size = tuple(config.image_size)
        self.crop = config.data.fit == "crop"
        self.flip = train and config.data.flip

    def __call__(self, record: Record, rng: np.random.Generator) -> dict[str, np.ndarray]:
        fit = transforms.resize_and_crop if self.crop else transforms.resize
        image = fit(record["image"], *self.size)
        if self.flip:
            image = transforms.random_flip(image, rng)
        return {"image": np.ascontiguousarray(transforms.to_unit_range(image))}
