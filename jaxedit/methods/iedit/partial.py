"""Which of a UNet's parameters are fine-tuned, as a tree of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flax import traverse_util

PyTree = Any
SCOPES = ("all", "attn2")


def part(params: PyTree, scope: str) -> PyTree:
    """Returns the parameters that are trained: all, or those of the attention to the text.

    Args:
      params: of a UNet, a nested dict.
      scope: one of `SCOPES`.
    """
    if scope == "all":
        return params
    flat = traverse_util.flatten_dict(params)
    return traverse_util.unflatten_dict({key: x for key, x in flat.items() if scope in key})


def merged(params: PyTree, trained: PyTree) -> PyTree:
    """Returns `params` with those of `trained`, a part of them, in their places."""
    if not isinstance(params, Mapping):
        return trained
    return {key: merged(node, trained[key]) if key in trained else node
            for key, node in params.items()}
