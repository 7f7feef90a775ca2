"""From a record to what SCAT trains and is measured on: an image and its hole (host side).

Training follows section "Training recipe" of the published code: crop, horizontal flip, colour
jitter, and one mask per sample. Evaluation takes the whole centred image and either the record's
own mask, a mask file, or one drawn for a hole-ratio bin; every draw comes from the sample's own
generator, so that all systems see the same holes.
"""

from __future__ import annotations

from typing import Any

import ml_collections
import numpy as np

from jaxedit.data import mask_files, transforms
from jaxedit.errors import UserError
from jaxedit.method import Record


class Transform:
    """Turns a record and a generator into {`image`, `mask`}; picklable for worker processes."""

    def __init__(self, config: ml_collections.ConfigDict, train: bool):
        data, evaluate = config.data, config.evaluate
        self.train = train
        self.size = config.image_size
        self.crop = data.crop if train else evaluate.crop
        self.centre_crop = data.centre_crop
        self.flip = data.flip
        self.jitter = data.jitter
        self.draw_mask = None  # None: the record's own
        if train:
            self.draw_mask = mask_files.create(
                data.mask, self.size, self.size,
                folder=data.mask_folder,
                invert=data.mask_invert,
                hole_range=tuple(data.hole_range),
                brush_width=tuple(data.brush_width) if data.mask == "random" else None,
            )
        elif evaluate.mask in mask_files.EVALUATION_KINDS:
            self.draw_mask = mask_files.EvaluationMasks(
                self.size, self.size, evaluate.mask, tuple(data.brush_width)
            )
        elif evaluate.mask == "files":
            self.draw_mask = _FilesInOrder(
                mask_files.MaskFolder(data.mask_folder, invert=data.mask_invert), self.size
            )

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
            return transforms.random_resized_crop(image, size, size, rng)
        if self.crop == "centre":
            return transforms.centre_crop_and_resize(image, self.centre_crop, size, size)
        if self.crop == "whole":
            side = min(image.shape[:2])
            return transforms.centre_crop_and_resize(image, side, size, size)
        return transforms.resize_and_crop(image, size, size)

    def _hole(self, record: Record, rng: np.random.Generator) -> np.ndarray:
        if self.draw_mask is None:
            return self._own_mask(record)
        if self.train:
            return self.draw_mask(rng)
        return self.draw_mask(rng, record.get("index"))

    def _own_mask(self, record: Record) -> np.ndarray:
        if "mask" not in record:
            raise UserError(
                f"evaluate.mask='record' needs a mask with every record, and {record.get('id')!r} "
                "has none: add masks/ to the folder, or use --config.evaluate.mask=free_form."
            )
        return transforms.resize_nearest(record["mask"], self.size, self.size)


class _FilesInOrder:
    """The published pairing: sample i has the i-th mask file, past the end from the first again."""

    def __init__(self, folder: mask_files.MaskFolder, size: int):
        self.folder, self.size = folder, size

    def __call__(self, rng: np.random.Generator, index: int) -> np.ndarray:
        del rng
        return self.folder.load(index, self.size, self.size)
