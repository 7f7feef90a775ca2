"""The memory bank: segments of photographs, on disk, read by memory maps.

Qi et al., CVPR 2018, section 3.1. A segment has its outline, its colours and its context: the
layout in its box enlarged by a quarter. All stand at their place in a frame of one size, in which
every picture of the bank is seen; nothing is moved to the middle.

    BANK/manifest.json       digests, and under `facts` what the bank is (`Facts`)
    BANK/shard-NNNNN/        of some pictures, see `shards.py`

A pixel's colour is kept once, with the one segment that it belongs to; a whole picture can be put
together again (`Bank.picture`). Colours may be finer than the frame by a whole factor, `scale`.
"""

from __future__ import annotations

import base64
import dataclasses
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from jaxedit.data import classes as classes_lib
from jaxedit.data.classes import Classes
from jaxedit.errors import UserError
from jaxedit.host import manifests
from jaxedit.host.names import did_you_mean
from jaxedit.methods.sims import segments, shards
from jaxedit.methods.sims.segments import Segment

FORMAT = 1
PROFILE = "profile"  # of a picture's facts: its colour profile (ICC) in base 64


@dataclasses.dataclass(frozen=True)
class Donor:
    """Where a segment's pixels come from.

    Attributes:
      image: id of the picture.
      licence: under which it stands; "" where nobody said.
      source: where it was got, for its credit; "" where nobody said.
      box: of the segment, in the bank's frame.
    """

    image: str
    licence: str
    source: str
    box: segments.Box


