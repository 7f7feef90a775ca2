"""From a record to a sample of SDIC: one aligned picture at the encoder's size."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import ml_collections
import numpy as np

from jaxedit.data import transforms
from jaxedit.method import Record
from jaxedit.methods.sdic import attributes as attributes_lib


class Transform:
    """One record to one sample, on the host: `image` float32 (H, W, 3) in [-1, 1].

    Args:
      config: `image_size`; `data.fit`: "scale" brings the whole picture to that size, "crop" its
        largest central part of that shape; `data.flip`: mirror half of the training pictures.
      train: whether it varies.
      attributes: whether the sample has the record's `attributes`, float32 (n,), each in [0, 1].
    """

    def __init__(
        self, config: ml_collections.ConfigDict, train: bool, attributes: bool = False
    ):
        self.size = tuple(config.image_size)
        self.crop = config.data.fit == "crop"
        self.flip = train and config.data.flip
        self.attributes = attributes

    def __call__(self, record: Record, rng: np.random.Generator) -> dict[str, np.ndarray]:
        image, sample = self.fitted(record["image"]), {}
        if self.attributes:
            sample["attributes"] = attributes_lib.of_record(record)
        if self.flip:
            turned = transforms.random_flip(image, rng)
            if self.attributes and turned is not image:
                sample["attributes"] = attributes_lib.mirrored(sample["attributes"])
            image = turned
        return {"image": np.ascontiguousarray(transforms.to_unit_range(image)), **sample}

    def fitted(self, image: np.ndarray) -> np.ndarray:
        """Returns a picture at the sample's size, uint8."""
        return (transforms.resize_and_crop if self.crop else transforms.resize)(image, *self.size)


class EditTransform(Transform):
    """A portrait with what an edit should make of it: an attribute changed by several shares of
    what is wanted, rendered anew.

    A sample has, beside the picture and its `attributes`: `place` int32 (), which attribute;
    `wanted` float32 (), by how much it is to change; `truths` float32 (K, H, W, 3), the pictures
    at each share, and `known` bool (K,), whether there is such a picture (half of glasses is none).

    Args:
      config: as of `Transform`.
      shares: of the wanted change, each from 0 to 1.
    """

    def __init__(self, config: ml_collections.ConfigDict, shares: Sequence[float]):
        super().__init__(config, train=False, attributes=True)
        self.shares = tuple(shares)

    def __call__(self, record: Record, rng: np.random.Generator) -> dict[str, np.ndarray]:
        sample = super().__call__(record, rng)
        values = sample["attributes"]
        # By the record's name: another source of these records asks for the same edits.
        drawn = hashlib.sha256(str(record["id"]).encode()).digest()
        place = drawn[0] % len(values)
        wanted = attributes_lib.wanted_change(values, place)
        binary = attributes_lib.NAMES[place] in attributes_lib.BINARY
        known = [not binary or share in (0, 1) for share in self.shares]
        truths = [
            self.fitted(attributes_lib.rendered(record, place, values[place] + share * wanted))
            if there else self.fitted(record["image"])
            for share, there in zip(self.shares, known, strict=True)
        ]
        return sample | {
            "place": np.int32(place),
            "wanted": np.float32(wanted),
            "truths": transforms.to_unit_range(np.stack(truths)),
            "known": np.asarray(known),
        }
