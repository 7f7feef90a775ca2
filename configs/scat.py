"""SCAT: inpainting with segmentation-confusion adversarial training and contrastive learning.

Zuo et al., AAAI 2023 (arXiv 2303.13133). Numbers of the `paper` presets come from the authors'
published code (github.com/zzw-zjgsu/Generative-Image-Inpainting, revision 83be9e8), because the
paper's own tables could not be read; "ours" marks what the publication does not fix. Presets:

  demo      a short fine-tuning of `scat-small`, which comes with jaxedit, on embedded photographs
            at 64 pixels; minutes on two CPU cores
  from_scratch  a narrower network on the same, from nothing
  small     the network of `scat-small`, on photographs of one's own: L1 alone, to be begun with
  seamless  goes on from there with predictions that meet the picture at the hole's edge: by L1,
            which `scat-small` is, then by all of the method's losses
  finetune  goes on from `scat-small` on photographs of one's own
  paper     the published recipe: 256 pixels, batch 8 per GPU, pconv masks
  paper512  the published recipe at 512 pixels (ours: the publication stops at 256)
  aotgan    the baseline whose generator SCAT builds on, with its own losses, at 512 pixels
"""

from ml_collections import ConfigDict

from configs import common
from jaxedit.config import choose_preset


def paper() -> ConfigDict:
    """Returns the published recipe (Places2; for CelebA see `data.crop` and `train.steps`)."""
    config = common.base()
    config.method = "scat"
    config.image_size = 256

    config.train.steps = 1_000_000  # Places2; CelebA: 300_000
    config.train.batch_size = 8  # per GPU
    config.train.seed = 77
    config.train.log_every = 100  # ours
    config.train.evaluate_every = 10_000  # ours
    config.train.checkpoint_every = 10_000

    config.data.source = "folder:data/places2"  # images/ in it; any source will do
    config.data.crop = "random_resized"  # random_resized | centre | resize_and_crop; CelebA: centre
    config.data.centre_crop = 178  # pixels of the centre crop (aligned CelebA, 178x218)
    config.data.flip = 0.5  # probability of a horizontal flip
    config.data.jitter = 0.05  # brightness, contrast, saturation and hue
    config.data.mask = "pconv"  # pconv | random | centered | boxes | strokes
    config.data.mask_folder = "data/masks"  # pconv: NVIDIA's 12,000 irregular test masks
    config.data.mask_invert = False  # pconv: white is the hole; True where black is
    config.data.hole_range = (0.0, 1.0)  # random: redraw outside this share of hole
    config.data.brush_width = (12.0, 48.0)  # pixels; published for every image size

    config.generator = ConfigDict()
    config.generator.channels = 64  # width of the first level; 256 in the AOT blocks
    config.generator.blocks = 8
    config.generator.rates = (1, 2, 4, 8)
    config.generator.init = "published"  # published: N(0, 0.02) | he (ours, for narrow networks)
    config.generator.initial = ""  # weights to begin with, by name: `jaxedit weights list`
    config.generator.upsample = "nearest"  # nearest | bilinear_ac (the original AOT-GAN)
    # as_is: published | membrane: what a prediction lacks at the hole's edge is spread over it
    config.generator.seam = "as_is"

    config.discriminator = ConfigDict()
    config.discriminator.kind = "unet"  # unet | resunet | v1 (first release)
    config.discriminator.channels = 64
    config.discriminator.attention = False  # use_D_attn
    config.discriminator.spectral_norm = True  # False: no_SN

    config.head = ConfigDict()
    config.head.mlp = True  # False: no_mlp, contrast the pooled feature itself
    config.head.channels = 256

    config.loss = ConfigDict()  # weights; 0 skips the computation
    config.loss.l1 = 10.0
    config.loss.global_adversarial = 1.0
    config.loss.segmentation = 1.0  # segmentation confusion (SCAT)
    config.loss.textural = 10.0
    config.loss.semantic = 1.0
    config.loss.perceptual = 0.0  # AOT-GAN's: 0.1
    config.loss.style = 0.0  # AOT-GAN's: 250
    config.loss.patch = 0.0  # AOT-GAN's patch discriminator instead of SCAT's: 0.01
    config.loss.global_gan = "hinge"  # hinge | nsgan | lsgan
    config.loss.scat_gan = "hinge"  # hinge | nsgan | lsgan
    config.loss.scat_g_region = "hole"  # hole (the code) | all
    config.loss.semantic_temperature = 1.0  # the code declares 0.07 and never divides by it
    config.loss.semantic_negatives = "batch"  # batch (every mask of the group) | own
    config.loss.semantic_group = 8  # samples that share masks as negatives: published, a GPU's 8
    config.loss.textural_levels = (1, 2, 3, 4)  # encoder levels, 1 is the first below the image
    config.loss.patch_gan = "smgan"  # smgan (AOT-GAN) | hinge | nsgan | lsgan
    config.loss.smgan_target = 1.0  # 1: as published (cooperative); 0: adversarial
    config.loss.smgan_masked = False  # published factor mask / mean(mask): no effect
    config.loss.simultaneous = False  # AOT-GAN: both networks from one backward pass
    config.loss.features = "vgg19"  # perceptual and style: vgg19 | random_features (a stand-in)
    config.loss.feature_channels = 16  # width of the random features' first block

    config.optim = ConfigDict()
    config.optim.lr = 1e-4  # generator and head
    config.optim.lr_discriminator = 1e-4
    config.optim.betas = (0.0, 0.99)
    config.optim.eps = 1e-8
    config.optim.schedule = "constant"  # constant | cosine (to 0 at the last step)
    config.optim.warmup = 0  # steps of linear warm-up; published: none
    config.optim.ema = 0.0  # decay of the generator's average; 0: none, as published

    config.evaluate.source = ""
    config.evaluate.crop = "whole"  # whole centred square | centre | resize_and_crop
    # free_form | strokes: drawn for each hole-ratio bin in turn; files: of data.mask_folder, paired
    # by index as published; record: the source's own masks
    config.evaluate.mask = "free_form"
    config.evaluate.metrics = (
        "psnr", "ssim", "l1", "l1_hole", "psnr_hole", "lpips_alex", "lpips_vgg",
        "fid", "kid", "u_ids", "p_ids",
    )  # section 6 of the published evaluation, and the standard ones
    return config


