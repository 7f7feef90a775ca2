"""JSON as it comes from files that anybody may have changed: one reader, one kind of error.

The standard library's own takes a nesting of a hundred thousand brackets for a reason to raise
RecursionError, and an integer of four thousand digits for a number, which nothing after it can
turn into a float.
"""

from __future__ import annotations

import json
import re
from typing import Any

_LONGEST = 300  # digits of a whole number; a float ends at 308
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def loads(text: str | bytes, *, printable: bool = False) -> Any:
    """Returns the content of a JSON text, of UTF-8 with or without a mark where it is bytes.

    Args:
      text: one document. The constants NaN and Infinity, which Python writes, are numbers.
      printable: lone surrogates, which stand for the bytes of names that are not UTF-8 and cannot
        be written as text, are shown as escapes.

    Raises:
      ValueError: it is no JSON, no UTF-8, nested too deep, or holds a number of endless digits.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    try:
        found = json.loads(text, parse_int=_whole)
        return _printable(found) if printable and _SURROGATE.search(text) else found
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST:
        raise ValueError(f"it holds a number of {len(digits)} digits")
    return int(digits)


def shown(text: str) -> str:
    """Returns a text with escapes for its lone surrogates, as `loads` makes it `printable`."""
    return text.encode("utf-8", "backslashreplace").decode()


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, list):
        return [_printable(one) for one in value]
    if isinstance(value, dict):
        return {_printable(key): _printable(one) for key, one in value.items()}
    return value
