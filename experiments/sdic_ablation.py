"""Ablations of SDIC: which paths, which discrepancy, which guidance and which losses matter.

    jaxedit sweep experiments/sdic_ablation.py             the parts of the method, three seeds
    jaxedit sweep experiments/sdic_ablation.py:losses      what holds the corrections small
    jaxedit sweep experiments/sdic_ablation.py:training    statistics of the encoder, optimiser
    jaxedit sweep experiments/sdic_ablation.py:all         all of them, one change at a time
    jaxedit sweep experiments/sdic_ablation.py --list      what would be run
    python experiments/over_seeds.py differences runs/sdic_ablation --evaluation inversion-editing

Whether codes are edited before or after they are compensated needs no training of its own: every
run measures both, the second as the system `moved before`.

Generator, encoder and judge are those that come with jaxedit. A run finds directions, trains DIPN
and DICN, and measures the reconstruction (`evaluation.json`, which the sweep's table shows) and
edits beside true ones (`evaluations/inversion-editing.json`, which the last line compares): feature
injection can copy pixels, so that a small error of the reconstruction alone proves little.
"""

CONFIG = "configs/sdic.py:compensation"
SEEDS = (0, 1, 2)
TABLE = """
The tables of the SDIC paper (Zhang et al., AAAI 2024) could not be read: this list is what its
parts and its released code suggest. The encoder alone is measured in every run, beside the model.
Left out are taps of another size and other encoders: pictures are four taps wide, so that either
takes a generator's encoder of its own, see the preset chain of configs/sdic.py. At this scale, read
the figures for their order and their spread, not their size.
"""

CORE = {
    "full": {},
    "raw_residual": {"network.discrepancy": "residual"},
    "codes_alone": {"network.parts": "codes"},
    "feature_alone": {"network.parts": "feature"},
    "no_attention": {"network.attention": "none"},
    "attention_to_both": {"network.attention": "both"},
    "shared_down": {"network.shared_down": True},
    "no_gate": {"network.gate": False},
}

LOSSES = {
    "full": {},
    **{f"compensation_{value}": {"loss.compensation": value} for value in (0.0, 0.1, 2.0)},
    **{f"feature_share_{value}": {"loss.feature_share": value} for value in (0.2, 0.5)},
    **{f"residual_{value}": {"loss.residual": value} for value in (0.1, 1.0)},
    "no_perceptual": {"loss.perceptual": 0.0},
}

TRAINING = {
    "full": {},
    "encoder_by_batch": {"network.encoder_norm": "batch"},
    "stored_noise": {"network.noise": "stored"},
    "no_lookahead": {"optim.lookahead": 0},
}

SETS = {"core": CORE, "losses": LOSSES, "training": TRAINING,
        "all": {**CORE, **LOSSES, **TRAINING}}


def variants(chosen: str = "core") -> dict[str, dict]:
    """Returns name -> overrides of a set: core, losses, training or all."""
    from jaxedit.config import choose_preset

    return choose_preset(SETS, chosen)
