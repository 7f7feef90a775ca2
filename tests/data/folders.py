"""Folders of tiny real image files for the tests of sources and pipeline."""

import json
import pathlib

import numpy as np
from PIL import Image


def picture(number: int, height: int = 20, width: int = 24) -> np.ndarray:
    """Returns a uint8 image that tells its number: its upper left pixel is (number, 1, 2)."""
    image = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image[0, 0] = (number, 1, 2)
    return image


def write(
    root: pathlib.Path, count: int = 20, *, below: str = "images", suffix: str = "png"
) -> pathlib.Path:
    """Writes `count` pictures named 000, 001, ... into root/below; returns root."""
    (root / below).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(picture(number)).save(root / below / f"{number:03d}.{suffix}")
    return root


def write_companions(root: pathlib.Path, count: int = 20) -> None:
    """Adds masks, alphas, trimaps, labels, captions and classes to the folder of `write`."""
    for folder in ("masks", "alphas", "trimaps", "labels"):
        (root / folder).mkdir()
    lines = []
    for number in range(count):
        name = f"{number:03d}.png"
        top = np.zeros((20, 24), np.uint8)
        top[: 2 + number % 10] = 255
        Image.fromarray(top).save(root / "masks" / name)
        Image.fromarray(picture(number)[..., 0]).save(root / "alphas" / name)
        Image.fromarray(np.maximum(top, 128)).save(root / "trimaps" / name)
        label = Image.fromarray((picture(number)[..., 0] % 5).astype(np.uint8)).convert("P")
        label.putpalette(list(range(15)))
        label.save(root / "labels" / name)
        lines.append(json.dumps({"id": f"{number:03d}", "caption": f"picture {number}"}))
    (root / "captions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (root / "classes.json").write_text(json.dumps({"classes": ["a", "b", "c", "d", "e"]}))
