"""iEdit (Bodur et al., CVPR 2024 workshop, arXiv 2305.05947) as `Method`s.

`config.part` says which; a run's stages go through them in turn.
"""

from __future__ import annotations

from collections.abc import Mapping

import ml_collections

from jaxedit.method import Method, of_part
from jaxedit.methods.iedit import bounds
from jaxedit.state import Artifact

BOUNDS = bounds.BOUNDS
# config.part -> module and class.
PARTS = {
    "autoencoder": "jaxedit.methods.iedit.autoencoder_method:Autoencoder",
    "diffusion": "jaxedit.methods.iedit.diffusion_method:Diffusion",
    "towers": "jaxedit.methods.iedit.towers_method:Towers",
    "segmenter": "jaxedit.methods.iedit.segmenter_method:Segmenter",
    "judge": "jaxedit.methods.iedit.judge_method:JudgeMethod",
    "collection": "jaxedit.methods.iedit.collection:CollectionStage",
    "matches": "jaxedit.methods.iedit.matches:MatchStage",
    "pairs": "jaxedit.methods.iedit.pair_stage:PairStage",
    "latents": "jaxedit.methods.iedit.latent_stage:LatentStage",
    "finetune": "jaxedit.methods.iedit.finetune_method:FineTuning",
}


def create(
    config: ml_collections.ConfigDict,
    axis_name: str | None = None,
    artifacts: Mapping[str, Artifact] | None = None,
) -> Method:
    """Returns the method; raises UserError for a configuration that cannot be run."""
    return of_part(PARTS, config, axis_name, artifacts)