def paper512() -> ConfigDict:
    """Returns the recipe at 512 pixels. The publication stops at 256; sizes here are ours."""
    config = paper()
    config.image_size = 512
    config.train.batch_size = 8
    config.loss.semantic_negatives = "own"  # B * B extra images of 512 pixels are too many
    config.remat = True
    return config


def aotgan() -> ConfigDict:
    """Returns the baseline: AOT-GAN (Zeng et al., 2022) as its published code trains it.

    The same generator with bilinear upsampling; L1, style, perceptual and soft mask-guided
    adversarial losses. Needs VGG-19: `jaxedit weights get vgg19`.
    """
    config = paper()
    config.image_size = 512
    config.train.update(steps=1_000_000, batch_size=8)
    config.generator.upsample = "bilinear_ac"
    config.loss.update(
        l1=1.0, global_adversarial=0.0, segmentation=0.0, textural=0.0, semantic=0.0,
        perceptual=0.1, style=250.0, patch=0.01, simultaneous=True,
    )
    config.optim.update(lr=1e-4, lr_discriminator=1e-4, betas=(0.5, 0.999))
    return config


def from_scratch() -> ConfigDict:
    """Returns a small instance of the same method, trained from nothing in minutes on a laptop.

    Everything below is ours: 2,000 steps of a narrow network need a faster start than the
    published 300,000. So the rate is higher, with momentum and warm-up, and the adversarial and
    contrastive terms weigh a tenth of their published share beside L1.
    """
    config = paper()
    config.image_size = 64
    config.train.update(
        steps=2_000, batch_size=8, seed=0, log_every=50, evaluate_every=500, checkpoint_every=500
    )
    config.data.source = "photos"
    config.data.mask = "random"
    config.data.hole_range = (0.0, 0.7)
    config.data.brush_width = (3.0, 12.0)  # the published 12 to 48 of 256 pixels, at 64
    config.generator.update(channels=24, blocks=2, init="he")
    config.discriminator.channels = 8
    config.loss.update(global_adversarial=0.1, segmentation=0.1, textural=1.0, semantic=0.1)
    config.optim.update(
        lr=2e-3, lr_discriminator=2e-4, betas=(0.9, 0.99), schedule="cosine", warmup=100, ema=0.995
    )
    config.evaluate.metrics = (
        "psnr", "ssim", "l1", "l1_hole", "psnr_hole", "fid_random_features", "suspicion_auc",
    )
    return config


