"""Shrinks real configurations until a CPU runs them in moments; the computation is the same."""

import pathlib

from jaxedit import config as config_lib

ROOT = pathlib.Path(__file__).parent.parent
SCAT = str(ROOT / "configs" / "scat.py")
MATTING = str(ROOT / "configs" / "matting.py")
SEGMENTATION = str(ROOT / "configs" / "segmentation.py")
SIMS = str(ROOT / "configs" / "sims.py")
SDIC = str(ROOT / "configs" / "sdic.py")
IEDIT = str(ROOT / "configs" / "iedit.py")

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
    "generator.initial": "",
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
    "evaluate.metrics": "('psnr', 'l1_hole', 'suspicion_auc')",
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


# name -> (preset, overrides), as above. The demo's stages differ in data and schedule alone.
MATTING_VARIANTS = {
    "pretrain": (
        "pretrain_paper",
        {"train.accumulate": "2", "precision.compute": "bfloat16", "remat": "true"},
    ),
    "finetune": ("finetune_paper", {}),
    "guided": (
        "finetune_paper",
        {"network.backbone": "resnet34", "network.guided_attention": "true",
         "loss.regions": "whole", "optim.clip": "false"},
    ),
}

_TINY_MATTING = {
    "image_size": "64",
    "network.initial": "",
    "network.embed_dim": "8",
    "network.depths": "(1, 1, 2, 1)",
    "network.heads": "(1, 2, 2, 4)",
    "network.width": "4",
    "network.decoder_blocks": "(1, 1, 1, 1)",
    "train.batch_size": "8",
    "train.steps": "2",
    "train.log_every": "1",
    "train.evaluate_every": "0",
    "train.checkpoint_every": "2",
    "layers.convolution": "xla",  # quick to compile; layers has its own tests of the others
    "loss.warmup": "1",
    "loss.band": "(5, 3)",
    "loss.band_side": "64",
    "optim.warmup": "1",
    "optim.total": "0",
    "optim.steps_per_epoch": "1",
    "evaluate.source": "scenes:64",
    "evaluate.split": "eval",
    "evaluate.compose": "true",
    "evaluate.classical": "false",
    "evaluate.batch_size": "8",
    "evaluate.limit": "8",
    "evaluate.limit_in_training": "8",
    "evaluate.margin": "0",
    "data.source": "photos",
    "data.foregrounds": "scenes:64",
    "data.workers": "0",
}


def matting(name: str = "finetune", **overrides: str) -> config_lib.ConfigDict:
    """Returns a variant of DPT matting at a size for tests; "demo" keeps its three stages."""
    preset, changes = MATTING_VARIANTS.get(name, (name, {}))
    config = config_lib.load(
        f"{MATTING}:{preset}", [*{**_TINY_MATTING, **changes, **overrides}.items()]
    )
    with config.unlocked():
        # What a stage says of its own length goes over the configuration's.
        config.stages = tuple(
            {**stage, "overrides": {**stage["overrides"], "train": {"steps": config.train.steps}}}
            for stage in config.stages
        )
    return config


_TINY_SEGMENTATION = {
    "network.channels": "(8, 8)",
    "image_size": "(32, 32)",
    "train.batch_size": "8",
    "train.steps": "4",
    "train.log_every": "1",
    "train.evaluate_every": "2",
    "train.checkpoint_every": "2",
    "layers.convolution": "xla",
    "evaluate.batch_size": "8",
    "evaluate.limit": "8",
    "evaluate.limit_in_training": "8",
}


def segmentation(preset: str = "demo", **overrides: str) -> config_lib.ConfigDict:
    """Returns segmentation at a size for tests."""
    changes = {**_TINY_SEGMENTATION, **overrides}
    return config_lib.load(f"{SEGMENTATION}:{preset}", [*changes.items()])


