"""Ablations of SCAT: which of its parts carry the result, at demo scale.

    jaxedit sweep experiments/scat_ablation.py          the parts of the method, three seeds
    jaxedit sweep experiments/scat_ablation.py:all      every choice, one change at a time
    jaxedit sweep experiments/scat_ablation.py --list   what would be run

For the published size give a configuration of your own, or override: the runs take any
--config.KEY=VALUE, for example --config.image_size=256 --config.data.source=folder:/data/places2.
"""

CONFIG = "configs/scat.py:from_scratch"
SEEDS = (0, 1, 2)
TABLE = """
Mirrors the components that the SCAT paper argues for (Zuo et al., AAAI 2023): the
segmentation-confusion adversarial loss and the two contrastive losses, each removed, beside the
losses of AOT-GAN, its backbone. The publication trains at 256 pixels for 300,000 steps and more;
at demo scale, read these figures for their order and their spread, not their size.
"""

# What SCAT adds to a plain L1 loss, all taken away.
_NO_SCAT = {
    "loss.global_adversarial": 0.0,
    "loss.segmentation": 0.0,
    "loss.textural": 0.0,
    "loss.semantic": 0.0,
}
# AOT-GAN (Zeng et al., 2022), section 3: weights 1, 250, 0.1 and 0.01, patch discriminator, Adam
# betas (0.5, 0.999), bilinear upsampling. Its features are those of a random VGG unless named
# otherwise: the demo has no weights to download.
_AOT_GAN = {
    **_NO_SCAT,
    "loss.l1": 1.0,
    "loss.style": 250.0,
    "loss.perceptual": 0.1,
    "loss.patch": 0.01,
    "loss.simultaneous": True,
    "loss.features": "random_features",
    "generator.upsample": "bilinear_ac",
    "optim.betas": (0.5, 0.999),
}

CORE = {
    "full": {},
    "no_segmentation": {"loss.segmentation": 0.0},
    "no_contrastive": {"loss.textural": 0.0, "loss.semantic": 0.0},
    "aot_gan_losses": _AOT_GAN,
}

OTHERS = {
    "l1_only": _NO_SCAT,
    # the adversarial terms
    "no_global": {"loss.global_adversarial": 0.0},
    "no_adversarial": {"loss.global_adversarial": 0.0, "loss.segmentation": 0.0},
    "global_nsgan": {"loss.global_gan": "nsgan"},
    "global_lsgan": {"loss.global_gan": "lsgan"},
    "segmentation_nsgan": {"loss.scat_gan": "nsgan"},
    "segmentation_lsgan": {"loss.scat_gan": "lsgan"},
    "both_nsgan": {"loss.global_gan": "nsgan", "loss.scat_gan": "nsgan"},
    "both_lsgan": {"loss.global_gan": "lsgan", "loss.scat_gan": "lsgan"},
    "segmentation_all_pixels": {"loss.scat_g_region": "all"},
    # the contrastive terms
    "no_textural": {"loss.textural": 0.0},
    "no_semantic": {"loss.semantic": 0.0},
    "textural_weight_10": {"loss.textural": 10.0},
    "textural_shallow": {"loss.textural_levels": (1, 2)},
    "textural_deep": {"loss.textural_levels": (3, 4)},
    "temperature_0.07": {"loss.semantic_temperature": 0.07},
    "own_negative": {"loss.semantic_negatives": "own"},
    "no_mlp": {"head.mlp": False},
    # the discriminator
    "resunet": {"discriminator.kind": "resunet"},
    "first_release": {"discriminator.kind": "v1"},
    "attention": {"discriminator.attention": True},
    "no_spectral_norm": {"discriminator.spectral_norm": False},
    # another discriminator altogether: AOT-GAN's of patches, beside the same L1 loss
    "patch_hinge": {**_NO_SCAT, "loss.patch": 1.0, "loss.patch_gan": "hinge"},
    "patch_smgan": {**_NO_SCAT, "loss.patch": 1.0, "loss.smgan_target": 0.0},
    # as published, AOT-GAN's generator target is the discriminator's label for fakes
    "aot_gan_adversarial": {**_AOT_GAN, "loss.smgan_target": 0.0},
    # the generator and its masks
    "four_blocks": {"generator.blocks": 4},
    "eight_blocks": {"generator.blocks": 8},
    "rates_1": {"generator.rates": (1, 1, 1, 1)},
    "rates_1_2": {"generator.rates": (1, 2, 1, 2)},
    "bilinear_upsampling": {"generator.upsample": "bilinear_ac"},
    "masks_boxes": {"data.mask": "boxes"},
    "masks_strokes": {"data.mask": "strokes"},
    "masks_centered": {"data.mask": "centered"},
}

# Needs the VGG-19 weights: jaxedit weights get vgg19.
PRETRAINED = {
    "full": {},
    "aot_gan_losses_vgg19": {**_AOT_GAN, "loss.features": "vgg19"},
    "full_perceptual": {"loss.perceptual": 0.1, "loss.features": "vgg19"},
}

SETS = {"core": CORE, "all": {**CORE, **OTHERS}, "pretrained": PRETRAINED}


def variants(chosen: str = "core") -> dict[str, dict]:
    """Returns name -> overrides of a set: core, all or pretrained."""
    from jaxedit.config import choose_preset

    return choose_preset(SETS, chosen)
