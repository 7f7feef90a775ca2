"""Nested dicts as one level of dotted keys, and back; Flax does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flatten(tree: Any, separator: str = ".") -> dict[str, Any]:
    """Returns dotted key -> value of every leaf of nested dicts; of a leaf alone, "" -> it."""
    from flax import traverse_util  # slow to import: not for a mistyped flag

    if not isinstance(tree, Mapping):
        return {"": tree}
    flat = traverse_util.flatten_dict(dict(tree))
    return {separator.join(map(str, path)): leaf for path, leaf in flat.items()}


def unflatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns dotted key -> value as nested dicts: the inverse of `flatten`."""
    from flax import traverse_util

    return traverse_util.unflatten_dict(dict(values), sep=".")
