"""From a record to what the parts of SIMS train on (host side).

Keys of the record, and of the sample:

- synthesis: `image`, `label`, and of a canvas `canvas` uint8 (H, W, 3) and `canvas_label` int32
  (H, W); to `image`, `label`, `layout`, `canvas`, `presence`;
- align: `image`, `label`, `instance` if there is one; to `image`, `label`, `targets`, `jitter`;
- order: `label`, `depth`, `instance` if there is one; to `label`, `pair`, `pair_classes`, `front`,
  `present`.

`image` (H, W, 3) float32 in [-1, 1]; `label` and `layout` (H, W) int32, where what is no class is
unlabelled; `canvas` (H, W, 3) float32 in [0, 1], black where nothing was pasted; `presence` (H, W,
1) float32, 1 where something was, white erasures included. `label` is what the photograph shows,
`layout` what goes with the canvas: the same with noise in training, rewritten to the pasted shapes
in use; a record without it has one layout. `targets` uint8 (S, H, W) and `jitter` float32 (S, 6):
masks of segments, and the random map by which each is moved away, 0 and the identity to fill up.
`pair` uint8 (P, H, W): 1 and 2 on two touching segments; `pair_classes` int32 (P, 2), theirs;
`front` int32 (P,), the one in front (`pairs.py`); `present` float32 (P,), 0 for filling.

Records of another size are scaled, labels and canvases by their nearest pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np

import jaxedit.methods.sims.records  # noqa: F401  declares the keys of canvases
from jaxedit.data import transforms
from jaxedit.errors import UserError
from jaxedit.method import Record
from jaxedit.methods.sims import affine, pairs, scaling, segments
from jaxedit.methods.sims.affine import IDENTITY

_RANGE = (0.9, 1.1)  # of the published jitter's scale
_SHIFT = 1 / 32  # of a side of the segment


class Samples:
    """Scales a record; what the parts' transforms begin with. Picklable."""

    def __init__(self, config: ml_collections.ConfigDict):
        self.size = tuple(config.image_size)
        self.classes = config.network.classes
        self.thin = tuple(config.data.thin)
        self.area_share = config.data.area_share

    def image(self, record: Record) -> np.ndarray:
        """Returns the picture, float32 in [-1, 1]."""
        _need(record, "image")
        picture = scaling.picture(record["image"], self.size)
        return transforms.to_unit_range(picture)

    def nearest(self, array: np.ndarray) -> np.ndarray:
        """Returns an array (H, W) or (H, W, C) at the size, by its nearest pixels."""
        return scaling.nearest(array, self.size)

    def label(self, record: Record, key: str = "label") -> np.ndarray:
        """Returns a layout, int32."""
        _need(record, key)
        return self.nearest(record[key]).astype(np.int32)

    def segments(self, record: Record, label: np.ndarray) -> list[segments.Segment]:
        """Returns the segments that are large enough to be used."""
        instance = record.get("instance")
        return segments.find(
            label,
            self.classes,
            instance=None if instance is None else self.nearest(instance),
            thin=self.thin,
            above=segments.smallest_area(self.size, self.area_share),
        )


class SynthesisSamples(Samples):
    """Samples of the synthesis network; `nearest` float32 in [-1, 1] to measure with (compose)."""

    def __init__(self, config: ml_collections.ConfigDict, train: bool = True):
        super().__init__(config)
        self.canvas = config.data.canvas
        self.with_nearest = config.evaluate.get("nearest", False) and not train

    def __call__(self, record: Record, rng: np.random.Generator) -> dict[str, Any]:
        del rng
        label = self.label(record)
        sample = {"image": self.image(record), "label": label, "layout": label}
        if self.canvas == "none":
            canvas = np.zeros((*self.size, 3), np.float32)
        else:
            _need(record, "canvas")
            canvas = self.nearest(record["canvas"]).astype(np.float32) / np.float32(255)
            if "canvas_label" in record:
                sample["layout"] = self.label(record, "canvas_label")
        presence = (canvas.sum(-1, keepdims=True) > 0).astype(np.float32)
        if self.with_nearest:
            _need(record, "nearest")
            picture = scaling.picture(record["nearest"], self.size)
            sample["nearest"] = transforms.to_unit_range(picture)
        return sample | {"canvas": canvas, "presence": presence}


class AlignSamples(Samples):
    """Samples of the alignment network: segments, and how each is moved away from its place.

    Args:
      config: `data.segments` is how many there are in a sample.
    """

    def __init__(self, config: ml_collections.ConfigDict):
        super().__init__(config)
        self.count = config.data.segments
        self.rotation = config.data.rotation

    def __call__(self, record: Record, rng: np.random.Generator) -> dict[str, Any]:
        label = self.label(record)
        found = self.segments(record, label)
        chosen = rng.permutation(len(found))[: self.count]
        targets = np.zeros((self.count, *self.size), np.uint8)
        moves = np.tile(np.asarray(IDENTITY, np.float32), (self.count, 1))
        for place, number in enumerate(chosen):
            targets[place] = found[number].placed(self.size)
            moves[place] = jitter(found[number].box, self.size, rng, self.rotation)
        return {"image": self.image(record), "label": label, "targets": targets, "jitter": moves}


