"""What iEdit's presets share: every key with a value small enough for two CPU cores.

[B] the backbone's published recipe (latent diffusion, Stable Diffusion); [R] ours.
"""

from ml_collections import ConfigDict

from configs import common
from jaxedit.methods.iedit import pair_rules


def base() -> ConfigDict:
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
