"""From the record of a pair to what fine-tuning trains on, and to an edit that is measured."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxedit.data import transforms
from jaxedit.errors import UserError
from jaxedit.method import Record
from jaxedit.methods.iedit import zero_shot
from jaxedit.methods.iedit.text_states import ByteEncoder, ClipEncoder

# What the stage `latents` adds to a record: moments of both pictures' latents, (h, w, 2C); states
# and symbols of the edit prompt, (length, width) and (length,).
MOMENTS, TARGET_MOMENTS, STATES, SYMBOLS = "moments", "target_moments", "text_states", "symbols"
CACHED = (MOMENTS, TARGET_MOMENTS, STATES, SYMBOLS)
MASKS = ("mask_source", "mask_target")
PICTURES = ("image", "target")


def pictures(record: Record, side: int) -> dict[str, np.ndarray]:
    """Returns source and target of a pair, uint8 (side, side, 3), and their masks, bool.

    Pictures are scaled until they cover the square and cut centrally, masks likewise. A pair
    without a mask of its target has none there.

    Raises:
      UserError: the record is no pair.
    """
    for key in (*PICTURES, "edit_prompt", MASKS[0]):
        if key not in record:
            raise UserError(f"has no {key} (`{key}`), so it is no pair. Pairs come from a stage "
                            "`pairs`, or from a folder with targets/, masks_source/ and "
                            "edit_prompt in its manifest.jsonl.")
    found = {key: transforms.resize_and_crop(record[key], side, side) for key in PICTURES}
    for key in MASKS:
        mask = record.get(key)
        if mask is None:
            found[key] = np.zeros((side, side), bool)
        else:
            levels = mask.astype(np.uint8) * np.uint8(255)
            found[key] = transforms.resize_and_crop(levels, side, side) > 127
    return found


class Pairs:
    """Records of pairs to training samples; picklable. Nothing is drawn, nothing mirrored.

    `mask_source` and `mask_target` float32 (side, side, 1); of cached records the four keys of
    `CACHED`, of others `image`, `target` float32 (side, side, 3) in [-1, 1] and `symbols`.

    Args:
      side: of the pictures, in pixels.
      text: the text encoder, for records that are not cached.
      cached: whether records come from a stage `latents`.
      looks: whether pictures are looked at too, where the records are cached.
    """

    def __init__(self, side: int, text: ByteEncoder | ClipEncoder, cached: bool, looks: bool):
        self.side, self.text, self.cached, self.looks = side, text, cached, looks

    def __call__(self, record: Record, rng: np.random.Generator) -> dict[str, Any]:
        del rng
        found = pictures(record, self.side)
        sample = {key: found[key][..., None].astype(np.float32) for key in MASKS}
        if self.looks or not self.cached:
            sample |= {key: transforms.to_unit_range(found[key]) for key in PICTURES}
        if not self.cached:
            return sample | {SYMBOLS: self.text.symbols([record["edit_prompt"]])[0]}
        if lacking := [key for key in CACHED if key not in record]:
            raise UserError(f"has no {lacking[0]}: it is not from a stage `latents`. Name one in "
                            "data.source, or set latents.cached=False.")
        sample |= {key: record[key].astype(np.float32) for key in CACHED[:-1]}
        return sample | {SYMBOLS: record[SYMBOLS].astype(np.int32)}


class Edits:
    """Records to edits that are measured; picklable.

    `image` float32 (side, side, 3); `mask` float32 (side, side, 1), what may change; `prompt` and
    `caption` int32 symbols; `prompt_text` and `caption_text`, which metrics read, and `edited`,
    what kind of thing is changed; `attributes`, see `zero_shot.answers`. `target` is the pair's,
    `changed` where either has the changed thing: where the target is no neighbour but the true
    result, the truth and where it differs.

    Args:
      side: of the pictures, in pixels.
      text: the text encoder.
      union: whether what may change is where either picture has the changed thing, as where the
        target is the truth; else the source's mask alone.
    """

    def __init__(self, side: int, text: ByteEncoder | ClipEncoder, union: bool):
        self.side, self.text, self.union = side, text, union

    def __call__(self, record: Record, rng: np.random.Generator) -> dict[str, Any]:
        del rng
        found = pictures(record, self.side)
        both = found[MASKS[0]] | found[MASKS[1]]
        mask = both if self.union else found[MASKS[0]]
        if not mask.any():  # what is added has no place in the source: all may change
            mask = np.ones_like(mask)
        caption, prompt = record.get("caption", ""), record["edit_prompt"]
        return {
            "image": transforms.to_unit_range(found["image"]),
            "target": transforms.to_unit_range(found["target"]),
            "mask": mask[..., None].astype(np.float32),
            "changed": both[..., None].astype(np.float32),
            "prompt": self.text.symbols([prompt])[0], "caption": self.text.symbols([caption])[0],
            "prompt_text": prompt, "caption_text": caption, "edited": record.get("kind", ""),
            "attributes": zero_shot.answers(record),
        }
