"""Ablations of iEdit: which of its losses, of its pairs and of its sampler's choices matter.

    jaxedit sweep experiments/iedit_ablation.py            the losses, three seeds
    jaxedit sweep experiments/iedit_ablation.py:pairs      how pairs are found
    jaxedit sweep experiments/iedit_ablation.py:sampling   how edits are made
    jaxedit sweep experiments/iedit_ablation.py:all        all of them, one change at a time
    jaxedit sweep experiments/iedit_ablation.py --list     what would be run

Each run is the whole chain on the small world of scenes, from nothing: autoencoder, denoiser,
towers, segmenter, pairs, latents, fine-tuning; it is judged by edits whose true results are known,
beside the network before fine-tuning. Hours a run on two cores: take a machine with more, or fewer
steps, --config.stages.diffusion.train.steps=2000.
"""

CONFIG = "configs/iedit.py:scenes"
SEEDS = (0, 1, 2)
TABLE = """
The tables of the iEdit paper (Bodur et al., CVPR 2024 workshop) could not be read: this list of
ablations is ours. Of what its abstract names, weakly supervised pairs and masks that say what
changes, each is taken away. At this scale, read the figures for their order and their spread, not
their size.
"""


def _tuned(**changes) -> dict:
    """Returns overrides of the stage that fine-tunes; `group__key` is the key `group.key`."""
    return {f"stages.finetune.{key.replace('__', '.')}": value for key, value in changes.items()}


CORE = {
    "full": {},
    "no_mask": _tuned(loss__mask=0.0),
    "mask_alone": _tuned(loss__pair=0.0),
    "no_perceptual": _tuned(loss__perceptual=0.0),
    "plain_weighting": _tuned(loss__weighting="none"),
    "self_target": _tuned(data__target="self"),
    "text_attention_alone": _tuned(finetune__scope="attn2"),
}

LOSSES = {
    "pair_alone": _tuned(loss__mask=0.0, loss__perceptual=0.0),
    "pair_weight_1": _tuned(loss__pair=1.0),
    "composite_mask": _tuned(loss__form="composite"),
    "source_mask": _tuned(loss__mask_of="source"),
    "mask_not_grown": _tuned(loss__mask_grown=0),
    "mask_grown_3": _tuned(loss__mask_grown=3),
    "no_empty_prompt": _tuned(text__drop=0.0),
}

PAIRS = {
    "full": {},
    "half_the_scenes": {"data.source": "half:first:scenes:world:64"},
    "nouns": {"pairs.words": "experiments/iedit_words_nouns.json"},
    "adjectives": {"pairs.words": "experiments/iedit_words_adjectives.json"},
    "beta_0.25": {"pairs.beta": 0.25},
    "beta_0.75": {"pairs.beta": 0.75},
    "likelier_targets": {"pairs.cos_text": 0.3},
    "near_targets": {"pairs.cos_img": (0.5, 0.98)},
    "large_masks": {"pairs.area": (0.05, 0.8)},
}

SAMPLING = {
    "full": {},
    "inverted_start": _tuned(sample__start="ddim", sample__guidance=2.0),
    "no_mask_in_sampling": _tuned(sample__masked=False),
    **{f"strength_{value}": _tuned(sample__strength=value) for value in (0.3, 0.5, 0.9, 1.0)},
    **{f"guidance_{value}": _tuned(sample__guidance=value) for value in (5.0, 7.5, 15.0)},
    **{f"steps_{value}": _tuned(sample__steps=value) for value in (20, 50, 100)},
}

SETS = {"core": CORE, "pairs": PAIRS, "sampling": SAMPLING,
        "all": {**CORE, **LOSSES, **PAIRS, **SAMPLING}}


def variants(chosen: str = "core") -> dict[str, dict]:
    """Returns name -> overrides of a set: core, pairs, sampling or all."""
    from jaxedit.config import choose_preset

    return choose_preset(SETS, chosen)
