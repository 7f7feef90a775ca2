"""Ablations of DPT matting: what pre-training gives, and which of its choices matter.

    jaxedit sweep experiments/matting_ablation.py             pre-trained or not, three seeds
    jaxedit sweep experiments/matting_ablation.py:all         every choice, one change at a time
    jaxedit sweep experiments/matting_ablation.py:pretrained  starts that need public weights
    jaxedit sweep experiments/matting_ablation.py --list      what would be run

Runs are at demo scale. For the published size give a configuration of your own, or override: they
take any --config.KEY=VALUE. The grid of cells and its noise act in pre-training alone, data.affine
and the terms of the loss in both stages, loss.regions=whole in fine-tuning.
"""

import pathlib

from jaxedit import config as config_lib

CONFIG = "configs/matting.py"
SEEDS = (0, 1, 2)
TABLE = """
The sweeps that a reader of DPT's paper asks for. Its own tables could not be read, so none is
mirrored number by number: read these figures for their order and their spread, at demo scale.
"""

_RECIPE = config_lib.load_module(pathlib.Path(__file__).resolve().parents[1] / CONFIG)
_PRETRAIN = _RECIPE.demo().stages[0]
_ALL_WEIGHTS = _RECIPE.CARRY
_ENCODER = (
    ("pretrain:params/network/encoder", "params/network/encoder"),
    ("pretrain:stats/network/spectral/encoder", "stats/network/spectral/encoder"),
    ("pretrain:stats/network/batch_stats/encoder", "stats/network/batch_stats/encoder"),
)


def _stages(carry: tuple | None) -> tuple:
    """Returns pre-training and fine-tuning with `carry`; None is fine-tuning from scratch."""
    if carry is None:
        return ({"name": "finetune", "overrides": {}},)
    return (_PRETRAIN, {"name": "finetune", "overrides": {}, "carry": carry})


# The networks alone: the classical baselines need no training and stand in the demo's own table.
_COMMON = {"evaluate.compare": (), "evaluate.classical": False}
_DPT = {**_COMMON, "stages": _stages(_ALL_WEIGHTS)}
_SCRATCH = {**_COMMON, "stages": _stages(None)}
_RESNET = {"network.backbone": "resnet34"}

CORE = {
    "dpt": _DPT,
    "scratch": _SCRATCH,
}

OTHERS = {
    # the pre-training task
    "cell_3": {**_DPT, "data.cell": 3},
    "cell_14": {**_DPT, "data.cell": 14},
    "cell_28": {**_DPT, "data.cell": 28},
    "known_10": {**_DPT, "data.known": 0.1},
    "known_50": {**_DPT, "data.known": 0.5},
    "known_75": {**_DPT, "data.known": 0.75},
    "foreground_cells_25": {**_DPT, "data.foreground_share": 0.25},
    "foreground_cells_75": {**_DPT, "data.foreground_share": 0.75},
    "noise_per_cell": {**_DPT, "data.alpha_noise": "cell"},
    "noise_smooth": {**_DPT, "data.alpha_noise": "smooth"},
    "noise_gaussian": {**_DPT, "data.alpha_noise": "gaussian"},
    "flat_second_image": {**_DPT, "data.second_image": "colour"},
    "no_affine": {**_DPT, "data.affine": False},
    # the terms of the loss, in both stages
    "no_alpha_loss": {**_DPT, "loss.alpha": 0.0},
    "no_composition_loss": {**_DPT, "loss.composition": 0.0},
    "no_laplacian_loss": {**_DPT, "loss.laplacian": 0.0},
    "whole_image_loss": {**_DPT, "loss.regions": "whole"},
    # what is carried over
    "encoder_only": {**_COMMON, "stages": _stages(_ENCODER)},
    # the number of labelled foregrounds
    "foregrounds_16": {**_DPT, "data.foreground_limit": 16},
    "foregrounds_16_scratch": {**_SCRATCH, "data.foreground_limit": 16},
    "foregrounds_64": {**_DPT, "data.foreground_limit": 64},
    "foregrounds_64_scratch": {**_SCRATCH, "data.foreground_limit": 64},
    # the width of the trimaps, in training and, where named so, in evaluation
    "trimap_narrow": {**_DPT, "data.trimap_width": (1, 5)},
    "trimap_wide": {**_DPT, "data.trimap_width": (9, 25)},
    "trimap_evaluated_at_3": {**_DPT, "evaluate.trimap": "made", "evaluate.trimap_width": 3},
    "trimap_evaluated_at_8": {**_DPT, "evaluate.trimap": "made", "evaluate.trimap_width": 8},
    # the backbone
    "resnet34": {**_DPT, **_RESNET},
    "resnet34_scratch": {**_SCRATCH, **_RESNET},
    "resnet34_guided": {**_DPT, **_RESNET, "network.guided_attention": True},
}

# Published sizes; need `jaxedit weights convert` for swin-tiny and dpt.
_FULL = {
    "network.embed_dim": 96, "network.depths": (2, 2, 6, 2), "network.heads": (3, 6, 12, 24),
    "network.width": 32, "network.decoder_blocks": (2, 3, 3, 2),
}
PRETRAINED = {
    "full_scratch": {**_SCRATCH, **_FULL},
    "full_swin_tiny": {**_SCRATCH, **_FULL, "network.initial": "swin-tiny"},
    "full_dpt": {**_SCRATCH, **_FULL, "network.initial": "dpt"},
}

SETS = {"core": CORE, "all": {**CORE, **OTHERS}, "pretrained": PRETRAINED}


def variants(chosen: str = "core") -> dict[str, dict]:
    """Returns name -> overrides of a set: core, all or pretrained."""
    return config_lib.choose_preset(SETS, chosen)