# The method's own losses where L1 has the last word.
_LIGHT = {"global_adversarial": 0.05, "segmentation": 0.05, "textural": 0.5, "semantic": 0.05}


def small() -> ConfigDict:
    """Returns the beginning of a small network of use, by L1 alone; `seamless` goes on from it.

    Everything is ours. `experiments/by_subject.py` makes both folders.
    """
    config = from_scratch()
    config.data.source = "folder:data/free-train"
    config.evaluate.source = "folder:data/free-held"
    config.train.update(
        steps=60_000, log_every=200, evaluate_every=4_000, checkpoint_every=1_000
    )
    config.generator.update(channels=32, blocks=4)
    config.loss.update(global_adversarial=0.0, segmentation=0.0, textural=0.0, semantic=0.0)
    config.optim.update(lr=1e-3, schedule="constant", warmup=200, ema=0.999)
    config.evaluate.metrics = tuple(
        name for name in config.evaluate.metrics if name != "suspicion_auc"  # of a discriminator
    )
    return config


def seamless() -> ConfigDict:
    """Returns what `scat-small` comes from, its first stage, and what is to follow it.

    Everything is ours. The method's losses come last and light: they are after texture, and cost
    PSNR.
    """
    config = small()
    config.generator.update(initial="scat-small", seam="membrane")
    config.train.update(steps=3_000, evaluate_every=1_000, checkpoint_every=500)
    config.optim.update(lr=6e-4, schedule="cosine")
    config.stages = (
        {"name": "smooth", "overrides": {}},
        {"name": "confused", "start": (("smooth:ema/generator", "params/generator"),),
         "overrides": {
             "loss": _LIGHT,
             "train": {"steps": 1_000, "evaluate_every": 500},
             "optim": {"lr": 2e-4},
             "evaluate": {"metrics": from_scratch().evaluate.metrics, "compare": ("smooth",)},
         }},
    )
    return config


def finetune() -> ConfigDict:
    """Returns a short training that begins with `scat-small`. Everything is ours.

    The embedded photographs stand for one's own: --config.data.source=folder:PHOTOS.
    """
    config = small()
    config.generator.update(initial="scat-small", seam="membrane")
    config.data.source = "photos"
    config.evaluate.source = ""
    config.train.update(steps=1_000, log_every=50, evaluate_every=500, checkpoint_every=500)
    config.loss.update(_LIGHT)
    config.optim.update(lr=2e-4, schedule="cosine", warmup=50, ema=0.995)
    config.evaluate.metrics = from_scratch().evaluate.metrics
    return config


def demo() -> ConfigDict:
    """Returns `finetune`, shortened to minutes on two CPU cores. Everything is ours."""
    config = finetune()
    config.train.update(steps=400, evaluate_every=200, checkpoint_every=200)
    return config


PRESETS = {
    "demo": demo, "from_scratch": from_scratch, "small": small, "seamless": seamless,
    "finetune": finetune, "paper": paper, "paper512": paper512, "aotgan": aotgan,
}


def get_config(preset: str = "demo") -> ConfigDict:
    """Returns the configuration of a preset, one of `PRESETS`."""
    config = choose_preset(PRESETS, preset)()
    config.preset = preset
    return config.lock()
