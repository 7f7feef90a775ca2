"""iEdit: localised text-guided editing (Bodur et al., CVPR 2024 workshop, arXiv 2305.05947).

The paper's body could not be read: what is not in its abstract is marked. [B] the backbone's
published recipe (latent diffusion, Stable Diffusion); [R] ours.

Presets:
  autoencoder   pictures to latents and back, factor 4, on the embedded scenes [R]
  autoencoder_published  factor 8, the widths and the recipe of the published one [B]
  diffusion     that autoencoder, then a text-to-image model on its latents, from nothing [R]
  towers        CLIP's two towers, from nothing, on the small world of scenes [R]
  segmenter     those towers, then a segmenter that is asked with words, on top of them [R]
  judge         reads subject, colour and setting off scenes, to judge edits by [R]
  pairs         both, then a data set of weakly supervised pairs, built with them [R]
  edits         those two, then iEdit's fine-tuning on true edits of the small world of scenes, not
                on pairs that a machine has found: what perfect pairs give [R]
  scenes        all of iEdit from nothing on the small world: its parts, pairs as `pairs` builds
                them, fine-tuning on those, judged by true edits; hours on two cores [R]
  world         the diffusion stage of `edits` alone, on the autoencoder that comes with jaxedit [R]
  world_further  the same, going on from the model that comes with jaxedit [R]
  demo          that in minutes: all parts but the fine-tuning come with jaxedit [R]
  paper         iEdit: pairs to latents, then fine-tuning of Stable Diffusion v1.4; its numbers are
                not the paper's, which could not be read, but ours [R]
"""

from ml_collections import ConfigDict

from configs import common
from configs.bases.iedit import base
from jaxedit.config import choose_preset


def autoencoder() -> ConfigDict:
    """Returns factor 4 on the embedded scenes at 64 pixels, small enough for two CPU cores."""
    config = base()
    config.train.update(
        steps=3_000, batch_size=16, log_every=50, evaluate_every=500, checkpoint_every=500
    )
    config.loss.adversarial_start = 2_000
    config.evaluate.update(batch_size=16, limit=256, limit_in_training=64)
    return config


def autoencoder_published() -> ConfigDict:
    """Returns Stable Diffusion's autoencoder and its recipe, with LPIPS; name your data.source."""
    config = base()
    config.image_size = 256  # [B]
    config.data.source = "folder:images"
    config.data.scale = (0.5, 1.0)
    config.data.flip = True  # [B]
    config.autoencoder.update(channels=(128, 256, 512, 512), layers=2, groups=32)  # [B]
    config.discriminator.update(channels=64, layers=3)  # [B]
    config.loss.features = "lpips"  # [B]
    # The published rate is 4.5e-6 for every picture of a batch.
    config.train.update(steps=400_000, batch_size=12, evaluate_every=10_000, checkpoint_every=5_000)
    config.optim.update(lr=5.4e-5, schedule="constant", warmup=0, betas=(0.5, 0.9), clip=0.0,
                        ema=0.0)  # [B]
    return config


def diffusion() -> ConfigDict:
    """Returns both stages on the embedded scenes: the autoencoder, then the diffusion model."""
    config = autoencoder()
    config.stages = (
        {"name": "autoencoder", "overrides": {}},
        {
            "name": "diffusion",
            "overrides": {
                "part": "diffusion",
                "train": {"steps": 20_000, "log_every": 100, "evaluate_every": 2_000,
                          "checkpoint_every": 1_000},
                "optim": {"lr": 4e-4, "warmup": 500, "weight_decay": 1e-2, "ema": 0.999},
                "evaluate": {"limit": 64, "limit_in_training": 64},
            },
            "start": (
                ("autoencoder:ema/autoencoder", "frozen/autoencoder/params"),
                ("autoencoder:extra/latent_scale", "frozen/latent_scale"),
            ),
        },
    )
    return config


def towers() -> ConfigDict:
    """Returns CLIP's towers on the small world, small enough for two CPU cores."""
    config = base()
    config.part = "towers"
    config.data.source = "scenes:world:64"
    config.train.update(
        steps=1_500, batch_size=64, log_every=50, evaluate_every=250, checkpoint_every=250
    )
    config.optim.update(lr=1e-3, warmup=50, weight_decay=0.1, betas=(0.9, 0.98), ema=0.98)
    config.evaluate.update(batch_size=32, limit_in_training=128)
    return config


