"""Small folders of pictures with alphas, of any sizes, for tests."""

import pathlib

import numpy as np
from PIL import Image


def matting_folder(root: pathlib.Path, sizes: list[tuple[int, int]]) -> pathlib.Path:
    """Writes images/, alphas/ and trimaps/ of discs with soft rims; sizes are (height, width)."""
    rng = np.random.default_rng(0)
    for name in ("images", "alphas", "trimaps"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for index, (height, width) in enumerate(sizes):
        y, x = np.mgrid[:height, :width]
        distance = np.hypot(y - height / 2, x - width / 2)
        alpha = np.clip((min(height, width) / 3 - distance) / 6 + 0.5, 0, 1)
        trimap = np.where(alpha == 0, 0, np.where(alpha == 1, 255, 128))
        colour = rng.integers(0, 256, (2, 3))
        image = alpha[..., None] * colour[0] + (1 - alpha[..., None]) * colour[1]
        Image.fromarray(image.astype(np.uint8)).save(root / "images" / f"{index}.png")
        Image.fromarray((255 * alpha).astype(np.uint8)).save(root / "alphas" / f"{index}.png")
        Image.fromarray(trimap.astype(np.uint8)).save(root / "trimaps" / f"{index}.png")
    return root
