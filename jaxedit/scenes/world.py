"""A small world of scenes, in which small networks can learn what every word means.

One of eight subjects, in one of eight colours, large and in the middle, before one of six settings,
by day. Each scene is a `Parameters` like any other, so any attribute can be replaced and the scene
rendered again: the true result of an edit (`edited`). Captions say all three attributes and nothing
else, and are built so that one word can be exchanged for another in place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from jaxedit.host.names import check_choice
from jaxedit.scenes.parameters import Parameters

SUBJECTS = ("vase", "mug", "ball", "star", "mushroom", "fish", "cushion", "kite")
COLOURS = ("red", "orange", "green", "blue", "purple", "pink", "white", "black")
SETTINGS = ("meadow", "beach", "forest", "brick wall", "barn", "sky")
# What can be replaced, and by what.
ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "subject": SUBJECTS, "colour": COLOURS, "setting": SETTINGS,
}  # fmt: skip
WORDINGS = 4


def world_parameters(part: str, index: int) -> Parameters:
    """Returns scene `index` of a part, the same on every machine.

    Of every 384 in a row each combination of the three attributes is shown once, in an order that
    changes from one round to the next.
    """
    number = ("train", "eval").index(part)
    counts = [len(values) for values in ATTRIBUTES.values()]
    turn, place = divmod(index, int(np.prod(counts)))
    order = np.random.default_rng((number, turn, 3)).permutation(int(np.prod(counts)))
    places = np.unravel_index(order[place], counts)
    chosen = {
        name: values[int(at)]
        for (name, values), at in zip(ATTRIBUTES.items(), places, strict=True)
    }
    rng = np.random.default_rng((number, index, 4))
    return Parameters(
        seed=int(rng.integers(2**31)), part=part, texture="plain", size="large",
        position="middle", time="noon", wording=int(rng.integers(WORDINGS)), **chosen,
    )


def edited(parameters: Parameters, **changes: str) -> Parameters:
    """Returns the same scene with attributes replaced: `edited(scene, colour="blue")`.

    Raises:
      UserError: no such attribute or value in this world.
    """
    for name, value in changes.items():
        check_choice("In the small world, the attribute", name, ATTRIBUTES)
        check_choice(f"In the small world, the {name}", value, ATTRIBUTES[name])
    return dataclasses.replace(parameters, **changes)


def caption(parameters: Parameters) -> str:
    """Returns a line that says subject, colour and setting: "a red vase in front of the forest"."""
    thing = with_article(f"{parameters.colour} {parameters.subject}")
    place = f"the {parameters.setting}"
    return (
        f"{thing} in front of {place}",
        f"a photo of {thing} in front of {place}",
        f"in front of {place} there is {thing}",
        f"{place} behind {thing}",
    )[parameters.wording % WORDINGS]


def phrases(attributes: Mapping[str, str]) -> tuple[str, ...]:
    """Returns shorter things that are true of a scene, from its record's `attributes`."""
    subject, colour, setting = (attributes[name] for name in ATTRIBUTES)
    return (
        subject, with_article(subject), f"{colour} {subject}",
        with_article(f"{colour} {subject}"), f"the {setting}",
        f"{with_article(subject)} in front of the {setting}",
    )


def with_article(phrase: str) -> str:
    """Returns the phrase behind "a" or "an"."""
    return f"an {phrase}" if phrase[0] in "aeiou" else f"a {phrase}"
