"""What a picture of several subjects shows, in words, and how to draw one at random.

A `Group` is a backdrop and two to four `Member`s, each at a distance of its own. As in a scene of
one subject, every part draws its random numbers from a generator of its own: to replace a field
of one member changes that member and nothing else, and to replace the setting leaves the members
as they are, but for their light and for where the ground puts them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from jaxedit.errors import UserError
from jaxedit.scenes.parameters import (
    COLOURS,
    FOCUSES,
    SETTINGS,
    SIZES,
    SUBJECTS,
    TEXTURES,
    TIMES,
    Parameters,
    check_fields,
    natural_colours,
    natural_textures,
)

FEWEST, MOST = 2, 4
# Subjects whose outline is filled: of a net or a web, what one looks through would be labelled.
MEMBERS = tuple(
    name
    for name in SUBJECTS
    if name not in ("dandelion", "branch", "net", "doily", "spider web", "bicycle wheel",
                    "cloud of steam")
)  # fmt: skip
PLACES = {"far left": 0.14, "left": 0.32, "middle": 0.5, "right": 0.68, "far right": 0.86}
# How often a member is given the colour and texture of what it stands before.
_CAMOUFLAGE = 0.25


@dataclasses.dataclass(frozen=True)
class Member:
    """One subject of a group.

    Attributes:
      seed: of its shape, surface and jitter.
      subject: one of MEMBERS; it decides kind and class.
      colour: a key of COLOURS.
      texture: one of TEXTURES.
      size: a key of SIZES: how large it would be at the front.
      position: a key of PLACES.
      distance: from 0, as near as the ground begins, to 1, as far as it goes.
      moving: it is blurred by its motion.

    Raises:
      UserError: a field has a value that is not known.
    """

    seed: int
    subject: str
    colour: str
    texture: str
    size: str
    position: str
    distance: float
    moving: bool = False

    def __post_init__(self) -> None:
        known = {
            "subject": MEMBERS, "colour": COLOURS, "texture": TEXTURES, "size": SIZES,
            "position": PLACES, "moving": (False, True),
        }  # fmt: skip
        check_fields(self, "A member of a group", known)
        if not 0 <= self.distance <= 1:
            raise UserError(
                f"The distance of a member is {self.distance!r}; it must lie in [0, 1]."
            )

    @property
    def kind(self) -> str:
        """Returns the kind of the subject, one of KINDS."""
        return SUBJECTS[self.subject][0]

    @property
    def category(self) -> str:
        """Returns the class that it has in the label map."""
        return SUBJECTS[self.subject][1]


@dataclasses.dataclass(frozen=True)
class Group:
    """A picture of several subjects.

    Attributes:
      seed: of the backdrop and its light.
      part: `train` or `eval`: whose photographs lend their textures.
      setting: a key of SETTINGS.
      time: one of TIMES.
      members: the subjects; number `n` of the instance map is the one in place n - 1.
      focus: `deep`, or `shallow` where the backdrop is out of focus.

    Raises:
      UserError: a field has a value that is not known, or there are too few or too many members.
    """

    seed: int
    part: str
    setting: str
    time: str
    members: tuple[Member, ...]
    focus: str = "deep"

    def __post_init__(self) -> None:
        known = {
            "part": ("train", "eval"), "setting": SETTINGS, "time": TIMES, "focus": FOCUSES,
        }  # fmt: skip
        check_fields(self, "A group", known)
        if not FEWEST <= len(self.members) <= MOST:
            raise UserError(
                f"A group has {len(self.members)} members; it must have {FEWEST} to {MOST}."
            )

    def replace_member(self, place: int, **changes: Any) -> Group:
        """Returns the same picture with fields of the member in one place changed.

        Raises:
          UserError: there is no such member, or a value is not known.
        """
        if not 0 <= place < len(self.members):
            raise UserError(
                f"The group has no member {place}: places go from 0 to {len(self.members) - 1}."
            )
        members = list(self.members)
        members[place] = dataclasses.replace(members[place], **changes)
        return dataclasses.replace(self, members=tuple(members))

    def far_to_near(self) -> list[int]:
        """Returns the places of the members in the order in which they are painted.

        Of two at the same distance, the one in the earlier place is in front.
        """
        return sorted(
            range(len(self.members)), key=lambda place: (-self.members[place].distance, -place)
        )

    def scene(self, member: Member) -> Parameters:
        """Returns the scene of one subject by which a member is drawn."""
        return dataclasses.replace(
            self.backdrop(),
            seed=member.seed,
            subject=member.subject,
            colour=member.colour,
            texture=member.texture,
            size=member.size,
            moving=member.moving,
        )

    def backdrop(self) -> Parameters:
        """Returns the scene of one subject whose backdrop is that of the group."""
        return Parameters(
            seed=self.seed, part=self.part, subject="ball", colour="red", texture="plain",
            size="small", position="middle", setting=self.setting, time=self.time,
            focus=self.focus,
        )  # fmt: skip


def sample_group(rng: np.random.Generator, part: str = "train") -> Group:
    """Returns a random group, its members from the nearest to the farthest.

    No two share a position, and their distances are spread over the ground.
    """
    setting = str(rng.choice(list(SETTINGS)))
    count = int(rng.integers(FEWEST, MOST + 1))
    places = rng.permutation(list(PLACES))[:count]
    members = []
    for number in range(count):
        subject = str(rng.choice(MEMBERS))
        colours, textures = natural_colours(subject), natural_textures(subject)
        if rng.random() < _CAMOUFLAGE:
            near_colours, near_textures = SETTINGS[setting]
            colours = [name for name in near_colours if name in colours] or colours
            textures = [name for name in near_textures if name in textures] or textures
        members.append(
            Member(
                seed=int(rng.integers(2**31)),
                subject=subject,
                colour="orange" if subject == "flame" else str(rng.choice(colours)),
                texture=str(rng.choice(textures)),
                size=str(rng.choice(list(SIZES))),
                position=str(places[number]),
                distance=float((number + rng.uniform(0.15, 0.85)) / count),
                moving=bool(SUBJECTS[subject][0] in ("solid", "soft") and rng.random() < 0.1),
            )
        )
    return Group(
        seed=int(rng.integers(2**31)),
        part=part,
        setting=setting,
        time=str(rng.choice(TIMES, p=(0.3, 0.4, 0.2, 0.1))),
        members=tuple(members),
        focus=str(rng.choice(FOCUSES, p=(0.75, 0.25))),
    )
