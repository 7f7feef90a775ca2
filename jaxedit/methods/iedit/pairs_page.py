"""A page that shows what pairs were made: counts, and triplets with the masks of what changed."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from jaxedit.data import array_record
from jaxedit.data.sources import EmptySplit
from jaxedit.host import atomic, levels, nested
from jaxedit.report.filling import address_of, filled

_SIDE = 192  # pixels of a picture on the page
_TINT = np.float32((255, 40, 120))


def write(
    folder: pathlib.Path, facts: Mapping[str, Any], lines: Sequence[Mapping[str, Any]],
    before: Mapping[str, Mapping[str, Any]], shown: int,
) -> None:
    """Writes FOLDER/page.html, one file that loads nothing.

    Args:
      folder: of the finished shards.
      facts: of this stage.
      lines: of the manifest.
      before: earlier stage -> its facts.
      shown: so many pairs, spread evenly over the training ones.
    """
    told = {line["id"]: line for line in lines}
    tables = {**before, "pairs": facts}
    text = filled(
        "pairs.html", __package__, title=folder.name, pairs=facts["pairs"],
        tables=[(name, nested.flatten(values, ": ").items()) for name, values in tables.items()],
        triplets=[_triplet(record, told[record["id"]]) for record in _samples(folder, shown)],
    )
    atomic.write_text(folder / "page.html", text)


def _samples(folder: pathlib.Path, count: int) -> list[dict[str, Any]]:
    try:
        source = array_record.create(str(folder), "all")
    except EmptySplit:  # all of the few are for tests
        return []
    places = np.unique(np.linspace(0, len(source) - 1, min(count, len(source))).round().astype(int))
    return [source[int(place)] for place in places]


def _triplet(record: Mapping[str, Any], line: Mapping[str, Any]) -> dict[str, Any]:
    cosines = [f"{name} {line[key]:.2f}" for name, key in (
        ("pictures", "cos_img"), ("prompt and source", "cos_txt_src"),
        ("prompt and target", "cos_txt_tgt"),
    ) if key in line]
    return {
        "source": _picture(record["image"], record["mask_source"]),
        "target": _picture(record["target"], record["mask_target"]),
        "caption": record["caption"], "prompt": record["edit_prompt"],
        "change": f"{record['removed'] or 'nothing'} → {record['added'] or 'nothing'}",
        "names": f"{line['source']} → {line['target']}", "rule": line["rule"],
        "cosines": ", ".join(cosines),
    }


def _picture(image: np.ndarray, mask: np.ndarray) -> str:
    """Returns a picture with its masked part tinted, as a data URL."""
    share = 0.45 * mask[..., None].astype(np.float32)
    pixels = Image.fromarray(levels.rounded(image * (1 - share) + _TINT * share))
    plain = Image.fromarray(image)
    both = Image.new("RGB", (2 * _SIDE, _SIDE))
    for place, one in enumerate((plain, pixels)):
        both.paste(one.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC), (place * _SIDE, 0))
    return address_of(both, "jpeg", quality=85)
