"""The names that latent diffusion's parameters have in published files, against ours.

Our modules are called as the published ones, so that a table follows from our own variables: a
number in a list is joined by "_" here and by "." there, and leaves are `weight` and `bias`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxedit.weights import mirrored
from jaxedit.weights.table import Entry

_LISTS = ("down_blocks", "up_blocks", "resnets", "attentions", "downsamplers", "upsamplers",
          "transformer_blocks", "to_out", "net")
# The spelling of the first published autoencoders.
_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_OLD = re.compile(rf"(.*\.mid_block\.attentions\.\d+)\.({'|'.join(_OLD_ATTENTION)})\.(\w+)")


def conversion_table(variables: Mapping[str, Any]) -> dict[str, Entry]:
    """Returns the table of a UNet or an autoencoder.

    Args:
      variables: {"params": ...} of arrays or shape structs, as from `jax.eval_shape`.
    """
    return mirrored.table(variables, _LISTS)


def modern(name: str) -> str:
    """Returns today's published name of an autoencoder's parameter that has an old one."""
    found = _OLD.fullmatch(name)
    return f"{found[1]}.{_OLD_ATTENTION[found[2]]}.{found[3]}" if found else name


def prepare_autoencoder(published: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns `published` with today's names and shapes of the attention in the middle.

    Earlier files call its layers query, key, value and proj_attn, and the original ones have their
    kernels as 1 x 1 convolutions.
    """
    result = {}
    for name, array in published.items():
        name = modern(name)
        if re.search(r"\.mid_block\.attentions\.\d+\.to_\w+(\.0)?\.weight$", name):
            array = array.reshape(array.shape[:2]) if array.shape[2:] == (1, 1) else array
        result[name] = array
    return result
