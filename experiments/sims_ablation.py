"""Ablations of SIMS: which choices carry the result, at demo scale.

    jaxedit sweep experiments/sims_ablation.py          the parts of the method, three seeds
    jaxedit sweep experiments/sims_ablation.py:all      every choice, one change at a time
    jaxedit sweep experiments/sims_ablation.py --list   what would be run

Each run is the whole chain: bank, training canvases, ordering, composition, and two synthesis
networks, with canvases and purely parametric; so "no canvas" stands in every run's own table.
"""

CONFIG = "configs/sims.py"
SEEDS = (0, 1, 2)
TABLE = """
Mirrors what the SIMS paper argues for (Qi et al., CVPR 2018): contexts in the search for donors,
alignment, ordering, erased seams, training canvases that deny a clean copy. The publication trains
at 256 x 512 pixels for 800 epochs; at demo scale, read these figures for their order and their
spread, not their size.
"""

_HALF = "half:first:half:first:scenes:several:64"

CORE = {
    "full": {},
    "masks_alone": {"compose.context": False},
    "no_alignment": {"align.kind": "off"},
    "order_prior": {"compose.order": "prior"},
    "no_elision": {"compose.erase": "none", "canvases.elision": "none"},
    "no_colour_transfer": {"canvases.transfer": 0.0},
}

OTHERS = {
    # the order: the best there can be, and none at all
    "order_depth": {"compose.order": "depth"},
    "order_none": {"compose.order": "none"},
    # seams
    "elision_paper": {"compose.erase": "paper", "canvases.elision": "paper"},
    # training canvases
    "no_stencil": {"canvases.stencil": False},
    "no_label_noise": {"canvases.label_noise": False},
    "transfer_always": {"canvases.transfer": 1.0},
    "whole_donor": {"canvases.whole_donor": True},
    "one_canvas_each": {"canvases.sets": 1},
    # half as many pictures to learn from and to take segments of
    "half_the_bank": {"data.source": _HALF},
    # what the network is handed, and what it is asked for
    "layout_as_asked": {"compose.rewrite": False},
    "no_semantic_head": {"loss.semantic": 0.0},
    "features_alone": {"loss.weights": (0.0, 1 / 2.6, 1 / 4.8, 1 / 3.7, 1 / 5.6, 10 / 1.5)},
    "half_the_width": {"network.width": 8},
}

SETS = {"core": CORE, "all": {**CORE, **OTHERS}}


def variants(chosen: str = "core") -> dict[str, dict]:
    """Returns name -> overrides of a set: core or all."""
    from jaxedit.config import choose_preset

    return choose_preset(SETS, chosen)
