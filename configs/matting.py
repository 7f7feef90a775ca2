"""Matting with disentangled pre-training (DPT) on a MatteFormer network.

Sources: [D] the published DPT code, [M] the published MatteFormer code (Park et al., CVPR 2022),
[G] the published GCA-Matting code. Of the DPT paper only abstract and introduction were read; none
of its result tables. Where a value is ours, the comment says so.

Presets:
  demo            pre-training on the embedded photographs, fine-tuning on embedded scenes, and the
                  same fine-tuning from scratch beside it; minutes on a laptop
  small           the demo's network for longer, at 96 pixels, on photographs of one's own
  pretrain_paper  the published pre-training on ImageNet-1k
  finetune_paper  MatteFormer's recipe on Composition-1k, from a pre-trained network
  scratch_paper   the same recipe from random weights
  matteformer     the same recipe from an encoder trained on ImageNet, as MatteFormer starts
"""

from ml_collections import ConfigDict

from configs import common
from jaxedit.config import choose_preset


def _base() -> ConfigDict:
    """Returns the network, and neutral values of everything else."""
    config = common.base()
    config.method = "matting"
    config.image_size = 224  # pixels of a training crop

    config.data.task = "pretrain"  # pretrain | finetune: how samples are made
    config.data.foregrounds = ""  # finetune: where subjects with alphas come from
    config.data.foreground_limit = 0  # use this many of them; 0: all
    config.data.cell = 7  # [D] pixels of a side of a cell of the pre-training grid
    config.data.known = 0.25  # [D] share of cells whose alpha is 0 or 1
    config.data.foreground_share = 0.5  # [D] of the known cells: 128 of 256
    config.data.alpha_noise = "pixel"  # [D] pixel; ours to compare: cell | smooth | gaussian
    config.data.second_image = "image"  # [D] image; ours to compare: colour
    config.data.affine = True  # [D], [M] scale, shear, flips, rotation of large pictures
    config.data.jitter = True  # [D], [M] HSV jitter of the foreground
    config.data.merge = 0.5  # [M] probability of a second foreground under the first
    config.data.resize_probability = 0.25  # [M] of stretching foreground and alpha to resize_size
    config.data.resize_size = 640  # [M]
    config.data.trimap_size = 640  # [M] trimaps are made at this size: widths below are for it
    config.data.trimap_width = (1, 29)  # [M] smallest and largest ellipse that erodes, pixels
    config.data.real_world = 0.0  # probability of blur, noise and JPEG; [M] has the flag, unused

    config.network = ConfigDict()
    config.network.backbone = "swin"  # swin (MatteFormer's) | resnet34 (GCA-like, [G])
    config.network.initial = ""  # weights to start from: "" | swin-tiny | dpt | matteformer
    config.network.embed_dim = 96  # [M] Swin-Tiny
    config.network.depths = (2, 2, 6, 2)  # [M]
    config.network.heads = (3, 6, 12, 24)  # [M]
    config.network.window = 7  # [M]
    config.network.drop_path = 0.3  # [D], [M] highest rate of stochastic depth
    config.network.decoder_blocks = (2, 3, 3, 2)  # [M]
    config.network.width = 32  # [M] channels at full size; deeper levels are multiples
    config.network.guided_attention = False  # resnet34: contextual attention at 1/8 [G]

    config.loss = ConfigDict()  # weights; 0 skips the computation
    config.loss.alpha = 1.0  # [D], [M]
    config.loss.composition = 1.0  # [D], [M]
    config.loss.laplacian = 1.0  # [D], [M]
    # pretrain: os4 and os1 count in the unknown region, overwritten outside [D]
    # self_guided: MatteFormer's schedule, unknown region, then a coin, then bands from os8 [M]
    # whole: every head counts everywhere (ours, to compare)
    config.loss.regions = "pretrain"
    config.loss.warmup = 10_000  # [M] self_guided: steps with the unknown region; coin until 3x
    config.loss.band = (30, 15)  # [M] self_guided: ellipses are drawn below these, in pixels at
    config.loss.band_side = 640  # [M] this size

    config.optim = ConfigDict()
    config.optim.kind = "adamw"  # adamw [D] | adam [M]
    config.optim.lr = 3e-4
    config.optim.betas = (0.9, 0.95)
    config.optim.eps = 1e-8  # PyTorch's default
    config.optim.weight_decay = 0.05
    config.optim.schedule = "epochs"  # epochs: constant within an epoch [D] | steps [M]
    config.optim.warmup = 10  # linear warm-up, in epochs or steps as the schedule says
    config.optim.total = 100  # where the cosine reaches 0, in the same unit; 0: the last step
    config.optim.steps_per_epoch = 2502  # 1,281,167 images / 512, the last batch dropped
    config.optim.clip = True  # [D], [M] at twice the running mean of the gradient's norm
    config.optim.clip_decay = 0.999  # [D], [M] of that mean

    config.evaluate.compose = False  # paste the records' foregrounds on the data.source's pictures
    config.evaluate.trimap = "record"  # record: the source's own | made: from the alpha
    config.evaluate.trimap_width = 20  # made: pixels of erosion and of dilation
    config.evaluate.margin = 32  # [M] reflected pixels around a picture
    config.evaluate.classical = True  # compare with closed-form and KNN matting (extra `matting`)
    config.evaluate.batch_size = 1  # pictures of any size
    config.evaluate.metrics = ("sad", "mse_x1000", "grad", "conn")
    return config