class Bank:
    """An opened bank. Segments have numbers, 0 to len(bank) - 1, by picture, class and place.

    Attributes:
      folder: where it is.
      facts: what it is, as the manifest has it.
      size: (height, width) of the frame.
      scale: colours are finer than the frame by this factor.
      classes: what the labels are.
      images: of each picture its id, licence and source.
      image: int32 (N,), of each segment the number of its picture.
      label: int32 (N,), its class.
      area: int64 (N,), pixels of its mask.
      box, context_box: int32 (N, 4).
      context_area: int64 (N,), pixels with a class in its context box.
    """

    def __init__(self, folder: pathlib.Path, facts: Mapping[str, Any]):
        self.folder, self.facts = pathlib.Path(folder), facts
        self.size = tuple(facts["frame"])
        self.scale = int(facts["scale"])
        self.classes: Classes = classes_lib.parse(facts["classes"], f"{folder} (classes)")
        self._shards = [shards.read(self.folder / name) for name in facts["shards"]]
        self.images = [image for shard in self._shards for image in shard.images]
        joined = lambda name: np.concatenate(
            [np.zeros_like(shards.EMPTY[name]), *(getattr(s, name) for s in self._shards)]
        )
        self.label, self.area = joined("label"), joined("area")
        self.box, self.context_box = joined("box"), joined("context_box")
        self.context_area = joined("context_area")
        counts = [len(shard.label) for shard in self._shards]
        self._starts = np.cumsum([0, *counts])
        pictures = np.cumsum([0, *(len(shard.images) for shard in self._shards)])
        self._picture_starts = pictures
        self.image = np.concatenate([
            np.zeros(0, np.int32),
            *(s.image + first for s, first in zip(self._shards, pictures, strict=False)),
        ]).astype(np.int32)
        order = np.argsort(self.label, kind="stable")
        edges = np.searchsorted(self.label[order], np.arange(self.classes.count + 1))
        self._of_class = [order[a:b] for a, b in zip(edges, edges[1:], strict=False)]

    def __len__(self) -> int:
        return len(self.label)

    def of_class(self, label: int) -> np.ndarray:
        """Returns the numbers of the segments of a class, rising."""
        return self._of_class[label] if 0 <= label < self.classes.count else np.zeros(0, np.int64)

    def segment(self, number: int) -> Segment:
        """Returns a segment's class, box and mask."""
        box = tuple(self.box[number].tolist())
        width, offset = box[3] - box[2] + 1, box[2] % 8
        mask = np.unpackbits(self.bits(number), axis=1)[:, offset : offset + width].astype(bool)
        return Segment(int(self.label[number]), box, mask)

    def bits(self, number: int) -> np.ndarray:
        """Returns a segment's mask, packed: uint8 (rows of its box, bytes of its columns).

        Bytes are those of the frame's rows: the first holds the columns from left - left % 8 on.
        """
        shard, row = self._find(number)
        return shard.bits(row)

    def colours(self, number: int) -> np.ndarray:
        """Returns a segment's colours in its box, uint8 (h scale, w scale, 3), black outside."""
        shard, row = self._find(number)
        mask = self.enlarged(self.segment(number).mask)
        crop = np.zeros((*mask.shape, 3), np.uint8)
        crop[mask] = shard.pixels(row)
        return crop

    def enlarged(self, mask: np.ndarray) -> np.ndarray:
        """Returns a mask of the frame's size, or in it, as large as colours are."""
        return mask.repeat(self.scale, 0).repeat(self.scale, 1)

    def layout(self, picture: int) -> np.ndarray:
        """Returns the layout of a picture in the frame, uint8 (H, W); 255 is unlabelled."""
        shard = int(np.searchsorted(self._picture_starts, picture, side="right")) - 1
        return self._shards[shard].layouts[picture - self._picture_starts[shard]]

    def picture(self, picture: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns (colours uint8 (H scale, W scale, 3), bool (H scale, W scale) where known)."""
        size = [side * self.scale for side in self.size]
        whole, known = np.zeros((*size, 3), np.uint8), np.zeros(size, bool)
        for number in self.of_picture(picture):
            place = segments.inside(self.box[number], self.scale)
            mask = self.enlarged(self.segment(number).mask)
            shard, row = self._find(number)
            whole[place][mask] = shard.pixels(row)
            known[place] |= mask
        return whole, known

    def of_picture(self, picture: int) -> np.ndarray:
        """Returns the numbers of the segments of a picture."""
        first, end = np.searchsorted(self.image, [picture, picture + 1])
        return np.arange(first, end)

    def tiles(self, numbers: np.ndarray, name: str) -> np.ndarray:
        """Returns the rows of `mask_tiles` or `context_tiles` of some segments, see `shards`."""
        numbers = np.asarray(numbers)
        shard = np.searchsorted(self._starts, numbers, side="right") - 1
        rows = np.empty((len(numbers), getattr(self._shards[0], name).shape[1]), np.uint16)
        for one in np.unique(shard):
            chosen = shard == one
            rows[chosen] = getattr(self._shards[one], name)[numbers[chosen] - self._starts[one]]
        return rows

    def donor(self, number: int) -> Donor:
        """Returns where a segment's pixels come from."""
        image = self.images[self.image[number]]
        return Donor(image["id"], image["licence"], image["source"],
                     tuple(self.box[number].tolist()))

    def profiles(self, numbers: Iterable[int]) -> set[bytes | None]:
        """Returns the colour profiles (ICC) of the pictures that segments are of; None for none."""
        found = {self.images[int(self.image[number])].get(PROFILE) for number in numbers}
        return {None if one is None else base64.b64decode(one) for one in found}

    def picture_number(self, image: str) -> int:
        """Returns the number of the picture with that id.

        Raises:
          UserError: there is none; the message names the nearest.
        """
        ids = [one["id"] for one in self.images]
        if image not in ids:
            raise UserError(
                f"The bank {self.folder} has no picture {image!r}."
                + (did_you_mean(image, ids) or f" It has: {', '.join(ids[:8])}.")
            )
        return ids.index(image)

    def allowed(
        self, *, without: Iterable[str] = (), only: Iterable[str] | None = None,
        licences: Iterable[str] | None = None,
    ) -> np.ndarray:
        """Returns which pictures may lend segments, bool (pictures,).

        Args:
          without: ids of pictures that may not, such as the one whose layout is looked up.
          only: ids of the pictures that may; None lets all.
          licences: under which a picture must stand; None takes any, none said too.
        """
        without, licences = set(without), None if licences is None else set(licences)
        allowed = np.array([
            image["id"] not in without and (licences is None or image["licence"] in licences)
            for image in self.images
        ], bool)
        if only is not None:
            chosen = np.zeros(len(allowed), bool)
            chosen[[self.picture_number(image) for image in only]] = True
            allowed &= chosen
        return allowed

    def _find(self, number: int) -> tuple[shards.Shard, int]:
        shard = int(np.searchsorted(self._starts, number, side="right")) - 1
        return self._shards[shard], int(number) - int(self._starts[shard])


def _counts(value: Any, least: int) -> bool:
    return type(value) is int and value >= least


# What the manifest must say of a bank, beside its classes, which are parsed.
_FACTS = {
    "frame": lambda v: isinstance(v, list) and len(v) == 2 and all(_counts(n, 1) for n in v),
    "scale": lambda v: _counts(v, 1),
    "classes": lambda v: v is not None,
    "shards": lambda v: isinstance(v, list) and all(isinstance(name, str) for name in v),
    "segments": lambda v: _counts(v, 0),
    "licences": lambda v: isinstance(v, Mapping),
}


def opened(folder: pathlib.Path, *, verify: bool = True) -> Bank:
    """Returns the bank in a folder.

    Args:
      folder: of the bank, or the artefact of a stage that built one.
      verify: compare every file with its digest; for artefacts the run has done that.

    Raises:
      UserError: there is no bank, it is of another version, empty, or damaged.
    """
    folder = pathlib.Path(folder)
    about = manifests.about_of(folder) if folder.is_dir() else {}
    facts = about.get("facts")
    if not about and manifests.is_sealed(folder):
        raise UserError(
            f"The bank {folder} is damaged: its {manifests.NAME} cannot be read. Put it back from "
            "a copy, or remove the folder and build it again."
        )
    if not isinstance(facts, Mapping) or "shards" not in facts or "bank" not in facts:
        raise UserError(
            f"{folder} is no memory bank: no manifest.json there says that it is one. Make one "
            f"with `jaxedit bank build FOLDER {folder} --licence LICENCE`."
        )
    if facts["bank"] != FORMAT:
        raise UserError(
            f"The bank {folder} has version {facts['bank']!r}; this jaxedit reads version {FORMAT}."
            " Build it again."
        )
    if wrong := [name for name, fits in _FACTS.items() if not fits(facts.get(name))]:
        raise UserError(
            f"The bank {folder} is damaged: its manifest.json has no right {wrong[0]!r}. Put it "
            "back from a copy, or build it again."
        )
    if verify:
        try:
            found = manifests.damages(folder)
        except OSError as error:
            raise UserError(f"The bank {folder} cannot be read just now: {error}.") from error
        if found:
            raise UserError(
                f"The bank {folder} is damaged: {'; '.join(found[:3])}. Put it back from a copy, "
                "or build it again."
            )
    if not facts["segments"]:
        raise UserError(
            f"The bank {folder} is empty: it holds no segment. Build it from pictures with labels."
        )
    return Bank(folder, facts)
