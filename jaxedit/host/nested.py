"""Nested dicts as one level of dotted keys, and back.

Flax has the same for trees of arrays, but brings JAX with it: too slow for a mistyped flag, and no
part of a report.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flatten(tree: Any, separator: str = ".") -> dict[str, Any]:
    """Returns dotted key -> value of every leaf of nested dicts; of a leaf alone, "" -> it."""
    if not isinstance(tree, Mapping):
        return {"": tree}
    return {
        f"{key}{separator}{inner}" if inner else str(key): leaf
        for key, value in tree.items() for inner, leaf in flatten(value, separator).items()
    }


def unflatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns dotted key -> value as nested dicts: the inverse of `flatten`."""
    tree: dict[str, Any] = {}
    for key, value in values.items():
        *groups, last = key.split(".")
        node = tree
        for group in groups:
            node = node.setdefault(group, {})
        node[last] = value
    return tree