def segmenter() -> ConfigDict:
    """Returns both stages: the towers, then the decoder that segments on top of them."""
    config = towers()
    config.stages = (
        {"name": "towers", "overrides": {}},
        {
            "name": "segmenter",
            "overrides": {
                "part": "segmenter",
                "train": {"steps": 400, "batch_size": 16},
                "optim": {"lr": 1e-3, "weight_decay": 1e-2},
            },
            "start": (("towers:ema/clip", "frozen/clip"),),
        },
    )
    return config


def judge() -> ConfigDict:
    """Returns a judge of the attributes of the small world, whose accuracy is its ceiling."""
    config = towers()
    config.part = "judge"
    config.train.update(
        steps=800, batch_size=32, evaluate_every=200, checkpoint_every=200
    )
    config.optim.update(lr=2e-3, weight_decay=1e-2, betas=(0.9, 0.99), ema=0.98)
    return config


def pairs() -> ConfigDict:
    """Returns towers and segmenter of the small world, then pairs of its scenes."""
    config = segmenter()
    # Scenes are small, differ in few things, and these towers spread them further than CLIP would.
    config.pairs.update(words="world", min_side=64, duplicates=-1, cos_img=(0.0, 0.98),
                        cos_text=0.0, eval=0.02)
    towers_of = (("towers:ema/clip", "frozen/clip"),)
    decoder_of = (("segmenter:ema/segmenter", "frozen/segmenter"),)
    config.stages += (
        {"name": "collection", "build": True, "overrides": {"part": "collection"},
         "start": towers_of},
        {"name": "matches", "build": True, "overrides": {"part": "matches"}},
        {"name": "pairs", "build": True, "overrides": {"part": "pairs"},
         "start": towers_of + decoder_of},
    )
    return config


def edits() -> ConfigDict:
    """Returns fine-tuning, and the parts for it, on edits of scenes whose results are known [R]."""
    config = diffusion()
    config.data.source = "scenes:world:64"
    config.evaluate.source = "scenes:world:64"
    config.evaluate.split = "eval"
    # The small world is simpler: half the pictures a step, and fewer steps, must do for it.
    shorter = ({"batch_size": 8}, {"batch_size": 8, "steps": 4_000, "evaluate_every": 1_000,
                                   "checkpoint_every": 500})
    config.stages = tuple(
        common.merged(stage, {"overrides": {"train": train}})
        for stage, train in zip(config.stages, shorter, strict=True)
    )
    frozen = (
        ("autoencoder:ema/autoencoder", "frozen/autoencoder/params"),
        ("autoencoder:extra/latent_scale", "frozen/latent_scale"),
        ("diffusion:ema/text", "frozen/text/params"),
    )
    config.stages += (
        {
            "name": "latents", "build": True, "start": frozen,
            "overrides": {"part": "latents", "data": {"source": "scenes:edits:64"}},
        },
        {
            "name": "finetune",
            "overrides": {
                "part": "finetune",
                "data": {"source": "artifact:latents"},
                "loss": {"perceptual": 0.1},
                "train": {"steps": 600, "log_every": 50, "evaluate_every": 0,
                          "checkpoint_every": 200},
                "optim": {"lr": 1e-4, "warmup": 50, "weight_decay": 1e-2, "ema": 0.99,
                          "schedule": "constant"},
                "evaluate": {
                    "source": "scenes:edits:64", "truth": True, "judge": "world-judge",
                    "limit": 96, "limit_in_training": 32, "edit_metrics": ("psnr_m", "ssim_m"),
                },
            },
            "start": (*frozen, ("diffusion:ema/unet", "params/unet")),
        },
    )
    return config


def world() -> ConfigDict:
    """Returns the text-to-image model of `edits`, for the autoencoder that comes with jaxedit."""
    return common.one_stage(edits(), "diffusion", {"autoencoder": "world-autoencoder"})


