"""Coarse to fine: a synthesis network of more stages starts from one of fewer (the release).

The second stage takes encoder and decoder and adds a decoder block with heads of its own; the third
takes everything and adds its last convolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flax import traverse_util

from jaxedit.errors import UserError

PyTree = Any
# What may be new in a network of more stages: by its first key, of another shape or absent there.
_NEW = ("decoder_up", "to_rgb", "to_semantic", "refine")


def grown(tree: Mapping[str, Any], fresh: PyTree | None, source: str) -> PyTree:
    """Returns `fresh` parameters with those of `tree` in every place where they fit.

    Args:
      tree: parameters of a synthesis network of as many or fewer stages.
      fresh: those of the one to start.
      source: what messages call the former.

    Raises:
      UserError: more is missing or different than a further stage adds.
    """
    if fresh is None:
        return tree
    old, new = (traverse_util.flatten_dict(dict(one)) for one in (tree, fresh))
    for path, leaf in new.items():
        fits = path in old and tuple(old[path].shape) == tuple(leaf.shape)
        if not fits and path[0] not in _NEW:
            there = tuple(old[path].shape) if path in old else "absent"
            raise UserError(
                f"The synthesis network {source!r} cannot be grown into this one: "
                f"{'/'.join(path)} has the shape {there} there, {tuple(leaf.shape)} here. Both "
                "need the same network.classes and network.width."
            )
        if fits:
            new[path] = old[path]
    left = [path for path in old if path not in new]
    if left:
        raise UserError(
            f"The synthesis network {source!r} has more stages than this one: "
            f"{'/'.join(left[0])} has no place here. Raise network.stages."
        )
    return traverse_util.unflatten_dict(new)