class MovedSegments(AlignSamples):
    """Samples to measure alignment on: one segment, moved away, and where it came from.

    `colour` and `original` (H, W, 3) in [-1, 1], black (-1) outside of the segment; `mask` and
    `target` (H, W, 1); `label`. A picture without segments is black.
    """

    def __call__(self, record: Record, rng: np.random.Generator) -> dict[str, Any]:
        sample = super().__call__(record, rng)
        target = sample["targets"][0].astype(np.float32)[..., None]
        original = (sample["image"] + 1) / 2 * target
        moved = affine.warp_on_host(
            np.concatenate([original, target], axis=-1), sample["jitter"][0]
        )
        return {
            "colour": 2 * moved[..., :3] - 1, "original": 2 * original - 1,
            "mask": (moved[..., 3:] > 0.5).astype(np.float32), "target": target,
            "label": sample["label"],
        }


class OrderSamples(Samples):
    """Samples of the ordering network: pairs of touching segments, and the class in front.

    Args:
      config: `data.pairs` is how many there are in a sample.
    """

    def __init__(self, config: ml_collections.ConfigDict):
        super().__init__(config)
        data = config.data
        self.count = data.pairs
        self.rule = pairs.DepthRule(data.depth, tuple(data.flat), tuple(data.objects))

    def __call__(self, record: Record, rng: np.random.Generator) -> dict[str, Any]:
        label = self.label(record)
        _need(record, "depth")
        depth = self.nearest(record["depth"]).astype(np.float32)
        found = self.segments(record, label)
        decided = self.rule(found, depth)
        chosen = [decided[i] for i in rng.permutation(len(decided))[: self.count]]
        sample = {
            "label": label,
            "pair": np.zeros((self.count, *self.size), np.uint8),
            "pair_classes": np.zeros((self.count, 2), np.int32),
            "front": np.zeros(self.count, np.int32),
            "present": np.zeros(self.count, np.float32),
        }
        for place, (first, second, front) in enumerate(chosen):
            for number, one in ((1, first), (2, second)):
                sample["pair"][place][found[one].placed(self.size)] = number
                sample["pair_classes"][place, number - 1] = found[one].label
            sample["front"][place] = found[front].label
            sample["present"][place] = 1
        return sample


def jitter(
    box: Sequence[int],
    size: tuple[int, int],
    rng: np.random.Generator,
    rotation: float = 0.0,
) -> np.ndarray:
    """Returns the random map, float32 (6,) as `affine.warp` takes it, that moves a segment away.

    A scale in [0.9, 1.1] and a shift of up to 1/32 of the sides of its box, about the middle of
    the box. Where that would reach out of the frame the segment stays where it is, as published.

    Args:
      box: (top, bottom, left, right), all inside.
      size: height and width of the frame.
      rng: where the randomness comes from.
      rotation: up to so many degrees either way (the published code draws 2.5 and applies none).
    """
    top, bottom, left, right = box
    height, width = size
    scale = rng.uniform(*_RANGE)
    shift_x = rng.uniform(-1, 1) * (right - left + 1) * _SHIFT
    shift_y = rng.uniform(-1, 1) * (bottom - top + 1) * _SHIFT
    angle = np.deg2rad(rng.uniform(-rotation, rotation))
    turn = scale * np.asarray([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.asarray([(left + right) / 2, (top + bottom) / 2])
    shift = np.asarray([shift_x, shift_y])
    corners = np.asarray([(x, y) for x in (left, right) for y in (top, bottom)]) - middle
    moved = corners @ turn.T + middle + shift
    if moved.min() < 0 or (moved > (width - 1, height - 1)).any():
        return np.asarray(IDENTITY, np.float32)
    # Where a pixel of the copy comes from, both counted from the middle of the frame.
    back = np.linalg.inv(turn)
    origin = np.asarray([width // 2, height // 2])
    offset = middle - origin - back @ (middle - origin + shift)
    return np.column_stack([back, offset]).astype(np.float32).reshape(6)


def _need(record: Record, key: str) -> None:
    if key not in record:
        hints = {
            "canvas": "Train on what the stage that makes training canvases has built, or without "
            "canvas: --config.data.canvas=none.",
            "depth": "Order by the prior of the classes instead, or give the folder depth/.",
            "nearest": "Measure on what a stage with part=compose has built, or leave that picture "
            "out: --config.evaluate.nearest=False.",
            "label": "Give the folder labels/, or choose a source of label maps.",
        }
        raise UserError(f"it has no {key}. {hints.get(key, '')}".rstrip())
