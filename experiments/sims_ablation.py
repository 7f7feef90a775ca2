"""Ablations of SIMS: which choices carry the result, at demo scale.

    jaxedit sweep experiments/sims_ablation.py                  what decides on the canvas
    jaxedit sweep experiments/sims_ablation.py:network          what the painting network needs
    jaxedit sweep experiments/sims_ablation.py:network_others   more of that
    jaxedit sweep experiments/sims_ablation.py --list           what would be run

`canvas` trains no painter: bank, alignment, order and canvases of 200 layouts, which are measured
as they are, before any seam is erased. Each seed draws another half of the pictures for the bank,
so the spread is that of the bank (but where its size is varied). Order is the classes' prior unless
a variant says otherwise: then one network fewer is trained in each run.

`network` trains a painter for 400 steps, on training canvases and as the variant has it, with the
whole bank and the prior's order. `no_canvas` is the purely parametric network.
"""

import pathlib

from jaxedit import config as config_lib

CONFIG = "configs/sims.py"
SEEDS = (0, 1, 2)
TABLE = """
Mirrors what the SIMS paper argues for (Qi et al., CVPR 2018): contexts in the search for donors,
alignment, ordering, erased seams, training canvases that deny a clean copy. The publication trains
at 256 x 512 pixels for 800 epochs; at demo scale, read these figures for their order and their
spread, not their size.
"""

_STAGES = {s["name"]: s for s in config_lib.load_module(
    pathlib.Path(__file__).resolve().parents[1] / CONFIG
).demo().stages}
_LAYOUTS = {"source": "artifact:composed", "split": "eval"}


def _composed(**start: str) -> dict:
    """Returns the stage that makes canvases, with networks by name from the stages that have them.
    """
    pairs = tuple((f"{stage}:ema/{name}", f"params/{name}") for name, stage in start.items())
    return {**_STAGES["composed"], "start": pairs}


def _canvas(*before: dict, **start: str) -> tuple:
    """Returns the stages up to measured canvases."""
    measured = {"name": "pasted", "overrides": {
        "part": "pasted", "train": {"steps": 0}, "evaluate": _LAYOUTS,
    }}
    return (_STAGES["bank"], *before, _composed(**start), measured)


def _network(synthesis: str = "synthesis") -> tuple:
    """Returns the stages up to one painter, measured alone."""
    painter = _STAGES[synthesis]
    overrides = {**painter["overrides"], "evaluate": _LAYOUTS}
    return (
        _STAGES["bank"], _STAGES["canvases"], _composed(), {**painter, "overrides": overrides},
    )


# The alignment network is as wide as the demo's ordering network, and trained for three times as
# many steps.
_ALIGN = {"name": "align", "overrides": {
    "part": "align", "network": {"width": 8}, "train": {"steps": 1200, "evaluate_every": 0},
    "optim": {"lr": 3e-4},
}}
_PASTED = {
    "stages": _canvas(), "evaluate.stages": ("pasted",), "evaluate.metrics": ("spectrum_distance",),
    "bank.share": 0.5, "compose.order": "prior", "compose.erase": "none",
}
_ALIGNED = {**_PASTED, "stages": _canvas(_ALIGN, alignment="align")}
_DRAWN = {**_PASTED, "compose.vary": True}

CANVAS = {
    "reference": _PASTED,
    # the score of donors
    "masks_alone": {**_PASTED, "compose.context": False},
    # how many donors one is drawn from; the reference takes the best
    "drawn_of_3": {**_DRAWN, "compose.candidates": 3},
    "drawn_of_10": {**_DRAWN, "compose.candidates": 10},
    "drawn_of_all": {**_DRAWN, "compose.candidates": 1024},
    # the size of the bank
    "bank_16th": {**_PASTED, "bank.share": 1 / 16},
    "bank_4th": {**_PASTED, "bank.share": 1 / 4},
    "bank_whole": {**_PASTED, "bank.share": 1.0},
    # the reference's alignment goes by moments
    "align_off": {**_PASTED, "align.kind": "off", "stages": _canvas()},
    "align_shift": {**_ALIGNED, "align.kind": "shift"},
    "align_affine": {**_ALIGNED, "align.kind": "affine"},
    # the order: as trained, as it is trained to be, by the number of the class (which is nearly
    # the prior's order here: sky is 0, object 14), and drawn
    "order_network": {
        **_PASTED, "compose.order": "network",
        "stages": _canvas(_STAGES["order"], ordering="order"),
    },
    "order_depth": {**_PASTED, "compose.order": "depth"},
    "order_none": {**_PASTED, "compose.order": "none"},
    "order_random": {**_PASTED, "compose.order": "random"},
}

_PAINTED = {
    "stages": _network(), "evaluate.stages": ("synthesis",), "compose.order": "prior",
    "train.steps": 400,
}

NETWORK = {
    "reference": _PAINTED,
    "no_canvas": {
        **_PAINTED, "stages": _network("parametric"), "evaluate.stages": ("parametric",),
    },
    "no_elision": {**_PAINTED, "compose.erase": "none", "canvases.elision": "none"},
    "no_colour_transfer": {**_PAINTED, "canvases.transfer": 0.0},
    "no_stencil": {**_PAINTED, "canvases.stencil": False},
}

OTHERS = {
    # seams
    "elision_paper": {**_PAINTED, "compose.erase": "paper", "canvases.elision": "paper"},
    # training canvases
    "no_label_noise": {**_PAINTED, "canvases.label_noise": False},
    "transfer_always": {**_PAINTED, "canvases.transfer": 1.0},
    "whole_donor": {**_PAINTED, "canvases.transfer": 1.0, "canvases.whole_donor": True},
    "one_canvas_each": {**_PAINTED, "canvases.sets": 1},
    # what the network is handed, and what it is asked for
    "layout_as_asked": {**_PAINTED, "compose.rewrite": False},
    "no_semantic_head": {**_PAINTED, "loss.semantic": 0.0},
    "features_alone": {
        **_PAINTED, "loss.weights": (0.0, 1 / 2.6, 1 / 4.8, 1 / 3.7, 1 / 5.6, 10 / 1.5),
    },
    "width_8": {**_PAINTED, "network.width": 8},
}

SETS = {"canvas": CANVAS, "network": NETWORK, "network_others": OTHERS}


def variants(chosen: str = "canvas") -> dict[str, dict]:
    """Returns name -> overrides of a set: canvas, network or network_others."""
    return config_lib.choose_preset(SETS, chosen)
