"""A page that shows what a memory bank holds: facts, donors, and segments of every class."""

from __future__ import annotations

import pathlib
from collections import Counter
from typing import Any

import numpy as np
from PIL import Image

from jaxedit.host import atomic
from jaxedit.methods.sims.bank import Bank
from jaxedit.report.filling import address_of, filled

_THUMBNAIL = 112  # pixels of the longer side


def facts(bank: Bank) -> dict[str, Any]:
    """Returns name -> what is to be known of a bank, in the order in which it is shown."""
    size = sum(path.stat().st_size for path in bank.folder.rglob("*") if path.is_file())
    finer = f", colours {bank.scale} times as fine" if bank.scale > 1 else ""
    return {
        "pictures": len(bank.images),
        "segments": len(bank),
        "frame": f"{bank.size[1]} x {bank.size[0]} pixels{finer}",
        "licences": ", ".join(f"{n} {name}" for name, n in bank.facts["licences"].items()),
        "megabytes": f"{size / 1e6:.1f}",
    }


def classes(bank: Bank) -> list[tuple[str, int, int, float]]:
    """Returns (class, segments, pictures, median share of the frame) of every class."""
    rows = []
    for label, name in enumerate(bank.classes.names):
        numbers = bank.of_class(label)
        share = float(np.median(bank.area[numbers])) if len(numbers) else 0.0
        pictures = len(np.unique(bank.image[numbers]))
        rows.append((name, len(numbers), pictures, share / (bank.size[0] * bank.size[1])))
    return rows


def write(bank: Bank, output: pathlib.Path, per_class: int = 12) -> None:
    """Writes the page: one file that loads nothing.

    Args:
      bank: what is shown.
      output: the file.
      per_class: so many segments of each class, from the largest on, in steps that grow: most
        segments are specks.
    """
    shown = [
        {
            "name": name, "segments": segments, "pictures": pictures, "share": f"{share:.2%}",
            "samples": [_sample(bank, n) for n in _spread(bank, label, per_class)],
        }
        for label, (name, segments, pictures, share) in enumerate(classes(bank))
    ]
    counts = Counter(bank.image.tolist())
    donors = [{**image, "segments": counts[number]} for number, image in enumerate(bank.images)]
    text = filled(
        "bank.html", __package__, title=bank.folder.name, facts=facts(bank), classes=shown,
        donors=donors,
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(output, text)


def _spread(bank: Bank, label: int, count: int) -> list[int]:
    numbers = bank.of_class(label)
    order = numbers[np.argsort(-bank.area[numbers], kind="stable")]
    if len(order) <= count:
        return order.tolist()
    ranks = (len(order) - 1) * np.linspace(0, 1, count) ** 4
    # Where steps round to nothing, the next one is taken.
    return order[np.maximum(ranks.round().astype(int), np.arange(count))].tolist()


def _sample(bank: Bank, number: int) -> dict[str, Any]:
    donor = bank.donor(number)
    opacity = bank.enlarged(bank.segment(number).mask).astype(np.uint8) * 255
    picture = Image.fromarray(np.dstack([bank.colours(number), opacity]), "RGBA")
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return {
        "picture": address_of(picture),
        "number": number, "image": donor.image, "licence": donor.licence or "licence unknown",
        "area": int(bank.area[number]),
    }
