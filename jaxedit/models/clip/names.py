"""The names that the parameters of CLIP and CLIPSeg have in published files, against ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxedit.models.clip.configs import CLIPConfig, CLIPSegConfig
from jaxedit.weights import mirrored
from jaxedit.weights.table import Entry

_LISTS = ("layers", "reduces", "transposed_convolution")
_TRANSPOSED = r"decoder\.transposed_convolution(\.[24])?"
_OUTSIDE = ("text_projection.", "visual_projection.", "logit_scale")


def conversion_table(variables: Mapping[str, Any]) -> dict[str, Entry]:
    """Returns the table of a CLIP, a tower of it or a CLIPSeg.

    Args:
      variables: {"params": ...} of arrays or shape structs, as from `jax.eval_shape`.
    """
    return mirrored.table(variables, _LISTS, _TRANSPOSED)


def modern(name: str, config: CLIPConfig | CLIPSegConfig) -> str:
    """Returns `name` with the prefix that files of one tower alone have or have not."""
    if isinstance(config, CLIPSegConfig) or None not in (config.text, config.vision):
        return name
    prefix = "text_model." if config.vision is None else "vision_model."
    return name if name.startswith((prefix, *_OUTSIDE)) else prefix + name


def prepare(
    published: Mapping[str, np.ndarray], config: CLIPConfig | CLIPSegConfig
) -> dict[str, np.ndarray]:
    """Returns the arrays by today's names, without the whole numbers that count positions."""
    return {
        modern(name, config): array for name, array in published.items()
        if not name.endswith("position_ids")
    }
