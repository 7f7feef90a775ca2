"""The sentence and the attributes that say what a scene shows."""

from __future__ import annotations

from typing import Any

from jaxedit.scenes.groups import Group
from jaxedit.scenes.parameters import Parameters

_PLACES = {
    "meadow": "in a meadow",
    "beach": "on a beach by the sea",
    "lake": "by a lake",
    "desert": "in the desert",
    "street": "on a street by a brick wall",
    "country road": "on a country road",
    "forest": "in a forest",
    "barn": "in front of a wooden barn",
    "brick wall": "in front of a brick wall",
    "hedge": "in front of a green hedge",
    "table": "on a wooden table",
    "sky": "in the sky",
}
_HOURS = {
    "morning": "in the morning",
    "noon": "at noon",
    "evening": "at sunset",
    "night": "at night",
}
_SIDES = {
    "left": "on the left",
    "middle": "in the middle",
    "right": "on the right",
}
_GROUP_SIDES = {**_SIDES, "far left": "on the far left", "far right": "on the far right"}
_MATERIALS = {
    "hair": {"plain": "", "shaded": "two-toned ", "mottled": "mottled "},
    "glass": {"plain": "glass "},
}
_TEXTURES = {"plain": "", "leafy": "leaf-covered ", "sandy": "sandstone ", "brick": "brick "}
_NOUNS = {"woman": "haired woman", "net": "fishing net", "smoke": "column of smoke"}


def caption(parameters: Parameters) -> str:
    """Returns one English sentence: subject, colour, texture, size, place and hour."""
    thing = noun_phrase(parameters)
    size = parameters.size
    place, hour = _PLACES[parameters.setting], _HOURS[parameters.time]
    side = _SIDES[parameters.position]
    blurred = "moving " if parameters.moving else ""
    focus = ", with a blurred background" if parameters.focus == "shallow" else ""
    sized = _with_article(f"{size} {blurred}{thing}")
    plain = _with_article(f"{blurred}{thing}")
    sentences = (
        f"{sized} {side}, {place} {hour}{focus}.",
        f"a photo of {sized} {place} {hour}, {side}{focus}.",
        f"{hour}, {sized} can be seen {side}, {place}{focus}.",
        f"{plain} {place} {hour}; it is {size} and {side} of the picture{focus}.",
        f"there is {sized} {place} {hour}, {side}{focus}.",
        f"a picture taken {place} {hour}, with {sized} {side}{focus}.",
        f"{side} there is {sized}, {place} {hour}{focus}.",
        f"a close view of {sized} {side}, {place} {hour}{focus}.",
    )
    sentence = sentences[parameters.wording]
    return sentence[0].upper() + sentence[1:]


def group_caption(group: Group) -> str:
    """Returns one English sentence: the members from near to far, the place and the hour."""
    things = []
    for place in group.far_to_near()[::-1]:
        member = group.members[place]
        blurred = "moving " if member.moving else ""
        thing = _with_article(f"{member.size} {blurred}{noun_phrase(group.scene(member))}")
        things.append(f"{thing} {_GROUP_SIDES[member.position]}")
    things[0] += " in front"
    things[-1] += " behind"
    named = f"{', '.join(things[:-1])} and {things[-1]}"
    focus = ", with a blurred background" if group.focus == "shallow" else ""
    sentence = f"{named}, {_PLACES[group.setting]} {_HOURS[group.time]}{focus}."
    return sentence[0].upper() + sentence[1:]


def group_attributes(group: Group) -> dict[str, Any]:
    """Returns what a group shows, field by field, as values that JSON can hold."""
    members = [
        {
            "instance": number,
            "subject": member.subject,
            "kind": member.kind,
            "class": member.category,
            "colour": member.colour,
            "texture": member.texture,
            "size": member.size,
            "position": member.position,
            "distance": member.distance,
            "moving": member.moving,
        }
        for number, member in enumerate(group.members, 1)
    ]
    return {
        "setting": group.setting, "time": group.time, "focus": group.focus, "members": members,
    }  # fmt: skip


def noun_phrase(parameters: Parameters) -> str:
    """Returns colour, texture and name of the subject: "brown striped cat"."""
    words = {**_TEXTURES, **_MATERIALS.get(parameters.kind, {})}
    texture = words.get(parameters.texture, f"{parameters.texture} ")
    name = _NOUNS.get(parameters.subject, parameters.subject)
    if name.startswith(("wine glass", "bubble")):
        texture = texture.replace("glass ", "")
    if parameters.subject == "woman":
        return f"{texture}{parameters.colour}-{name}"
    return f"{parameters.colour} {texture}{name}"


def attributes(parameters: Parameters) -> dict[str, Any]:
    """Returns what the scene shows, field by field, as values that JSON can hold."""
    return {
        "subject": parameters.subject,
        "kind": parameters.kind,
        "colour": parameters.colour,
        "texture": parameters.texture,
        "size": parameters.size,
        "position": parameters.position,
        "setting": parameters.setting,
        "time": parameters.time,
        "focus": parameters.focus,
        "moving": parameters.moving,
    }


def _with_article(phrase: str) -> str:
    return f"an {phrase}" if phrase[0] in "aeiou" else f"a {phrase}"
