"""The text encoder of Stable Diffusion 1.x: CLIP ViT-L/14's text tower, without its projection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxedit.models.clip import folder, names
from jaxedit.models.clip.configs import L14, CLIPConfig
from jaxedit.weights.table import Entry

# L/14's, without the projection.
CONFIG = CLIPConfig(L14.text, vision=None, projection_dim=None)


def options(published: Mapping[str, Any]) -> dict[str, Any]:
    """Returns {"config": ...} of a published `text_encoder/config.json`."""
    return {"config": CLIPConfig.from_published(published, "text_encoder/config.json")}


def table(config: CLIPConfig = CONFIG) -> dict[str, Entry]:
    """Returns the conversion table."""
    return folder.conversion_table(config)


def variables(config: CLIPConfig = CONFIG) -> dict[str, Any]:
    """Returns our variables as shape structs."""
    return folder.variables(config)


def prepare(published: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns published arrays with the prefix of today's names."""
    return names.prepare(published, CONFIG)
