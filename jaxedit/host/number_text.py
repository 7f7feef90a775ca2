"""Several numbers in one text, as people write them."""

from __future__ import annotations

import re

_SIZE = re.compile(r"\s*(\d{1,9})\s*[xX\u00d7]\s*(\d{1,9})\s*")


def whole(text: str, count: int) -> tuple[int, ...] | None:
    """Returns `count` whole numbers, from 0, which have commas between them, or spaces.

    None where the text is anything else, one separator here and another there included: two pairs
    may be two corners as well as a corner and a size.
    """
    words = [word.strip() for word in (text.split(",") if "," in text else text.split())]
    fits = len(words) == count and all(re.fullmatch(r"\d{1,9}", word) for word in words)
    return tuple(map(int, words)) if fits else None


def size(text: str) -> tuple[int, int] | None:
    """Returns (width, height) of `WIDTHxHEIGHT`, spaces or none; None where it is otherwise."""
    found = _SIZE.fullmatch(text)
    return None if found is None else (int(found[1]), int(found[2]))
