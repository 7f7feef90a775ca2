"""Shrinks real configurations until a CPU runs them in moments; the computation is the same."""

import pathlib

from jaxedit import config as config_lib

ROOT = pathlib.Path(__file__).parent.parent
SCAT = str(ROOT / "configs" / "scat.py")

# name -> (preset, overrides): every branch of the method that lowers to another program.
SCAT_VARIANTS = {
    "demo": ("demo", {}),
    "paper": ("paper", {}),
    "paper512": ("paper512", {}),
    "bfloat16": ("paper", {"precision.compute": "bfloat16", "remat": "true"}),
    "accumulate": ("paper", {"train.accumulate": "2"}),
    "resunet_attention": (
        "paper", {"discriminator.kind": "resunet", "discriminator.attention": "true"},
    ),
    "v1": ("paper", {"discriminator.kind": "v1", "discriminator.spectral_norm": "false"}),
    "gan_kinds": ("paper", {"loss.global_gan": "nsgan", "loss.scat_gan": "lsgan"}),
    "no_adversary": (
        "paper",
        {"loss.global_adversarial": "0", "loss.segmentation": "0", "loss.textural": "0",
         "loss.semantic": "0"},
    ),
    "aotgan": (
        "aotgan", {"loss.features": "random_features", "loss.feature_channels": "2"},
    ),
}

_TINY = {
    "image_size": "64",
    "generator.channels": "4",
    "generator.blocks": "1",
    "discriminator.channels": "4",
    "head.channels": "8",
    "train.batch_size": "8",
    "train.steps": "4",
    "train.log_every": "1",
    "train.evaluate_every": "2",
    "train.checkpoint_every": "2",
    "evaluate.limit": "8",
    "evaluate.limit_in_training": "8",
    "evaluate.metrics": "('psnr', 'l1_hole')",
    "data.source": "photos",
    "data.mask": "random",
    "data.brush_width": "(3.0, 12.0)",
}


def scat(name: str = "demo", **overrides: str) -> config_lib.ConfigDict:
    """Returns a variant of SCAT at a size for tests."""
    preset, changes = SCAT_VARIANTS[name]
    return config_lib.load(
        f"{SCAT}:{preset}", [*{**_TINY, **changes, **overrides}.items()]
    )
