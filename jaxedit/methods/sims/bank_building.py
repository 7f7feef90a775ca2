"""Building a memory bank from labelled pictures, and taking a picture out again (host side)."""

from __future__ import annotations

import base64
import dataclasses
import math
import pathlib
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxedit.data import images
from jaxedit.data.classes import Classes
from jaxedit.data.sources import BadRecord, Record, Source, hashed_share
from jaxedit.errors import UserError
from jaxedit.host import locks, manifests
from jaxedit.methods.sims import bank as bank_lib
from jaxedit.methods.sims import scaling, segments, shards

PICTURES = 32  # of a shard: what a killed build must do again at most
_SHARD = "shard-"


class EmptyBank(UserError):
    """No picture had a segment: nothing that was built is of any use."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a bank is built by.

    Attributes:
      size: (height, width) of the frame that every picture is scaled to.
      classes: of the layouts.
      scale: colours are finer than the frame by this factor.
      thin: classes that do not cut others, see `segments.find`.
      above_share: segments must cover more than this share of the frame; 0 keeps all, as released.
      licence: of pictures that do not say theirs; "" where nobody knows.
      licences: pictures under others are left out; () keeps all.
      share: of the pictures, by which a draw decides for each whether its segments are taken.
      seed: of that draw.
    """

    size: tuple[int, int]
    classes: Classes
    scale: int = 1
    thin: tuple[int, ...] = ()
    above_share: float = 0.0
    licence: str = ""
    licences: tuple[str, ...] = ()
    share: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        sides = zip(self.size, shards.CONTEXT_GRID, strict=True)
        tile = math.prod(-(-side // parts) for side, parts in sides)
        if self.scale < 1 or tile > np.iinfo(np.uint16).max:
            raise UserError(
                f"A bank with a frame of {self.size[1]} x {self.size[0]} pixels and colours "
                f"{self.scale} times as fine cannot be built: segments are looked up in a small "
                "frame, such as 512 x 256, and colours are a whole factor finer."
            )


def build(
    source: Source, folder: pathlib.Path, settings: Settings, *, process_index: int = 0,
    process_count: int = 1,
) -> Iterator[float]:
    """Writes this process's shards; goes on from those that are there. Yields the share done.

    Raises:
      UserError: a record has no label map, or labels that are no class.
    """
    mine = range(process_index, -(-len(source) // PICTURES), process_count)
    for done, number in enumerate(mine, 1):
        path = folder / f"{_SHARD}{number:05}"
        if not path.exists():
            span = range(number * PICTURES, min((number + 1) * PICTURES, len(source)))
            drawn = [i for i in span if hashed_share(f"{settings.seed}:{i}") < settings.share]
            pictures = [p for p in (_picture(source, i, settings) for i in drawn) if p is not None]
            shards.write(path, pictures, settings.size, settings.classes.count)
        yield done / len(mine)


def merge(folder: pathlib.Path, settings: Settings) -> dict[str, Any]:
    """Returns the facts of a bank whose shards have been put together in `folder`."""
    return _facts(folder, sorted(path.name for path in folder.glob(f"{_SHARD}*")), settings)


def remove(folder: pathlib.Path, image: str) -> int:
    """Takes a picture out of a bank, all of its pixels and labels; returns its segments' number.

    The manifest is what makes the change: a bank whose removal is killed is the old one or the new
    one. Files of the old one that a kill left behind go with the next removal. Of two removals at a
    time one would be undone: who calls this sees to it that there is one (`locks.hold`).

    Raises:
      UserError: there is no such picture, or the bank cannot be used (`bank.opened`).
    """
    folder = pathlib.Path(folder)
    bank = bank_lib.opened(folder)
    _clear(folder, bank.facts["shards"])
    lost = len(bank.of_picture(bank.picture_number(image)))
    names = list(bank.facts["shards"])
    read = {name: shards.read(folder / name) for name in names}
    ids = {name: [one["id"] for one in shard.images] for name, shard in read.items()}
    name = next(name for name in names if image in ids[name])
    plain, _, times = name.partition(".")
    new = f"{plain}.{int(times or 0) + 1}"
    shards.write_without(folder / new, read[name], ids[name].index(image))
    names[names.index(name)] = new
    about = manifests.about_of(folder)
    about["facts"] = {**bank.facts, **_counts(folder, names), "shards": names}
    without = [p.relative_to(folder).as_posix() for p in (folder / name).iterdir()]
    manifests.seal(folder, about, [*without, *locks.FILES])
    _clear(folder, names)
    return lost


def _clear(folder: pathlib.Path, names: Sequence[str]) -> None:
    for path in folder.glob(f"{_SHARD}*"):
        if path.name not in names:
            shutil.rmtree(path)


def _facts(folder: pathlib.Path, names: Sequence[str], settings: Settings) -> dict[str, Any]:
    facts = {
        "bank": bank_lib.FORMAT,
        "frame": list(settings.size),
        "scale": settings.scale,
        "classes": settings.classes.describe(),
        "shards": list(names),
        **_counts(folder, names),
    }
    if not facts["segments"]:
        raise EmptyBank(
            "The memory bank would be empty: no picture has a segment "
            + (f"under {' or '.join(settings.licences)} " if settings.licences else "")
            + (f"in the share {settings.share} that is drawn " if settings.share < 1 else "")
            + "with a class. Check the label maps and their classes.json."
        )
    return facts


def _counts(folder: pathlib.Path, names: Sequence[str]) -> dict[str, Any]:
    read = [shards.read(folder / name) for name in names]
    pictures = [picture for shard in read for picture in shard.images]
    licences = Counter(picture["licence"] or "unknown" for picture in pictures)
    return {
        "images": len(pictures),
        "segments": sum(len(shard.label) for shard in read),
        "licences": dict(sorted(licences.items())),
    }


def _picture(source: Source, index: int, settings: Settings) -> shards.Picture | None:
    try:
        record = source.read(index)
    except BadRecord:
        return None
    facts = {
        "id": record["id"],
        "licence": record.get("licence", settings.licence),
        "source": record.get("source", ""),
        **_profile(source.name(index)),
    }
    if settings.licences and facts["licence"] not in settings.licences:
        return None
    layout = layout_of(record, settings.size, settings.classes, source.description)
    height, width = settings.size
    finer = (height * settings.scale, width * settings.scale)
    colours = scaling.picture(record["image"], finer)
    instance = record.get("instance")
    found = segments.find(
        layout, settings.classes.count,
        instance=None if instance is None else scaling.nearest(instance, settings.size),
        thin=settings.thin, above=segments.smallest_area(settings.size, settings.above_share),
    )
    return shards.Picture(facts, layout, colours, found)


def _profile(name: str) -> dict[str, str]:
    """Returns the colour profile of a picture's file; nothing where it has none or is no file."""
    if not pathlib.Path(name).is_file():
        return {}
    profile = images.read_metadata(name).icc_profile
    return {} if profile is None else {bank_lib.PROFILE: base64.b64encode(profile).decode()}


def layout_of(
    record: Mapping[str, Any] | Record, size: tuple[int, int], classes: Classes, where: str
) -> np.ndarray:
    """Returns a record's layout in a frame, uint8 (H, W), 255 for unlabelled.

    Raises:
      UserError: it has none, or holds labels that are no class.
    """
    if "label" not in record:
        raise UserError(
            f"{where}: {record['id']} has no label map, which a memory bank is made of. Put label "
            "maps of the same names into labels/."
        )
    label = record["label"]
    known = (label >= 0) & (label < classes.count) | (label == shards.UNLABELLED)
    other = np.unique(label[~known])
    if other.size:
        raise UserError(
            f"{where}: the label map of {record['id']} holds {other[0]}, where there are the "
            f"classes 0 to {classes.count - 1} and 255 for unlabelled. Describe them in "
            "classes.json."
        )
    return scaling.nearest(label, size).astype(np.uint8)
