"""Fills holes in whole photographs, with weights, runs and classical methods, and compares.

    python experiments/photo_holes.py PHOTOS --systems scat-small membrane telea biharmonic
    python experiments/photo_holes.py PHOTOS --systems runs/scat telea --sheet HOLES.png

A run's own evaluation measures pictures of the size that it was trained on. This measures what
`jaxedit inpaint` makes of a photograph: crops, sizes and seams too. Every photograph is scaled to
`--side` pixels, and every system fills the same holes: a `spot` of a twelfth of the longer side
across, a `box` of a fifth, and six `strokes` of one to six hundredths. PSNR is of the hole's pixels
alone; a `membrane` is the least that a network must beat. Means are over photographs, with their
standard errors, and so is how far the first system is ahead of each other one.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import time
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from PIL import Image

import jaxedit
from jaxedit.commands import inpaint
from jaxedit.data import images
from jaxedit.errors import UserError
from jaxedit.report import pictures

KINDS = ("spot", "box", "strokes")
_SHOWN = 480  # longer side of a picture of the sheet, in pixels


def hole(kind: str, height: int, width: int, seed: int) -> np.ndarray:
    """Returns uint8 (height, width), 255 in the hole."""
    mask, side = np.zeros((height, width), np.uint8), max(height, width)
    rng = np.random.default_rng(seed)
    if kind == "spot":
        middle = rng.uniform(0.25, 0.75, 2) * (width, height)
        return cv2.circle(mask, tuple(map(int, middle)), side // 24, 255, -1)
    if kind == "box":
        x, y = (rng.uniform(0.3, 0.7, 2) * (width, height)).astype(int)
        mask[max(0, y - side // 12) : y + side // 12, max(0, x - side // 10) : x + side // 10] = 255
        return mask
    for _ in range(6):
        start = rng.uniform(0, 1, 2) * (width, height)
        end = start + rng.uniform(-0.3, 0.3, 2) * side
        thick = int(rng.integers(max(1, side // 100), max(2, 6 * side // 100)))
        cv2.line(mask, tuple(map(int, start)), tuple(map(int, end)), 255, thick)
    return mask


def system(name: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Returns (photograph, mask) -> the filled photograph."""
    if name in inpaint.CLASSICAL:
        return lambda photo, mask: jaxedit.inpaint(photo, mask, classical=name)
    chosen = {"run": name} if pathlib.Path(name).is_dir() else {"weights": name}
    return lambda photo, mask: jaxedit.inpaint(photo, mask, **chosen)


def photographs(folder: pathlib.Path, side: int, limit: int) -> list[np.ndarray]:
    """Returns the photographs of a folder and those below it, uint8 (H, W, 3)."""
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in images.SUFFIXES]
    if not files:
        raise UserError(f"{folder} has no pictures.")
    found = []
    for path in files[:limit] if limit else files:
        found.append(_reduced(images.read_image(path), side))
    return found


def psnr(filled: np.ndarray, photo: np.ndarray, mask: np.ndarray) -> float:
    """Returns the PSNR of the hole's pixels, in dB."""
    off = (filled.astype(float) - photo)[mask > 0]
    return float(10 * np.log10(255**2 / max(np.square(off).mean(), 1e-9)))


def mean(values: Sequence[float]) -> str:
    """Returns the mean with its standard error, in words."""
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{statistics.mean(values):6.2f} +- {error:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    parser.add_argument("photographs", type=pathlib.Path)
    parser.add_argument("--systems", nargs="+", required=True, metavar="NAME",
                        help="weights by name, folders of runs, membrane, telea, biharmonic")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--side", type=int, default=1024, help="of the photographs, in pixels")
    parser.add_argument("--limit", type=int, default=0, help="of photographs; 0: all")
    parser.add_argument("--sheet", type=pathlib.Path, help="shows all of them")
    flags = parser.parse_args()
    photos = photographs(flags.photographs, flags.side, flags.limit)
    systems = {name: system(name) for name in flags.systems}
    print(f"{len(photos)} photographs; PSNR in the hole, dB, with its standard error; seconds")
    columns = {name: [] for name in ("hole", *systems)}
    for kind in flags.kinds:
        figures = {name: [] for name in systems}
        for number, photo in enumerate(photos):
            mask = hole(kind, *photo.shape[:2], seed=number)
            columns["hole"].append(np.where(mask[..., None] > 0, np.uint8(255), photo))
            for name, fill in systems.items():
                started = time.perf_counter()
                filled = np.asarray(fill(photo, mask))
                figures[name].append((psnr(filled, photo, mask), time.perf_counter() - started))
                columns[name].append(filled)
        first = [value for value, _ in figures[flags.systems[0]]]
        for name, found in figures.items():
            values, seconds = zip(*found, strict=True)
            ahead = [a - b for a, b in zip(first, values, strict=True)]
            print(f"{kind:8} {name:16} {mean(values)} {statistics.median(seconds):7.2f} s"
                  f"   {flags.systems[0]} ahead by {mean(ahead)}", flush=True)
    if flags.sheet:
        shown = {name: [_reduced(one, _SHOWN) for one in made] for name, made in columns.items()}
        grid = pictures.grid(shown, limit=len(shown["hole"]))
        Image.fromarray(grid).save(flags.sheet)


def _reduced(picture: np.ndarray, side: int) -> np.ndarray:
    small = Image.fromarray(picture)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(small)


if __name__ == "__main__":
    main()
