"""From a record to what the autoencoder and the diffusion model train on (host side)."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxedit.data import transforms
from jaxedit.errors import UserError
from jaxedit.method import Record
from jaxedit.methods.iedit.text_states import ByteEncoder


class Pictures:
    """Records to square pictures: `image` float32 (side, side, 3) in [-1, 1]. Picklable.

    Training sees random parts, mirrored at times where that is asked for; evaluation the whole
    picture, scaled until it covers the square and cut centrally.

    Args:
      side: in pixels.
      train: whether it varies.
      scale: range of a part's side, as a share of the largest that fits.
      flip: whether half of the training pictures are mirrored, which captions must bear.
    """

    def __init__(self, side: int, train: bool, scale: tuple[float, float], flip: bool):
        self.side, self.train, self.scale, self.flip = side, train, tuple(scale), flip

    def __call__(self, record: Record, rng: np.random.Generator) -> dict[str, Any]:
        image = record["image"]
        if not self.train:
            image = transforms.resize_and_crop(image, self.side, self.side)
            return {"image": transforms.to_unit_range(image)}
        height, width = image.shape[:2]
        side = max(1, round(min(height, width) * rng.uniform(*self.scale)))
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        image = transforms.resize(image[top : top + side, left : left + side], self.side, self.side)
        if self.flip:
            image = transforms.random_flip(image, rng)
        return {"image": transforms.to_unit_range(np.ascontiguousarray(image))}


class Captioned(Pictures):
    """Records with a `caption` to `image`, as `Pictures`, and `prompt` int32 (symbols,)."""

    def __init__(self, side: int, train: bool, scale: tuple[float, float], flip: bool,
                 text: ByteEncoder):
        super().__init__(side, train, scale, flip)
        self.text = text

    def __call__(self, record: Record, rng: np.random.Generator) -> dict[str, Any]:
        if "caption" not in record:
            raise UserError("has no caption (`caption`). Use scenes, or a folder with "
                            "captions.jsonl.")
        return super().__call__(record, rng) | {"prompt": self.text.symbols([record["caption"]])[0]}
