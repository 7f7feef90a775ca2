"""From a record to what towers and segmenter train on: a picture and a text (host side)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxedit.data import transforms
from jaxedit.errors import UserError
from jaxedit.method import Record
from jaxedit.methods.iedit import zero_shot
from jaxedit.methods.iedit.data import Pictures
from jaxedit.models.clip.tokenizer import Tokenizer
from jaxedit.scenes import world

# What a sample of the segmenter asks for.
KNOWN, HELD_OUT, ABSENT = "known words", "held-out words", "absent words"
ASKED = (KNOWN, HELD_OUT, ABSENT)


class Told(Pictures):
    """Records with a `caption` to `image`, as `Pictures`, `tokens` and `attributes`. Picklable.

    Args:
      side, train, scale, flip: as of `Pictures`.
      text: the tokenizer.
      phrases: share of captions for which a shorter one stands that is also true, where the record
        is of the small world: what a segmenter is asked is as short.
    """

    def __init__(self, side: int, train: bool, scale: tuple[float, float], flip: bool,
                 text: Tokenizer, phrases: float):
        super().__init__(side, train, scale, flip)
        self.text, self.phrases = text, phrases

    def __call__(self, record: Record, rng: np.random.Generator) -> dict[str, Any]:
        if "caption" not in record:
            raise UserError("has no caption (`caption`). Use scenes:world, or a folder with "
                            "captions.jsonl.")
        caption, shown = record["caption"], zero_shot.answers(record)
        if (shown >= 0).all() and rng.random() < self.phrases:
            caption = str(rng.choice(world.phrases(record["attributes"])))
        return super().__call__(record, rng) | {
            "tokens": self.text.tokens([caption])[0], "attributes": shown,
        }


class Shown(Pictures):
    """Scenes of the small world to `image`, as `Pictures`, and `attributes`. Picklable."""

    def __call__(self, record: Record, rng: np.random.Generator) -> dict[str, Any]:
        shown = zero_shot.answers(record)
        if (shown < 0).any():
            raise UserError("does not say subject, colour and setting of the small world "
                            "(`attributes`). Use scenes:world.")
        return super().__call__(record, rng) | {"attributes": shown}


class Asked:
    """Records to `image`, `tokens` of a phrase, its `mask` (out, out) and `asked`. Picklable.

    `asked` is a place in ASKED. Of a scene of the small world the subject is asked for, at times
    the setting, and in `absent` of the cases what is not there; of other records a class of their
    label map. The whole picture is squeezed into the square, as published; training sees parts.

    Args:
      side: of the picture in pixels.
      out: of the mask.
      train: whether it varies, and leaves out what is held out.
      scale: range of a part's side, as a share of the picture's.
      text: the tokenizer.
      absent: share of phrases that are not in the picture.
      held_out: subjects that training never asks for.
      classes: names of the numbers in label maps, of sources that have them.
    """

    def __init__(
        self, side: int, out: int, train: bool, scale: tuple[float, float], text: Tokenizer,
        absent: float, held_out: Sequence[str], classes: Sequence[str],
    ):
        self.side, self.out, self.train, self.scale = side, out, train, tuple(scale)
        self.text, self.absent = text, absent
        self.held_out, self.classes = tuple(held_out), tuple(classes)

    def __call__(self, record: Record, rng: np.random.Generator) -> dict[str, Any]:
        scene = (zero_shot.answers(record) >= 0).all() and "alpha" in record
        phrase, mask, asked = (self._of_scene if scene else self._of_classes)(record, rng)
        image = record["image"]
        if self.train:
            share = rng.uniform(*self.scale, 2)
            sides = [max(1, round(a * b)) for a, b in zip(image.shape[:2], share, strict=True)]
            starts = [int(rng.integers(a - b + 1)) for a, b in zip(image.shape[:2], sides,
                                                                   strict=True)]
            place = tuple(slice(a, a + b) for a, b in zip(starts, sides, strict=True))
            image, mask = image[place], mask[place]
        image = transforms.resize(np.ascontiguousarray(image), self.side, self.side)
        shares = transforms.resize(
            np.ascontiguousarray(mask * np.uint8(255)), self.out, self.out
        )
        return {
            "image": transforms.to_unit_range(image),
            "tokens": self.text.tokens([phrase])[0],
            "mask": shares.astype(np.float32) / 255,
            "asked": np.int32(ASKED.index(asked)),
        }

    def _of_scene(self, record, rng) -> tuple[str, np.ndarray, str]:
        shown, subject = record["attributes"], record["alpha"] > 127
        known = [one for one in world.SUBJECTS if one not in self.held_out]
        if rng.random() < self.absent:
            other = lambda values, own: str(rng.choice([one for one in values if one != own]))
            thing = self._thing(rng, other(known, shown["subject"]), str(rng.choice(world.COLOURS)))
            setting = f"the {other(world.SETTINGS, shown['setting'])}"
            phrase = setting if rng.random() < 0.2 else thing
            return phrase, np.zeros_like(subject), ABSENT
        held = shown["subject"] in self.held_out
        if (held and self.train) or rng.random() < 0.2:
            return f"the {shown['setting']}", ~subject, KNOWN
        phrase = self._thing(rng, shown["subject"], shown["colour"])
        return phrase, subject, HELD_OUT if held else KNOWN

    def _thing(self, rng, subject: str, colour: str) -> str:
        phrase = f"{colour} {subject}" if rng.random() < 0.5 else subject
        return world.with_article(phrase) if rng.random() < 0.5 else phrase

    def _of_classes(self, record, rng) -> tuple[str, np.ndarray, str]:
        if "label" not in record or not self.classes:
            raise UserError("has neither the attributes of scenes:world nor a label map (`label`) "
                            "with named classes, so there is nothing to ask for. Use scenes:world, "
                            "or a folder with labels/ and classes.json.")
        label = record["label"]
        there = [int(one) for one in np.unique(label) if 0 <= one < len(self.classes)]
        absent = [one for one in range(len(self.classes)) if one not in there]
        if self.train:
            there = [one for one in there if self.classes[one] not in self.held_out]
            absent = [one for one in absent if self.classes[one] not in self.held_out]
        if absent and (not there or rng.random() < self.absent):
            return self.classes[int(rng.choice(absent))], np.zeros(label.shape, bool), ABSENT
        if not there:
            raise UserError("shows no class that may be asked for.")
        chosen = int(rng.choice(there))
        held = self.classes[chosen] in self.held_out
        return self.classes[chosen], label == chosen, HELD_OUT if held else KNOWN
