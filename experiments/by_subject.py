"""Divides a folder of photographs into one to train on and one to measure on, by subject.

    python experiments/by_subject.py PHOTOS/images data/free-train data/free-held

Photographs of one subject (names that differ in a last _NN alone, of those that begin with
`--series`) stay together, so that no subject is seen in training and measured on. The tenth of the
subjects whose names have the lowest digests is held out, whatever else the folder holds. Nothing is
copied: the folders hold links.
"""

from __future__ import annotations

import argparse
import hashlib
import pathlib
import re


def subject(stem: str, series: str) -> str:
    """Returns what a photograph shows, by its name."""
    return re.sub(r"_\d\d$", "", stem) if stem.startswith(series) else stem


def held_out(subjects: set[str], share: float = 0.1) -> set[str]:
    """Returns the subjects to measure on."""
    digest = lambda name: hashlib.blake2b(name.encode(), digest_size=7).hexdigest()
    return set(sorted(subjects, key=digest)[: int(len(subjects) * share)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("photos", "train", "held"):
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--series", default="dreambooth", help="how names of series begin")
    given = parser.parse_args()
    files = sorted(path for path in given.photos.iterdir() if path.is_file())
    chosen = held_out({subject(path.stem, given.series) for path in files})
    for path in files:
        folder = given.held if subject(path.stem, given.series) in chosen else given.train
        (folder / "images").mkdir(parents=True, exist_ok=True)
        link = folder / "images" / path.name
        if not link.exists():
            link.symlink_to(path.resolve())
    print(f"{len(files)} photographs; held out: {', '.join(sorted(chosen))}")


if __name__ == "__main__":
    main()
