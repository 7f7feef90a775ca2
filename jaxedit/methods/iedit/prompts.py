"""From a caption to an edit prompt: one word is replaced, a thing is added, or one is taken away.

The prompt says what the edited picture shows. What is drawn depends on the seed and on the
picture's name alone. Rules other than "replace" follow an article about the paper, unconfirmed [R].
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import zlib
from collections.abc import Iterator

import numpy as np

from jaxedit.methods.iedit.words import ADJECTIVE, NOUN, Words, plural, singulars

REPLACE, APPEND, REMOVE = "replace", "append", "remove"
RULES = (REPLACE, APPEND, REMOVE)
_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
_DETERMINERS = frozenset("a an the some his her its their one two three".split())
_CONNECTORS = frozenset("and with beside near holding wearing carrying behind".split())
# Begin with a vowel and sound otherwise, or the other way round.
_SAYS_A = ("uni", "use", "one", "euro", "ewe")
_SAYS_AN = ("hour", "honest", "heir")
_FAR = 4  # words between a connector and the noun that goes with it


@dataclasses.dataclass(frozen=True)
class Edit:
    """An edit prompt and what changed.

    Attributes:
      rule: one of RULES.
      prompt: what the edited picture shows.
      removed, added: the changed words; "" where there are none.
      source_phrase, target_phrase: what to look for in the source and in the target: a noun, or an
        adjective with its noun; "" for nothing.
    """

    rule: str
    prompt: str
    removed: str
    added: str
    source_phrase: str
    target_phrase: str


@dataclasses.dataclass(frozen=True)
class _Place:
    """A word, or several, of a caption that may be exchanged."""

    start: int
    end: int
    word: str
    kind: str
    others: tuple[str, ...]
    number: int  # of its first word
    count: int


def edit(
    caption: str, words: Words, key: str, seed: int, shares: tuple[float, float]
) -> Edit | None:
    """Returns an edit of a caption, or None where there is no word that can be exchanged.

    Args:
      caption: one line.
      words: what may take the place of what.
      key: the picture's name; the same one gives the same edit.
      seed: another one gives others.
      shares: of prompts to which a thing is added, and of those from which one is taken; where a
        caption has none that can be taken, a word is replaced.
    """
    caption = " ".join(caption.split())
    rng = np.random.default_rng((seed, zlib.crc32(key.encode("utf-8", "surrogateescape"))))
    chance = rng.random()
    found = None
    if chance < shares[0]:
        found = append(caption, words, rng)
    elif chance < sum(shares):
        found = remove(caption, words, rng)
    return found or replace(caption, words, rng)


def replace(caption: str, words: Words, rng: np.random.Generator) -> Edit | None:
    """Returns the caption with one noun or adjective exchanged, or None."""
    places = list(_places(caption, words))
    if not places:
        return None
    place = places[int(rng.integers(len(places)))]
    other = place.others[int(rng.integers(len(place.others)))]
    prompt = _put(caption, place, other)
    removed, added = caption[place.start : place.end].lower(), other
    noun = _noun_behind(caption, place, words) if place.kind == ADJECTIVE else ""
    phrase = lambda word: f"{word} {noun}".strip()
    return Edit(REPLACE, prompt, removed, added, phrase(removed), phrase(added))


def append(caption: str, words: Words, rng: np.random.Generator) -> Edit | None:
    """Returns the caption with a thing that it does not name, or None."""
    said = {match.group().lower() for match in _WORD.finditer(caption)}
    said |= {one for word in said for one in singulars(word)}
    things = [thing for thing in words.things if not said & set(thing.split())]
    if not things:
        return None
    thing = things[int(rng.integers(len(things)))]
    body, stop = (caption[:-1], ".") if caption.endswith(".") else (caption, "")
    return Edit(APPEND, f"{body} with {_article(thing)} {thing}{stop}", "", thing, "", thing)


def remove(caption: str, words: Words, rng: np.random.Generator) -> Edit | None:
    """Returns the caption without one of its side things ("with a red hat"), or None."""
    found = list(_WORD.finditer(caption))
    sides = []
    for place in _places(caption, words):
        if place.kind != NOUN:
            continue
        for first in range(place.number - 1, max(1, place.number - _FAR - 1), -1):
            before = found[first].group().lower()
            if before in _CONNECTORS and found[first + 1].group().lower() in _DETERMINERS:
                sides.append((found[first].start(), place))
                break
    if not sides:
        return None
    start, place = sides[int(rng.integers(len(sides)))]
    prompt = f"{caption[:start].rstrip(' ,')}{caption[place.end :]}"
    gone = caption[place.start : place.end].lower()
    return Edit(REMOVE, prompt, gone, "", gone, "")


def difference(caption: str, prompt: str) -> tuple[str, str]:
    """Returns the words of a caption that a prompt has not, and those that it has instead."""
    one, other = ([match.group().lower() for match in _WORD.finditer(text)]
                  for text in (caption, prompt))
    removed, added = [], []
    for what, a, b, c, d in difflib.SequenceMatcher(None, one, other, False).get_opcodes():
        if what != "equal":
            removed += one[a:b]
            added += other[c:d]
    articles = {"a", "an"}
    plain = lambda found: " ".join(word for word in found if word not in articles)
    return plain(removed), plain(added)


def _places(caption: str, words: Words) -> Iterator[_Place]:
    """Yields what can be exchanged, from left to right, of several readings the longest."""
    found = list(_WORD.finditer(caption))
    number = 0
    while number < len(found):
        for count in range(min(words.longest, len(found) - number), 0, -1):
            start, end = found[number].start(), found[number + count - 1].end()
            text = caption[start:end]
            named = number > 0 and any(letter.isupper() for letter in text)
            if named or (count > 1 and not re.fullmatch(r"[\w']+( [\w']+)*", text)):
                continue
            if place := _look_up(text.lower(), words):
                kind, others = place
                yield _Place(start, end, text, kind, others, number, count)
                number += count - 1
                break
        number += 1


def _look_up(word: str, words: Words) -> tuple[str, tuple[str, ...]] | None:
    if (known := words.find(word)) and known.others:
        return known.kind, known.others
    for one in singulars(word):
        if (known := words.find(one)) and known.kind == NOUN and known.others:
            return known.kind, tuple(map(plural, known.others))
    return None


def _put(caption: str, place: _Place, other: str) -> str:
    """Returns the caption with another word in the place, and the right article before it."""
    head, tail = caption[: place.start], caption[place.end :]
    if place.start == 0 and place.word[0].isupper():
        other = other[0].upper() + other[1:]
    repaired = re.sub(
        r"\b([Aa])n?( )$", lambda match: match[1] + _article(other)[1:] + match[2], head
    )
    return repaired + other + tail


def _article(word: str) -> str:
    word = word.lower()
    if word.startswith(_SAYS_A):
        return "a"
    return "an" if word.startswith((*"aeiou", *_SAYS_AN)) else "a"


def _noun_behind(caption: str, place: _Place, words: Words) -> str:
    """Returns the noun that an adjective belongs to: a known one of the next three, or the next."""
    behind = caption[place.end :]
    clause = re.match(r"(?:[ -][A-Za-z']+){1,3}", behind)
    if clause is None:
        return ""
    following = clause.group().replace("-", " ").split()
    for count in range(1, len(following) + 1):
        for start in range(count):
            noun = " ".join(following[start:count])
            spelled = (noun.lower(), *singulars(noun.lower()))
            if any((known := words.find(one)) and known.kind == NOUN for one in spelled):
                return noun
    return following[0]
