"""Conversion tables of networks whose modules are called as the published ones.

Such a table follows from our own variables: a number in a list is joined by "_" here and by "."
there, and the leaves `kernel`, `scale` and `embedding` are all called `weight`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from flax import traverse_util

from jaxedit.weights.table import Entry

_KINDS = {4: "conv", 2: "linear"}


def table(
    variables: Mapping[str, Any], lists: Sequence[str], transposed: str = ""
) -> dict[str, Entry]:
    """Returns the conversion table of a network.

    Args:
      variables: {"params": ...} of arrays or shape structs, as from `jax.eval_shape`.
      lists: names of the published lists of modules, for example "resnets".
      transposed: a regular expression of the published names of transposed convolutions.
    """
    numbered = re.compile(rf"({'|'.join(lists)})_(\d+)")
    result = {}
    for path, leaf in traverse_util.flatten_dict(variables).items():
        *modules, kind = path[1:]
        name = ".".join(numbered.sub(r"\1.\2", module) for module in modules)
        if kind == "kernel":
            turned = transposed and re.fullmatch(transposed, name)
            result[f"{name}.weight"] = Entry(
                path, "transposed_conv" if turned else _KINDS[len(leaf.shape)]
            )
        elif kind in ("scale", "embedding"):
            result[f"{name}.weight"] = Entry(path)
        else:
            result[f"{name}.{kind}" if name else kind] = Entry(path)
    return result
