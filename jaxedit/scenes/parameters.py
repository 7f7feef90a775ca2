"""What a procedural scene shows, in words: one frozen dataclass, and how to draw one at random.

Everything a picture is made of comes from these fields. Each part of the picture draws its random
numbers from a generator of its own (`Parameters.rng`), so replacing one field changes what that
field names and nothing else.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxedit.errors import UserError
from jaxedit.host.names import check_choice

KINDS = ("hair", "soft", "glass", "lace", "smoke", "solid")
# Subject -> its kind, and the class that it has in the label map.
SUBJECTS = {
    "cat": ("hair", "animal"),
    "dog": ("hair", "animal"),
    "woman": ("hair", "person"),
    "dandelion": ("hair", "plant"),
    "feather": ("hair", "object"),
    "pompom": ("hair", "object"),
    "lantern": ("soft", "object"),
    "balloon": ("soft", "object"),
    "bird": ("soft", "animal"),
    "cushion": ("soft", "object"),
    "bottle": ("glass", "glass"),
    "wine glass": ("glass", "glass"),
    "bubble": ("glass", "glass"),
    "jar": ("glass", "glass"),
    "fern": ("lace", "plant"),
    "branch": ("lace", "plant"),
    "net": ("lace", "object"),
    "doily": ("lace", "object"),
    "spider web": ("lace", "object"),
    "bicycle wheel": ("lace", "object"),
    "smoke": ("smoke", "smoke"),
    "cloud of steam": ("smoke", "smoke"),
    "flame": ("smoke", "smoke"),
    "vase": ("solid", "object"),
    "mug": ("solid", "object"),
    "ball": ("solid", "object"),
    "kite": ("solid", "object"),
    "star": ("solid", "object"),
    "mushroom": ("solid", "plant"),
    "fish": ("solid", "animal"),
}
# Number in the label map = place in this tuple.
CLASSES = (
    "sky", "hills", "water", "grass", "sand", "road", "brick wall", "wood", "foliage",
    "person", "animal", "plant", "glass", "smoke", "object",
)  # fmt: skip
COLOURS = {
    "red": (178, 42, 40),
    "orange": (214, 118, 40),
    "golden": (206, 164, 84),
    "beige": (206, 186, 150),
    "green": (84, 122, 52),
    "blue": (58, 100, 166),
    "purple": (112, 70, 140),
    "pink": (216, 138, 158),
    "brown": (118, 80, 52),
    "white": (226, 223, 216),
    "grey": (136, 135, 132),
    "black": (42, 40, 42),
}
TEXTURES = (
    "plain", "striped", "spotted", "shaded", "mottled", "patterned", "brick", "wooden", "leafy",
    "sandy",
)  # fmt: skip
SIZES = {"small": 0.25, "medium-sized": 0.33, "large": 0.42}
POSITIONS = {"left": 0.32, "middle": 0.5, "right": 0.68}
TIMES = ("morning", "noon", "evening", "night")
FOCUSES = ("deep", "shallow")
# Setting -> the colours and textures that a subject must have to be hard to tell from it.
SETTINGS = {
    "meadow": (("green", "golden", "brown"), ("leafy", "mottled")),
    "beach": (("beige", "golden", "blue"), ("sandy", "mottled")),
    "lake": (("green", "blue", "brown"), ("leafy", "mottled")),
    "desert": (("golden", "beige", "orange"), ("sandy", "shaded")),
    "street": (("red", "brown", "grey"), ("brick", "mottled")),
    "country road": (("grey", "green", "brown"), ("sandy", "leafy")),
    "forest": (("green", "brown", "black"), ("leafy", "wooden")),
    "barn": (("brown", "beige", "red"), ("wooden", "striped")),
    "brick wall": (("red", "brown", "orange"), ("brick", "mottled")),
    "hedge": (("green", "green", "brown"), ("leafy", "spotted")),
    "table": (("brown", "golden", "black"), ("wooden", "shaded")),
    "sky": (("blue", "white", "grey"), ("shaded", "plain")),
}
_NATURAL = {
    "hair": ("orange", "golden", "beige", "brown", "white", "grey", "black"),
    "smoke": ("white", "grey", "grey", "black"),
}
_HAIR_TEXTURES = ("plain", "striped", "spotted", "shaded", "mottled")
_PLAIN_TEXTURES = ("plain", "shaded", "mottled")
WORDINGS = 8
# How often a subject is given the colours of what it stands before.
_CAMOUFLAGE = 0.45


def check_fields(value: Any, what: str, known: Mapping[str, Any]) -> None:
    """Raises UserError unless every field has one of its values and the seed is not negative."""
    for field, values in known.items():
        check_choice(f"{what}: {field}", getattr(value, field), values)
    if value.seed < 0:
        raise UserError(f"The seed of {what.lower()} is {value.seed}; it must be 0 or more.")


@dataclasses.dataclass(frozen=True)
class Parameters:
    """One scene. `dataclasses.replace` makes the same scene with one thing changed.

    Attributes:
      seed: of every shape, texture and jitter.
      part: `train` or `eval`: whose photographs lend their textures.
      subject: a key of SUBJECTS; it decides the kind.
      colour: of the subject, a key of COLOURS.
      texture: of the subject, one of TEXTURES.
      size: a key of SIZES.
      position: a key of POSITIONS.
      setting: a key of SETTINGS.
      time: one of TIMES.
      focus: `deep`, or `shallow` where the backdrop is out of focus.
      moving: the subject is blurred by its motion.
      wording: which sentence the caption is, 0 <= wording < WORDINGS.

    Raises:
      UserError: a field has a value that is not known.
    """

    seed: int
    part: str
    subject: str
    colour: str
    texture: str
    size: str
    position: str
    setting: str
    time: str
    focus: str = "deep"
    moving: bool = False
    wording: int = 0

    def __post_init__(self) -> None:
        known = {
            "part": ("train", "eval"), "subject": SUBJECTS, "colour": COLOURS, "texture": TEXTURES,
            "size": SIZES, "position": POSITIONS, "setting": SETTINGS, "time": TIMES,
            "focus": FOCUSES, "moving": (False, True), "wording": range(WORDINGS),
        }  # fmt: skip
        check_fields(self, "A scene", known)

    @property
    def kind(self) -> str:
        """Returns the kind of the subject, one of KINDS."""
        return SUBJECTS[self.subject][0]

    def rng(self, purpose: str) -> np.random.Generator:
        """Returns a generator that depends on the seed and on `purpose` alone."""
        return np.random.default_rng((self.seed, zlib.crc32(purpose.encode())))


def sample_parameters(
    rng: np.random.Generator, part: str = "train", kind: str | None = None
) -> Parameters:
    """Returns a random scene, of one `kind` of subject or of any.

    In nearly half of the scenes the subject takes its colour, and where its kind allows that its
    texture, from those of the setting, so that colour alone does not tell it apart.
    """
    kind = kind or str(rng.choice(KINDS))
    subject = str(rng.choice([name for name, (of, _) in SUBJECTS.items() if of == kind]))
    setting = str(rng.choice(list(SETTINGS)))
    colours, textures = natural_colours(subject), natural_textures(subject)
    if rng.random() < _CAMOUFLAGE:
        near_colours, near_textures = SETTINGS[setting]
        colours = [name for name in near_colours if name in colours] or colours
        textures = [name for name in near_textures if name in textures] or textures
    time = str(rng.choice(TIMES, p=(0.3, 0.36, 0.22, 0.12)))
    return Parameters(
        seed=int(rng.integers(2**31)),
        part=part,
        subject=subject,
        colour="orange" if subject == "flame" else str(rng.choice(colours)),
        texture=str(rng.choice(textures)),
        size=str(rng.choice(list(SIZES), p=(0.2, 0.35, 0.45))),
        position=str(rng.choice(list(POSITIONS))),
        setting=setting,
        time=time,
        focus=str(rng.choice(FOCUSES, p=(0.6, 0.4))),
        moving=bool(kind in ("solid", "soft") and rng.random() < 0.25),
        wording=int(rng.integers(WORDINGS)),
    )


def natural_colours(subject: str) -> tuple[str, ...]:
    """Returns the colours that the subject has in drawn scenes; any may be asked for."""
    return _NATURAL.get(SUBJECTS[subject][0], tuple(COLOURS))


def natural_textures(subject: str) -> tuple[str, ...]:
    """Returns the textures that the subject has in drawn scenes."""
    kind = SUBJECTS[subject][0]
    if kind in ("glass", "smoke") or subject in ("dandelion", "spider web", "lantern"):
        return ("plain",)
    if subject == "woman":
        return ("plain", "shaded")
    if kind == "hair":
        return _HAIR_TEXTURES
    return _PLAIN_TEXTURES if kind == "lace" else TEXTURES
