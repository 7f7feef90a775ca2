"""Masks from a folder of files (`pconv`), the choice of a generator by name, masks for evaluation.

`pconv` are the irregular masks of the partial-convolution paper (Liu et al., ECCV 2018), a folder
of black-and-white images. The downloadable *testing* set is white in the hole; the *training* set
is the other way round and needs `invert`.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable

import numpy as np

from jaxedit.data import images, masks, transforms
from jaxedit.data.items import find_images
from jaxedit.data.masks import Random, Range
from jaxedit.data.sources import Record, Source
from jaxedit.errors import UserError
from jaxedit.host.names import check_choice

MaskGenerator = Callable[[Random], np.ndarray]

MASK_TYPES = ("pconv", "random", "centered", "boxes", "strokes")
EVALUATION_KINDS = ("free_form", "strokes")
# The share of holes by which inpainting papers group their results: (lo, hi].
HOLE_BINS: tuple[Range, ...] = (
    (0.01, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.4), (0.4, 0.5), (0.5, 0.6),
)  # fmt: skip


class MaskFolder(Source):
    """The mask files below a folder, by name. Records have `mask` and `id`.

    Args:
      root: the folder; sub-folders are searched too.
      invert: the files are black where the hole is.
      strict: refuse files of grey values; otherwise they are cut at one half.
      max_bad_share: more bad files than this share are an error; a single one never is.

    Raises:
      UserError: no such folder, or no image in it.
    """

    def __init__(
        self,
        root: str | os.PathLike,
        *,
        invert: bool = False,
        strict: bool = True,
        max_bad_share: float = 0.1,
    ):
        super().__init__(f"masks in {root}", max_bad_share)
        self.root = pathlib.Path(os.path.expanduser(root))
        self.invert = invert
        self.strict = strict
        if not self.root.is_dir():
            raise UserError(f"The folder of masks {self.root} does not exist. Check the path.")
        self._files = find_images(self.root)
        if not self._files:
            raise UserError(f"No mask found in {self.root}. Put black-and-white images there.")

    def __len__(self) -> int:
        return len(self._files)

    def name(self, index: int) -> str:
        return str(self.root / self._files[index])

    def _read(self, index: int) -> Record:
        mask = images.read_mask(self.name(index), invert=self.invert, strict=self.strict)
        return {"mask": mask, "id": os.path.splitext(self._files[index])[0]}

    def load(self, index: int, height: int, width: int) -> np.ndarray:
        """Returns mask `index` (past the end it starts again) at (height, width), nearest."""
        mask = self[index % len(self)]["mask"]
        return transforms.resize_nearest(mask, height, width)


@dataclasses.dataclass(frozen=True)
class FileMasks:
    """Draws masks from a folder: a random file, then the published flip and rotation."""

    folder: MaskFolder
    height: int
    width: int
    hole_range: Range = (0.0, 1.0)
    augment: bool = True

    def __call__(self, rng: Random) -> np.ndarray:
        def draw() -> np.ndarray:
            index = int(rng.random() * len(self.folder))
            mask = self.folder.load(index, self.height, self.width)
            return masks.augment(mask, rng) if self.augment else mask

        return masks.within(draw, rng, self.hole_range, (self.height, self.width), max_tries=200)


@dataclasses.dataclass(frozen=True)
class CentredMasks:
    """The centred square, then (as published) the augmentation of file masks."""

    height: int
    width: int
    augment: bool = True

    def __call__(self, rng: Random) -> np.ndarray:
        mask = masks.centred(self.height, self.width)
        return masks.augment(mask, rng) if self.augment else mask


@dataclasses.dataclass(frozen=True)
class EvaluationMasks:
    """Masks that cover the bins of hole ratios evenly.

    Each run of as many samples as there are bins meets every bin once, in an order of its own, so
    that no bin keeps step with an order among the samples. Same index and generator state, same
    mask. A mask is drawn until its share of holes lies inside the bin or, failing that, fitted into
    it, so every bin is met exactly. There are two kinds: `free_form`, Co-Mod-GAN's rectangles and
    strokes, whose large holes have an inside; and `strokes`, many thin strokes and small boxes,
    where every hole pixel has a valid one near, whatever the share.

    Attributes:
      height: of the masks, in pixels.
      width: of the masks, in pixels.
      kind: `free_form` or `strokes`.
      brush_width: range of the stroke width of `free_form`, in pixels.
      bins: (lo, hi) shares of holes; the masks lie strictly between.
    """

    height: int
    width: int
    kind: str = "strokes"
    brush_width: tuple[float, float] = (12, 48)
    bins: tuple[Range, ...] = HOLE_BINS

    def __post_init__(self):
        check_choice("The kind of evaluation masks", self.kind, EVALUATION_KINDS)
        for hole_range in self.bins:
            masks.check_range(hole_range, (self.height, self.width))

    def __call__(self, rng: Random, index: int | None = None) -> np.ndarray:
        """Returns the mask of sample `index`; without one the bin is random."""
        hole_range = self.bins[self.bin_of(int(rng.random() * 2**31) if index is None else index)]
        if self.kind == "free_form":
            return masks.free_form(
                rng, self.height, self.width, hole_range, self.brush_width, max_tries=100
            )
        # About as many shapes as fill the bin by themselves.
        most = max(1, round(16 * hole_range[1]))

        def draw() -> np.ndarray:
            mask = masks.strokes(rng, self.height, self.width, count=(max(1, most // 2), most))
            if rng.random() < 0.3:
                side = (0.1, min(0.5, 0.2 + hole_range[1] / 2))
                mask |= masks.boxes(rng, self.height, self.width, count=(1, 2), side=side)
            return mask

        return masks.within(draw, rng, hole_range, (self.height, self.width), max_tries=30)

    def bin_of(self, index: int) -> int:
        """Returns the number of the bin that sample `index` belongs to."""
        run, place = divmod(index, len(self.bins))
        return int(np.random.default_rng(run).permutation(len(self.bins))[place])


def create(
    mask_type: str,
    height: int,
    width: int,
    *,
    folder: str | os.PathLike | None = None,
    invert: bool = False,
    hole_range: Range = (0.0, 1.0),
    brush_width: tuple[float, float] | None = None,
    augment: bool = True,
) -> MaskGenerator:
    """Returns a picklable function from a random generator to a mask, bool (height, width).

    Args:
      mask_type: `pconv` (files), `random` (Co-Mod-GAN free form), `centered`, `boxes`, `strokes`.
      height: of the masks, in pixels.
      width: of the masks, in pixels.
      folder: of mask files, for `pconv`.
      invert: the files of `pconv` are black where the hole is.
      hole_range: (lo, hi), the wanted share of holes; not for `centered`.
      brush_width: range of the stroke width: in pixels for `random`, a share of the shorter side
        for `strokes`; None is the generator's own.
      augment: flip and rotate `pconv` and `centered` masks, as published.

    Raises:
      UserError: unknown type, impossible range or size, no folder or no masks in it.
    """
    check_choice("The type of masks", mask_type, MASK_TYPES)
    masks.check_size(height, width)
    hole_range = (float(hole_range[0]), float(hole_range[1]))
    masks.check_range(hole_range, (height, width))
    if mask_type == "pconv":
        if not folder:
            raise UserError("Mask type 'pconv' needs a folder of mask files. Set its path.")
        return FileMasks(MaskFolder(folder, invert=invert), height, width, hole_range, augment)
    if mask_type == "centered":
        return CentredMasks(height, width, augment)
    function = {"random": masks.free_form, "boxes": masks.boxes, "strokes": masks.strokes}
    options = {"height": height, "width": width, "hole_range": hole_range}
    if brush_width is not None and mask_type != "boxes":
        options["brush_width"] = tuple(brush_width)
    return functools.partial(function[mask_type], **options)
