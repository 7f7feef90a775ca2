"""SDIC (Zhang et al., AAAI 2024, arXiv 2312.07079) as `Method`s: what `config.part` names."""

from __future__ import annotations

import importlib

import ml_collections

from jaxedit.bounds import one_of
from jaxedit.method import Method
from jaxedit.methods.sdic import bounds

# config.part -> module and class.
PARTS = {"inversion": ("inversion_method", "InversionMethod")}
BOUNDS = {"part": one_of(*PARTS), **bounds.BOUNDS}


def create(config: ml_collections.ConfigDict, axis_name: str | None = None) -> Method:
    """Returns the method; raises UserError for a configuration that cannot be run."""
    module, name = PARTS[config.part]
    made = getattr(importlib.import_module(f"jaxedit.methods.sdic.{module}"), name)
    return made(config, axis_name)
