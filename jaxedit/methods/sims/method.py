"""SIMS as `Method`s: `config.part` says which, and a run's stages go through them in turn."""

from __future__ import annotations

from collections.abc import Mapping

import ml_collections

from jaxedit.method import Method, of_part
from jaxedit.methods.sims import bounds
from jaxedit.state import Artifact

BOUNDS = bounds.BOUNDS
# config.part -> module and class.
PARTS = {
    "bank": "jaxedit.methods.sims.bank_stage:BankStage",
    "canvases": "jaxedit.methods.sims.canvas_stage:CanvasStage",
    "compose": "jaxedit.methods.sims.compose_stage:ComposeStage",
    "pasted": "jaxedit.methods.sims.pasted_method:Pasted",
    "align": "jaxedit.methods.sims.align_method:Align",
    "order": "jaxedit.methods.sims.order_method:Order",
    "synthesis": "jaxedit.methods.sims.synthesis_method:Synthesis",
}


def create(
    config: ml_collections.ConfigDict,
    axis_name: str | None = None,
    artifacts: Mapping[str, Artifact] | None = None,
) -> Method:
    """Returns the method; raises UserError for a configuration that cannot be run."""
    return of_part(PARTS, config, axis_name, artifacts)
