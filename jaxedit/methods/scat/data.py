"""From a record to what SCAT trains and is measured on: an image and its hole (host side).

Training follows section "Training recipe" of the published code: crop, horizontal flip, colour
jitter, and one mask per sample. Evaluation takes the whole centred image and either the record's
own mask or one drawn for each hole-ratio bin in turn; every draw comes from the sample's own
generator, so that all systems see the same holes.
"""

from __future__ import annotations

from typing import Any

import ml_collections
import numpy as np

from jaxedit.config import did_you_mean
from jaxedit.data import masks, transforms
from jaxedit.data.mask_files import MaskFiles
from jaxedit.errors import UserError
from jaxedit.method import Record
from jaxedit.methods.scat.baselines import BINS

CROPS = ("random_resized", "centre", "resize_and_crop")
MASKS = ("pconv", "random", "centered", "boxes", "strokes")


class Transform:
    """Turns a record and a generator into {`image`, `mask`}; picklable for worker processes."""

    def __init__(self, config: ml_collections.ConfigDict, train: bool):
        data, evaluate = config.data, config.evaluate
        _known(data.crop, CROPS, "data.crop")
        _known(data.mask, MASKS, "data.mask")
        _known(evaluate.crop, ("whole", *CROPS[1:]), "evaluate.crop")
        _known(evaluate.mask, ("bins", "record"), "evaluate.mask")
        self.train = train
        self.size = config.image_size
        self.crop = data.crop if train else evaluate.crop
        self.centre_crop = data.centre_crop
        self.flip = data.flip
        self.jitter = data.jitter
        self.mask = data.mask if train else evaluate.mask
        self.hole_range = tuple(data.hole_range)
        self.brush_width = tuple(data.brush_width)
        self.files = None
        if self.mask == "pconv":
            self.files = MaskFiles(data.mask_folder, invert=data.mask_invert)

    def __call__(self, record: Record, rng: np.random.Generator) -> dict[str, Any]:
        """Returns `image` float32 (H, W, 3) in [-1, 1] and `mask` float32 (H, W, 1), 1 = hole."""
        image = self._crop(record["image"], rng)
        if self.train:
            image = transforms.random_flip(image, rng, self.flip)
            if self.jitter:
                image = transforms.colour_jitter(image, rng, *(4 * (self.jitter,)))
        mask = self._hole(record, rng)
        return {
            "image": transforms.to_unit_range(image),
            "mask": mask[..., None].astype(np.float32),
        }

    def _crop(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        size = self.size
        if self.crop == "random_resized":
            return transforms.random_resized_crop(image, rng, size, size)
        if self.crop == "centre":
            return transforms.centre_crop_and_resize(image, self.centre_crop, size, size)
        if self.crop == "whole":
            side = min(image.shape[:2])
            return transforms.centre_crop_and_resize(image, side, size, size)
        return transforms.resize_and_crop(image, size, size)

    def _hole(self, record: Record, rng: np.random.Generator) -> np.ndarray:
        size = self.size
        if self.mask == "bins":
            # The draw is the sample's own: about as many samples fall into each bin.
            hole_range = BINS[int(rng.integers(len(BINS)))]
            return masks.free_form(rng, size, size, hole_range, self.brush_width)
        if self.mask == "record":
            return self._own_mask(record)
        if self.mask == "pconv":
            return self.files.draw(rng, size, size)
        if self.mask == "centered":
            return masks.augment(masks.centred(size, size), rng)
        if self.mask == "boxes":
            return masks.boxes(rng, size, size, self.hole_range)
        if self.mask == "strokes":
            return masks.strokes(rng, size, size, self.hole_range)
        return masks.free_form(rng, size, size, self.hole_range, self.brush_width)

    def _own_mask(self, record: Record) -> np.ndarray:
        if "mask" not in record:
            raise UserError(
                f"evaluate.mask='record' needs a mask with every record, and {record.get('id')!r} "
                "has none: add masks/ to the folder, or use --config.evaluate.mask=bins."
            )
        return transforms.resize_nearest(record["mask"], self.size, self.size)


def _known(value: str, known: tuple[str, ...], key: str) -> None:
    if value not in known:
        raise UserError(
            f"{key}={value!r} is unknown: use one of {', '.join(known)}."
            + did_you_mean(value, known)
        )
