"""SDIC (Zhang et al., AAAI 2024, arXiv 2312.07079) as `Method`s: what `config.part` names."""

from __future__ import annotations

from collections.abc import Mapping

import ml_collections

from jaxedit.bounds import one_of
from jaxedit.method import Method, of_part
from jaxedit.methods.sdic import bounds
from jaxedit.state import Artifact

# config.part -> module and class.
PARTS = {
    "encoder": "jaxedit.methods.sdic.encoder_method:EncoderMethod",
    "generator": "jaxedit.methods.sdic.generator_method:GeneratorMethod",
    "judge": "jaxedit.methods.sdic.judge_method:JudgeMethod",
    "directions": "jaxedit.methods.sdic.directions_stage:DirectionsStage",
    "inversion": "jaxedit.methods.sdic.inversion_method:InversionMethod",
}
BOUNDS = {"part": one_of(*PARTS), **bounds.BOUNDS}


def create(
    config: ml_collections.ConfigDict,
    axis_name: str | None = None,
    artifacts: Mapping[str, Artifact] | None = None,
) -> Method:
    """Returns the method; raises UserError for a configuration that cannot be run."""
    return of_part(PARTS, config, axis_name, artifacts)