def world_further() -> ConfigDict:
    """Returns `world`, beginning with what came of it before: `world-diffusion`."""
    config = world()
    (stage,) = config.stages
    trained = tuple((f"weights:world-diffusion:params/{name}", f"params/{name}")
                    for name in ("unet", "text"))
    longer = {"train": {"steps": 9_000, "evaluate_every": 1_500}}
    config.stages = (
        {**common.merged(stage, {"overrides": longer}), "start": stage["start"] + trained},
    )
    return config


def scenes() -> ConfigDict:
    """Returns every stage of `edits` and of `pairs`, fine-tuning on the pairs that are found."""
    config, others = pairs(), edits()
    own = common.changes(config.to_dict(), others.to_dict() | {"pairs": config.pairs.to_dict()})
    taken = {
        stage["name"]: {**stage, "overrides": common.merged(own, stage["overrides"])}
        for stage in others.stages
    }
    taken["latents"]["overrides"]["data"]["source"] = "artifact:pairs"
    parts = (taken["autoencoder"], taken["diffusion"])
    config.stages = (*parts, *config.stages, taken["latents"], taken["finetune"])
    return config


def demo() -> ConfigDict:
    """Returns the end of `scenes`, on parts that come with jaxedit; its lengths are ours [R].

    Pairs are found among 2,000 scenes and fine-tuned on; 96 edits are judged, without curves over
    strength and guidance. For minutes on two cores.
    """
    config = scenes()
    names = ("autoencoder", "diffusion", "towers", "segmenter")
    config.stages = common.with_weights(config.stages, {one: f"world-{one}" for one in names})
    config.sample.update(strengths=(), guidances=())
    return config


def paper() -> ConfigDict:
    """Returns iEdit on Stable Diffusion v1.4, which has to be converted before; name your pairs.

    The paper says that it fine-tunes latent diffusion on about 200,000 pairs built by machine; its
    recipe could not be read. Sections are those of our notes on the backbone and on our choices.
    """
    config = base()
    config.part = "finetune"
    config.image_size = 512  # section 2 [B]
    config.network.weights = "stable-diffusion-v1-4"  # section 2; the choice of 1.4 is ours [R]
    config.data.source = "array_record:pairs"  # of `jaxedit iedit-data`; section 3
    config.autoencoder.update(channels=(128, 256, 512, 512), layers=2, groups=32,
                              scale=0.18215)  # section 2 [B]
    config.text.update(encoder="clip", length=77, width=768, layers=12, heads=12,
                       tokenizer="stable-diffusion-v1-4", drop=0.1)  # section 2 [B], drop 4 [R]
    config.unet.update(channels=(320, 640, 1280, 1280), attention=(True, True, True, False),
                       layers=2, heads=8, groups=32)  # section 2 [B]
    config.loss.update(features="clip", perceptual=0.1)  # section 4 [R]
    config.optim.update(lr=1e-5, schedule="constant", warmup=500, betas=(0.9, 0.999),
                        weight_decay=1e-2, clip=1.0, ema=0.0)  # section 5 [R]
    config.sample.update(steps=50, guidance=7.5)  # section 6 [R]; 7.5 is usual [B]
    config.precision.compute = "bfloat16"  # section 5 [R]
    config.remat = True  # section 5 [R]
    # Section 5 [R]: 16 pairs a step, one at a time.
    config.train.update(steps=10_000, batch_size=16, accumulate=16, evaluate_every=0,
                        checkpoint_every=500)
    config.evaluate.update(source="array_record:pairs", split="eval", batch_size=1, limit=50)
    config.stages = (
        {"name": "latents", "build": True,
         "overrides": {"part": "latents", "latents": {"dtype": "float16"}}},
        {"name": "finetune", "overrides": {
            "part": "finetune", "data": {"source": "artifact:latents"},
        }},
    )
    return config


PRESETS = {
    "autoencoder": autoencoder,
    "autoencoder_published": autoencoder_published,
    "diffusion": diffusion,
    "towers": towers,
    "segmenter": segmenter,
    "judge": judge,
    "pairs": pairs,
    "edits": edits,
    "scenes": scenes,
    "world": world,
    "world_further": world_further,
    "demo": demo,
    "paper": paper,
}


def get_config(preset: str = "autoencoder") -> ConfigDict:
    """Returns the configuration of a preset."""
    config = choose_preset(PRESETS, preset)()
    config.preset = preset
    return config.lock()