# name -> (preset, overrides), as above: a part each, with every stage of the synthesis network.
SIMS_VARIANTS = {
    "align": ("demo", {"part": "align", "align.kind": "shift", "align.rounded": "true"}),
    "order": ("demo", {"part": "order", "precision.compute": "bfloat16", "remat": "true"}),
    "synthesis": (
        "cityscapes",
        {"network.stages": "3", "image_size": "(256, 256)", "optim.ema": "0.9",
         "precision.compute": "bfloat16", "remat": "true", "train.accumulate": "2"},
    ),
}

_TINY_SIMS = {
    "image_size": "(64, 64)",
    "network.width": "4",
    "train.batch_size": "8",
    "train.steps": "2",
    "train.log_every": "1",
    "train.evaluate_every": "0",
    "train.checkpoint_every": "2",
    "layers.convolution": "xla",
    "loss.features": "random_features",
    "loss.feature_channels": "2",
    "optim.warmup": "1",
    "evaluate.limit": "8",
    "evaluate.limit_in_training": "8",
    "evaluate.metrics": "('psnr', 'l1')",
    "data.segments": "2",
    "data.pairs": "2",
    "data.source": "scenes:several:64",
    "data.workers": "0",
    "canvases.sets": "1",
    "canvases.donors": "4",
    "canvases.holdout": "0.4",
}


def sims(name: str = "demo", **overrides: str) -> config_lib.ConfigDict:
    """Returns a variant of SIMS at a size for tests; "demo" keeps its stages."""
    preset, changes = SIMS_VARIANTS.get(name, (name, {}))
    changes = {**_TINY_SIMS, **changes, **overrides}
    part = changes.pop("part", "synthesis")  # which every stage has a value of its own for
    config = config_lib.load(f"{SIMS}:{preset}", [*changes.items()])
    train = {key: config.train[key] for key in ("steps", "evaluate_every")}
    with config.unlocked():
        config.part = part
        config.stages = tuple(
            {**stage, "overrides": {**stage["overrides"], "train": train}}
            for stage in config.stages if name == "demo"
        )
    return config


_TINY_IEDIT = {
    "image_size": "32",
    "train.batch_size": "8",
    "train.steps": "3",
    "train.log_every": "1",
    "train.evaluate_every": "0",
    "train.checkpoint_every": "3",
    "layers.convolution": "xla",
    "autoencoder.channels": "(4, 8)",
    "autoencoder.groups": "2",
    "discriminator.channels": "2",
    "discriminator.layers": "1",
    "loss.feature_channels": "2",
    "loss.adversarial_start": "1",
    "evaluate.metrics": "('psnr', 'l1')",
    "evaluate.batch_size": "8",
    "evaluate.limit": "8",
    "evaluate.limit_in_training": "8",
    "data.source": "scenes:64",
    "text.length": "8",
    "text.width": "8",
    "text.layers": "1",
    "text.heads": "2",
    "unet.channels": "(4, 8)",
    "unet.attention": "(True, False)",
    "unet.layers": "1",
    "unet.heads": "2",
    "unet.groups": "2",
    "sample.steps": "2",
    "sample.metrics": "('psnr',)",
    "towers.side": "32",
    "towers.vision_width": "8",
    "towers.vision_layers": "1",
    "towers.vision_heads": "2",
    "towers.text_width": "8",
    "towers.text_layers": "1",
    "towers.text_heads": "2",
    "towers.projection": "8",
    "judge.channels": "(8, 8)",
    "segmenter.side": "32",
    "segmenter.layers": "(0, 0)",
    "segmenter.width": "8",
    "segmenter.heads": "2",
    "segmenter.feed_forward": "8",
    "sample.strengths": "(0.5, 1.0)",
    "sample.guidances": "()",
    "loss.every": "2",
    "evaluate.edit_metrics": "('psnr_m', 'ssim_m')",
}


