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
  paper         iEdit: pairs to latents, then fine-tuning of Stable Diffusion v1.4; its numbers are
                not the paper's, which could not be read, but ours [R]
"""

from ml_collections import ConfigDict

from configs import common
from jaxedit.config import choose_preset
from jaxedit.methods.iedit import pair_rules


def _base() -> ConfigDict:
    """Returns what the presets share."""
    config = common.base()
    config.method = "iedit"
    config.part = "autoencoder"  # what a stage makes, see methods/iedit/method.py
    config.image_size = 64  # side of a training picture
    config.data.source = "scenes:64"
    config.data.scale = (0.8, 1.0)  # side of a training part, as a share of the largest that fits
    config.data.flip = False  # mirror half of them: captions then say the wrong side
    config.data.target = "pair"  # of fine-tuning: pair | self, the source, which edits nothing

    config.network = ConfigDict()
    # unet, autoencoder and text encoder of published weights; "": those of earlier stages
    config.network.weights = ""

    config.autoencoder = ConfigDict()
    config.autoencoder.channels = (32, 64, 64)  # of each level; all but the last halve the size
    config.autoencoder.layers = 1  # resnets of a level; the decoder has one more
    config.autoencoder.latent_channels = 4
    config.autoencoder.groups = 8  # of the group norms
    config.autoencoder.attention = True  # in the middle
    # of the latents: 0: as measured; Stable Diffusion's is 0.18215 [B]
    config.autoencoder.scale = 0.0

    config.discriminator = ConfigDict()
    config.discriminator.channels = 32  # of the first layer
    config.discriminator.layers = 2  # that halve the size

    config.text = ConfigDict()
    # bytes: a transformer on UTF-8 bytes, trained with the UNet | clip: its text tower, frozen [B]
    config.text.encoder = "bytes"
    config.text.length = 96  # bytes, or tokens, of a caption that are read
    config.text.vocabulary = 49_408  # of clip [B]
    config.text.tokenizer = ""  # of clip: a folder, or weights that come with one
    config.text.width = 64  # of its states
    config.text.layers = 2
    config.text.heads = 4
    config.text.drop = 0.1  # share of the captions that are dropped [B]

    config.unet = ConfigDict()
    config.unet.channels = (48, 96)  # of each level; all but the last halve the size
    config.unet.attention = (True, True)  # which levels attend to the text
    config.unet.layers = 2  # resnets of a level; the way up has one more
    config.unet.depth = 1  # transformer blocks behind each
    config.unet.heads = 4
    config.unet.groups = 16  # of the group norms

    _words(config)
    config.pairs = ConfigDict(pair_rules.DEFAULTS)  # all ours [R]

    config.schedule = ConfigDict()  # Stable Diffusion's [B]
    config.schedule.num_train_timesteps = 1000
    config.schedule.beta_start = 0.00085
    config.schedule.beta_end = 0.012
    config.schedule.beta_schedule = "scaled_linear"  # scaled_linear | linear | squaredcos_cap_v2
    config.schedule.prediction_type = "epsilon"  # epsilon | v_prediction | sample
    config.schedule.timestep_spacing = "leading"  # leading | trailing | linspace
    config.schedule.steps_offset = 1
    config.schedule.set_alpha_to_one = False
    config.schedule.rescale_betas_zero_snr = False

    config.sample = ConfigDict()
    config.sample.steps = 25  # of DDIM
    config.sample.guidance = 3.0  # Stable Diffusion's is 7.5 [B]
    config.sample.strength = 0.7  # of an edit: share of the steps, from where it starts [R]
    config.sample.start = "noise"  # of measured edits: noise | ddim, the picture's inversion [R]
    config.sample.masked = True  # measured edits keep what is outside of the mask [R]
    config.sample.strengths = (0.3, 0.5, 0.7, 0.9)  # of a curve; (): none [R]
    config.sample.guidances = (1.0, 3.0, 7.5)  # of another [R]
    config.sample.metrics = ("fid", "kid", "fid_random_features")

    config.loss = ConfigDict()
    config.loss.features = "random_features"  # lpips [B] | random_features (needs no weights)
    config.loss.feature_channels = 8  # width of the random features' first block
    config.loss.perceptual = 1.0  # [B]
    config.loss.kl = 1e-6  # of the sum over all latents [B]
    config.loss.adversarial = 0.5  # times the ratio of gradients in the last layer; 0: none [B]
    config.loss.adversarial_start = 50_000  # finished steps before the discriminator comes in [B]

    # Of fine-tuning, all ours [R].
    config.loss.pair = -1.0  # below 0: 0.1 beside the masked term, 1 without it
    config.loss.mask = 1.0
    config.loss.text_image = 0.0  # needs CLIP's weights, and text.encoder=clip
    config.loss.weighting = "capped"  # of steps: min(1, (1 - abar) / abar) | none
    config.loss.form = "separate"  # of the masked term: two means | composite, one
    config.loss.mask_of = "union"  # of both masks | source
    config.loss.mask_grown = 1  # cells of the latents
    config.loss.largest_step = 400  # from which on pictures are not looked at
    config.loss.every = 4  # steps of training between two that look at pictures
    config.loss.text_image_form = "cosine"  # cosine | contrastive, among the batch's prompts
    config.loss.temperature = 0.07  # of the contrastive form; CLIP's at first [B]
    config.loss.clip = "clip-vit-large-patch14"  # | clip-vit-base-patch32

    config.finetune = ConfigDict()
    config.finetune.scope = "all"  # all | attn2: the attention to the text alone

    config.latents = ConfigDict()
    config.latents.cached = True  # fine-tuning reads what a stage `latents` has computed
    config.latents.dtype = "float32"  # on disk | float16

    config.optim = ConfigDict()
    config.optim.lr = 1e-3
    config.optim.schedule = "cosine"  # constant | cosine
    config.optim.warmup = 100
    config.optim.betas = (0.9, 0.99)
    config.optim.eps = 1e-8
    config.optim.weight_decay = 0.0
    config.optim.clip = 1.0  # largest norm of the gradient; 0: any
    config.optim.ema = 0.995  # decay of the average that predicts; 0: none

    config.evaluate.metrics = ("psnr", "ssim", "l1", "lpips_alex")
    config.evaluate.edit_metrics = (
        "psnr_m", "ssim_m", "lpips_alex", "clip_score", "clip_score_b32", "clip_s",
        "clip_direction", "fid", "kid",
    )
    config.evaluate.untuned = True  # keep the UNet as it came, and measure it beside
    config.evaluate.truth = False  # targets of evaluation are true results, not neighbours
    config.evaluate.judge = ""  # of the edits' attributes, a weights' name; only of scenes:edits
    return config


def _words(config: ConfigDict) -> None:
    """Adds the networks that know words; the sizes are ours [R]."""
    config.towers = ConfigDict()
    config.towers.side = 64  # of their pictures; CLIP's is 224 [B]
    config.towers.patch = 8
    config.towers.vision_width = 96
    config.towers.vision_layers = 3
    config.towers.vision_heads = 4
    config.towers.text_width = 96
    config.towers.text_layers = 3
    config.towers.text_heads = 4
    config.towers.projection = 64  # width of the space of both
    config.towers.vocabulary = ""  # folder with vocab.json and merges.txt; "": the shipped one
    config.towers.length = 24  # tokens of a text; CLIP's is 77 [B]
    config.towers.phrases = 0.8  # share of captions that training shortens, where it can

    config.judge = ConfigDict()
    config.judge.channels = (16, 32, 64, 64)  # of each level, multiples of 8

    config.segmenter = ConfigDict()
    config.segmenter.side = 128  # of its pictures; CLIPSeg's is 352, its towers' 224 [B]
    config.segmenter.layers = (0, 1, 2)  # of the vision tower, from 0; CLIPSeg's 3, 6, 9 [B]
    config.segmenter.width = 64  # [B]
    config.segmenter.heads = 4  # [B]
    config.segmenter.feed_forward = 256  # CLIPSeg's is 2048 [B]
    config.segmenter.absent = 0.3  # share of phrases that name nothing in the picture
    config.segmenter.held_out = ("mug", "fish")  # never asked for in training, to measure with


def autoencoder() -> ConfigDict:
    """Returns factor 4 on the embedded scenes at 64 pixels, small enough for two CPU cores."""
    config = _base()
    config.train.update(
        steps=3_000, batch_size=16, log_every=50, evaluate_every=500, checkpoint_every=500
    )
    config.loss.adversarial_start = 2_000
    config.evaluate.update(batch_size=16, limit=256, limit_in_training=64)
    return config


def autoencoder_published() -> ConfigDict:
    """Returns Stable Diffusion's autoencoder and its recipe, with LPIPS; name your data.source."""
    config = _base()
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
    config = _base()
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
    towers_of = (("segmenter:frozen/clip", "frozen/clip"),)
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


def paper() -> ConfigDict:
    """Returns iEdit on Stable Diffusion v1.4, which has to be converted before; name your pairs.

    The paper says that it fine-tunes latent diffusion on about 200,000 pairs built by machine; its
    recipe could not be read. Sections are those of our notes on the backbone and on our choices.
    """
    config = _base()
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
    "paper": paper,
}


def get_config(preset: str = "autoencoder") -> ConfigDict:
    """Returns the configuration of a preset."""
    config = choose_preset(PRESETS, preset)()
    config.preset = preset
    return config.lock()