def pretrain_paper() -> ConfigDict:
    """Returns the published pre-training [D]: batch 512 over 8 GPUs, 99 of 100 planned epochs."""
    config = _base()
    config.train.steps = 99 * 2502  # the loop ends at epoch 99
    config.train.batch_size = 512
    config.train.log_every = 100  # ours
    config.train.evaluate_every = 12_510  # ours: five epochs
    config.train.checkpoint_every = 2502  # ours
    config.data.source = "folder:data/imagenet"  # images/ in it; any photographs will do
    config.data.workers = 8  # ours
    # Checkpoints are chosen by fine-tuning [D]; these scores only show that something is learnt.
    config.evaluate.source = "folder:data/composition1k"
    config.evaluate.split = "eval"
    config.evaluate.classical = False
    return config


def _finetuning() -> ConfigDict:
    """Returns MatteFormer's recipe [M] on Composition-1k, without a start."""
    config = _base()
    config.image_size = 512
    config.train.steps = 200_000
    config.train.batch_size = 20  # 10 on each of 2 GPUs
    config.train.log_every = 100  # [M]: 10
    config.train.evaluate_every = 5_000
    config.train.checkpoint_every = 5_000
    config.data.task = "finetune"
    config.data.source = "folder:data/coco"  # backgrounds: COCO train2014
    config.data.foregrounds = "folder:data/composition1k"  # 431 foregrounds of the training part
    config.data.workers = 4
    config.loss.regions = "self_guided"
    config.optim.update(
        kind="adam", lr=1e-3, betas=(0.5, 0.999), weight_decay=0.0, schedule="steps",
        warmup=10_000, total=200_000,
    )
    config.evaluate.source = "folder:data/composition1k"  # its 1,000 test images
    config.evaluate.split = "eval"
    config.evaluate.limit_in_training = 0  # all 1,000, as [M] validates
    return config


def finetune_paper() -> ConfigDict:
    """Returns MatteFormer's recipe from DPT's published network, encoder and decoder.

    DPT publishes no fine-tuning code: that its networks were fine-tuned so is an assumption. Its
    page calls the published file weights "for composition-1k", so it may be fine-tuned already. To
    start from your own pre-training, make it a stage and carry it over, as the demo does.
    """
    config = _finetuning()
    config.network.initial = "dpt"
    return config


def scratch_paper() -> ConfigDict:
    """Returns MatteFormer's recipe from random weights (ours, to compare)."""
    return _finetuning()


def matteformer() -> ConfigDict:
    """Returns MatteFormer's published training: the encoder starts from Swin-T on ImageNet-1k."""
    config = _finetuning()
    config.network.initial = "swin-tiny"
    return config


def demo() -> ConfigDict:
    """Returns a small instance of the same two stages that shows its worth in minutes on a laptop.

    Everything below is ours. Three stages: pre-training on photographs without labels; fine-tuning
    from scratch; the same fine-tuning from the pre-trained network. The last two are measured side
    by side on composed scenes that neither has seen.
    """
    config = _base()
    config.image_size = 64
    config.train.update(
        steps=500, batch_size=8, seed=0, log_every=50, evaluate_every=250, checkpoint_every=250
    )
    config.data.update(
        source="photos", task="finetune", foregrounds="scenes", trimap_size=160,
        trimap_width=(1, 13), resize_probability=0.0,
    )
    config.network.update(
        embed_dim=32, depths=(1, 1, 2, 1), heads=(1, 2, 4, 8), drop_path=0.05, width=16,
        decoder_blocks=(1, 1, 1, 1),
    )
    config.loss.update(regions="self_guided", warmup=100, band=(16, 8), band_side=160)
    config.optim.update(
        kind="adamw", lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01, schedule="steps", warmup=50,
        total=0, steps_per_epoch=1,
    )
    config.evaluate.update(
        source="scenes", split="eval", compose=True, margin=0, batch_size=8, pictures=8,
        compare=("scratch",), stages=("finetune",),
    )
    pretraining = {
        "train": {"steps": 800, "evaluate_every": 0},
        "data": {"task": "pretrain"},
        "loss": {"regions": "pretrain"},
    }
    config.stages = (
        {"name": "pretrain", "overrides": pretraining},
        {"name": "scratch", "overrides": {}},
        {"name": "finetune", "overrides": {}, "carry": CARRY},
    )
    return config


def small() -> ConfigDict:
    """Returns a longer training of the demo's network, at 96 pixels. Everything is ours.

    `experiments/by_subject.py` makes the folder.
    """
    config = demo()
    config.image_size = 96
    config.data.source = "folder:data/free-train"
    config.train.update(steps=16_000, evaluate_every=2_000, checkpoint_every=500)
    config.optim.warmup = 200
    config.evaluate.compare = ()
    pretraining, _, finetuning = config.stages
    pretraining = {**pretraining, "overrides": {
        **pretraining["overrides"], "train": {"steps": 2_000, "evaluate_every": 0},
    }}
    config.stages = (pretraining, finetuning)
    return config


# What fine-tuning takes over: encoder and decoder, with their running statistics.
CARRY = (
    ("pretrain:params/network", "params/network"),
    ("pretrain:stats/network", "stats/network"),
)
PRESETS = {
    "demo": demo,
    "small": small,
    "pretrain_paper": pretrain_paper,
    "finetune_paper": finetune_paper,
    "scratch_paper": scratch_paper,
    "matteformer": matteformer,
}


def get_config(preset: str = "demo") -> ConfigDict:
    """Returns the configuration of a preset; see the module."""
    config = choose_preset(PRESETS, preset)()
    config.preset = preset
    return config.lock()
