"""The sentence and the attributes that say what a scene shows."""

from __future__ import annotations

from typing import Any

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