def iedit(preset: str, **overrides: str) -> config_lib.ConfigDict:
    """Returns a part of iEdit at a size for tests."""
    config = config_lib.load(f"{IEDIT}:{preset}", [*{**_TINY_IEDIT, **overrides}.items()])
    train = {key: config.train[key] for key in ("steps", "log_every", "evaluate_every",
                                                "checkpoint_every")}
    limits = {key: config.evaluate[key] for key in ("limit", "limit_in_training")}
    unjudged = {"judge": ""}  # of so few pixels no judge has learned to tell anything
    merged = lambda stage: {**stage["overrides"].get("evaluate", {}), **limits, **unjudged}
    with config.unlocked():
        # What a stage says of its own length goes over the configuration's.
        config.stages = tuple(
            {**stage, "overrides": {**stage["overrides"], "train": train,
                                    "evaluate": merged(stage)}}
            for stage in config.stages
        )
    return config


_TINY_SDIC = {
    "image_size": "(32, 32)",
    "remat": "false",
    "network.weights": "",
    "network.size": "16",
    "network.style_width": "32",
    "network.mapping_layers": "1",
    "network.channel_multiplier": "0.01",
    "network.most_channels": "6",
    "network.tap": "8",
    "network.encoder_blocks": "(1, 1, 1, 1)",
    "network.encoder_width": "4",
    "network.encoder_heads": "8",
    "loss.features": "random_features",
    "loss.feature_channels": "2",
    "loss.identity_network": "none",
    "layers.convolution": "xla",
    "train.batch_size": "2",
    "train.steps": "2",
    "train.log_every": "1",
    "train.evaluate_every": "0",
    "train.checkpoint_every": "2",
    "evaluate.batch_size": "8",
    "evaluate.limit": "8",
    "evaluate.limit_in_training": "2",
    "evaluate.metrics": "('psnr', 'l1')",
    "data.source": "photos",
    "data.workers": "0",
    "data.fit": "crop",
}


def sdic(preset: str = "paper_faces", **overrides: str) -> config_lib.ConfigDict:
    """Returns a preset of SDIC at a size for tests, with networks that nobody has trained."""
    whole = config_lib.flatten(config_lib.load(f"{SDIC}:{preset}"))
    tiny = {key: value for key, value in _TINY_SDIC.items() if key in whole}
    if "encoder.pool" in whole:
        tiny |= {"encoder.initial": "", "encoder.pool": "3", "encoder.delta_start": "1",
                 "encoder.delta_every": "0"}
    if preset == "judge":
        tiny |= {"judge.channels": "(8, 8)", "data.source": "portraits:32",
                 "train.batch_size": "8"}
    if preset in ("generator", "paper_generator"):  # both penalties at the first of two steps
        tiny |= {"image_size": "(16, 16)", "loss.r1_every": "2", "loss.path_length_every": "2",
                 "sample.codes": "64", "train.batch_size": "4",
                 "evaluate.metrics": "('fid_random_features',)"}
    if preset in ("chain", "demo"):
        tiny |= {"network.size": "32", "data.source": "portraits:32", "data.fit": "scale",
                 "judge.channels": "(8, 8)", "directions.codes": "200",
                 "directions.components": "2", "directions.closed": "1",
                 # The generator's penalties have tests of their own, and a program each.
                 "loss.r1": "0.0", "loss.path_length": "0.0", "sample.codes": "64",
                 "evaluate.limit_in_training": "8", "evaluate.shares": "(0.0, 1.0)",
                 "evaluate.metrics": "('mse', 'psnr', 'l1')"}
    config = config_lib.load(f"{SDIC}:{preset}", [*{**tiny, **overrides}.items()])
    # Their networks have tests of their own, and test_edit_evaluation applies their states.
    left_out = ("raw-residual", "codes-only", "feature-only")
    stages = [stage for stage in config.stages if stage["name"] not in left_out]
    for stage in stages:
        # What a stage says of its own length goes over the configuration's.
        stage["overrides"] = {**stage["overrides"], "train": {
            key: config.train[key] for key in ("steps", "batch_size")
        }}
        if stage["name"] == "inversion":
            stage["overrides"]["evaluate"] = {"compare": ()}
    with config.unlocked():
        config.stages = tuple(stages)
    return config
