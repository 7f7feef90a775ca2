"""SDIC: discrepancy compensation for GAN inversion (Zhang et al., AAAI 2024, arXiv 2312.07079).

Sources: [C] the released code; [E] that of e4e (Tov et al., 2021); [S] rosinality's StyleGAN2 in
PyTorch, in whose form SDIC's generators are; [A] "Training GANs with Limited Data" (Karras et al.,
2020) and its code; [R] ours. The paper's tables and appendix could not be read.

Presets:
  paper_faces  a generator of 1024 pixels and e4e's encoder, on aligned faces at 256 pixels
  paper_cars   a generator of 512 pixels, pictures of 192 x 256; the handling of their shape is [R]
  paper_encoder  e4e's training, by its own recipe
  paper_generator  StyleGAN2 from nothing, on aligned faces at 256 pixels
  generator    the same for the embedded source `portraits`: a small one at 64 pixels
  judge        reads the attributes off `portraits`, to judge edits by
  chain        every part from nothing on `portraits`, and DIPN and DICN beside their variants
  encoder      of that the encoder alone, for the generator that comes with jaxedit
  compensation  of that DIPN and DICN alone, on parts that come with jaxedit: what ablations vary
  demo         the end of it in minutes: what comes with jaxedit trained on, beside its variants
"""

from ml_collections import ConfigDict

from configs import common
from jaxedit.config import choose_preset


def paper_faces() -> ConfigDict:
    """Returns the released recipe for faces; say where they lie in data.source."""
    config = common.base()
    config.method = "sdic"
    config.part = "inversion"
    config.image_size = (256, 256)  # height and width; the width is 4 times the tap [C]
    config.remat = True  # volumes of 25 million floats a picture are computed twice [R]

    config.data.source = "folder:data/ffhq"  # aligned
    config.data.workers = 4  # [R]
    config.data.fit = "scale"  # scale: the whole picture to image_size [C] | crop: its middle
    config.data.flip = True  # mirror half of the pictures [C]

    config.network = ConfigDict()
    # encoder, generator and average code: e4e-ffhq | e4e-cars | "": of earlier stages
    config.network.weights = "e4e-ffhq"
    config.network.size = 1024  # of the generator, in pixels [C]
    config.network.style_width = 512  # [C]
    config.network.mapping_layers = 8  # [C]
    config.network.channel_multiplier = 2.0  # of the generator above 64 pixels [C]
    config.network.most_channels = 512  # [C]
    config.network.tap = 64  # side of the map that is compensated [C]
    config.network.encoder_blocks = (3, 4, 14, 3)  # IR-SE-50 [C]
    config.network.encoder_width = 64  # of its first group, doubled by each that follows [C]
    config.network.encoder_heads = 512  # channels of the heads, one for each code [C]
    # running: statistics of the encoder's file [R] | batch: the batch's, which drift [C]
    config.network.encoder_norm = "running"
    config.network.noise = "random"  # in training and evaluation [C] | stored
    config.network.discrepancy = "dipn"  # [C] | residual: the difference as it is
    config.network.attention = "original"  # [C] | both | none
    config.network.shared_down = False  # both pictures go down one branch
    config.network.parts = "both"  # [C] | codes | feature
    config.network.gate = True  # of what is added to the map [C]

    config.loss = ConfigDict()
    config.loss.l2 = 1.0  # [C]
    config.loss.perceptual = 0.8  # [C]
    config.loss.identity = 0.1  # [C]
    config.loss.compensation = 0.5  # holds the corrections small [C]
    config.loss.feature_share = 0.8  # of it, the map's; the codes have the rest [C]
    config.loss.residual = 0.0  # of the discrepancy to the difference as it is [C]
    config.loss.features = "lpips_alex"  # [C] | random_features (a stand-in, needs no weights)
    config.loss.feature_channels = 16  # width of the random features' first block [R]
    config.loss.identity_network = "arcface"  # faces [C] | moco: anything | none

    config.optim = ConfigDict()  # Ranger [C]
    config.optim.lr = 1e-3  # constant [C]
    config.optim.betas = (0.95, 0.999)  # [C]
    config.optim.eps = 1e-5  # [C]
    config.optim.weight_decay = 0.0  # [C]
    config.optim.lookahead = 6  # steps between returns to the slow parameters; 0: never [C]

    config.train.batch_size = 2  # [C]
    config.train.steps = 100_000  # the file that the evaluation script names [C]
    config.train.evaluate_every = 5_000  # [R]
    config.train.checkpoint_every = 2_500  # [R]
    config.evaluate.metrics = ("psnr", "ssim", "l1", "lpips_alex")  # [R]
    config.evaluate.batch_size = 4  # [R]
    return config


def paper_cars() -> ConfigDict:
    """Returns the recipe for cars: what is generated is cropped to the rows of the pictures [R]."""
    config = paper_faces()
    config.image_size = (192, 256)  # [C]
    config.data.source = "folder:data/cars"
    config.network.weights = "e4e-cars"
    config.network.size = 512  # [C]
    config.loss.identity = 0.5  # e4e's for other domains than faces [C]
    config.loss.identity_network = "moco"  # [C]
    return config


def paper_encoder() -> ConfigDict:
    """Returns e4e's own recipe for faces [E]; the generator is that of the published file.

    Of one's own: network.weights="", and a stage before it, as in `chain`.
    """
    config = paper_faces()
    config.part = "encoder"
    for key in ("compensation", "feature_share", "residual"):
        del config.loss[key]
    for key in ("encoder_norm", "discrepancy", "attention", "shared_down", "parts", "gate"):
        del config.network[key]
    config.encoder = ConfigDict()
    config.encoder.initial = "arcface"  # whose trunk the encoder's starts from [E] | "": drawn
    config.encoder.adversarial = 0.1  # weight of the latent discriminator's loss [E]
    config.encoder.layers = 4  # of the latent discriminator [E]
    config.encoder.discriminator_lr = 2e-5  # of Adam [E]
    config.encoder.r1 = 10.0  # gradient penalty on real codes [E]
    config.encoder.r1_every = 16  # steps [E]
    config.encoder.pool = 50  # codes of earlier steps, of either kind; 0: none [E]
    config.encoder.delta_penalty = 2e-4  # on lengths of what codes differ by from the first [E]
    config.encoder.delta_start = 20_000  # step at which the second code may differ [E]
    config.encoder.delta_every = 2_000  # steps from one more to the next; 0: all at once [E]
    config.optim.lr = 1e-4  # of Ranger [E]
    config.train.batch_size = 8  # [E]
    config.train.steps = 200_000  # [E]
    return config


def judge() -> ConfigDict:
    """Returns the training of a judge of the attributes of `portraits`; all of it is ours [R]."""
    config = common.base()
    config.method = "sdic"
    config.part = "judge"
    config.image_size = (64, 64)
    config.data.source = "portraits"
    config.data.fit = "scale"
    config.data.flip = True  # the mirror image of a head that looks left looks right
    config.judge = ConfigDict()
    config.judge.channels = (16, 32, 64, 64)  # of each level, multiples of 8
    config.optim = ConfigDict()
    config.optim.lr = 2e-3  # of Adam, falling to 0 along a cosine
    config.train.update(
        steps=3_000, batch_size=32, log_every=50, evaluate_every=500, checkpoint_every=500
    )
    config.evaluate.update(batch_size=32, limit_in_training=256)
    return config


def paper_generator() -> ConfigDict:
    """Returns StyleGAN2's training as SDIC's parts had it; say where pictures lie in data.source.
    """
    config = common.base()
    config.method = "sdic"
    config.part = "generator"
    config.image_size = (256, 256)  # that of the generator [S]

    config.data.source = "folder:data/ffhq"  # aligned
    config.data.workers = 4  # [R]
    config.data.fit = "scale"  # scale: the whole picture to image_size | crop: its middle
    config.data.flip = True  # mirror half of the pictures [S]

    config.network = ConfigDict()  # widths are those of both networks
    config.network.size = 256  # [S]
    config.network.style_width = 512  # [S]
    config.network.mapping_layers = 8  # [S]
    config.network.channel_multiplier = 2.0  # above 64 pixels [S]
    config.network.most_channels = 512  # [S]

    config.loss = ConfigDict()  # non-saturating logistic losses [S]
    config.loss.mixing = 0.9  # probability that a batch's pictures have two codes each [S]
    config.loss.r1 = 10.0  # [S]
    config.loss.r1_every = 16  # steps [S]
    config.loss.path_length = 2.0  # [S]
    config.loss.path_length_every = 4  # steps [S]
    config.loss.path_length_share = 2  # of so many pictures of a batch one is taken [S]
    config.loss.path_length_decay = 0.01  # of the running mean [S]

    config.augment = ConfigDict()  # of what the discriminator sees
    config.augment.pipe = "none"  # none [S] | b | bg | bgc [A], for few pictures
    config.augment.strength = 0.0  # probability of each transformation, to begin with [A]
    config.augment.target = 0.6  # mean sign of real pictures' scores; 0: the strength stays [A]
    config.augment.every = 256  # pictures from one change of the strength to the next [A]
    config.augment.speed = 500_000.0  # pictures in which it can go from 0 to 1 [A]

    config.optim = ConfigDict()  # Adam; rate and betas as of steps without penalties [S]
    config.optim.lr = 2e-3  # [S]
    config.optim.betas = (0.0, 0.99)  # [S]
    config.optim.eps = 1e-8  # [S]
    config.optim.ema_half_life = 10_000.0  # of the generator's average, in pictures [S]

    config.sample = ConfigDict()
    config.sample.codes = 10_000  # whose mean is the average code; published: 10^4 to 10^5 [S]
    config.sample.truncation = 0.7  # of the pictures shown beside those without [R]

    config.train.batch_size = 16  # [S]
    config.train.steps = 800_000  # [S]
    config.train.evaluate_every = 10_000  # [R]
    config.train.checkpoint_every = 5_000  # [R]
    config.checkpoint.keep_best = 0  # FID chooses it where its network is there: then 1 [R]
    config.evaluate.metrics = ("fid", "kid")
    config.evaluate.limit_in_training = 5_000  # [R]
    config.evaluate.batch_size = 16  # [R]
    return config


def generator() -> ConfigDict:
    """Returns a small generator for `portraits`; its sizes and length are ours [R].

    Of paper_generator: 256 pixels and more, codes of 512 through 8 layers, 512 channels below 128
    pixels, R1 of weight 10, 25 million pictures [A] on several GPUs.
    """
    config = paper_generator()
    config.image_size = (64, 64)
    config.data.source = "portraits"
    config.data.workers = 0
    config.network.size = 64
    config.network.style_width = 128
    config.network.mapping_layers = 4
    config.network.channel_multiplier = 0.125  # 32 at 64 pixels, 64 at 32
    config.network.most_channels = 128
    config.loss.r1 = 0.1  # 0.0002 size^2 / batch, the rule of thumb of [A]'s code
    config.train.update(
        steps=12_500, batch_size=8, log_every=50, evaluate_every=1_250, checkpoint_every=250
    )
    config.checkpoint.keep_best = 1
    config.evaluate.metrics = ("fid_random_features", "kid_random_features")
    config.evaluate.update(limit=1_000, limit_in_training=256, batch_size=16)
    return config


def chain() -> ConfigDict:
    """Returns every part from nothing on `portraits`, measured in the end; lengths are ours [R].

    Generator, encoder, judge and directions come first; then DIPN and DICN, and beside them the
    raw residual in DIPN's place and each path of DICN alone. All four are measured on distortion
    and on edits, beside the encoder alone.
    """
    config, small = paper_faces(), generator()
    config.image_size = small.image_size
    config.remat = False
    config.data.update(source="portraits", workers=0)
    config.network.update(small.network)
    config.network.weights = ""
    config.network.tap = 16  # a quarter of the pictures' side
    config.network.encoder_blocks = (1, 2, 2, 1)
    config.network.encoder_width = 16
    # A code's length, 128, would make 7.4 of the encoder's 8 million parameters.
    config.network.encoder_heads = 64
    config.loss.features = "random_features"
    config.loss.identity_network = "none"  # drawn heads are nobody's
    config.encoder = paper_encoder().encoder
    config.encoder.update(initial="", delta_start=1_000, delta_every=400)
    config.judge = judge().judge
    config.directions = ConfigDict()
    config.directions.codes = 10_000  # drawn and judged
    config.directions.components = 20  # principal components that are kept
    config.directions.closed = 10  # directions in closed form
    for group in ("loss", "augment", "sample", "optim"):  # of the generator's own training
        config[group] = ConfigDict({**small[group], **config.get(group, {})})
    config.train.update(
        steps=2_000, batch_size=4, log_every=50, evaluate_every=500, checkpoint_every=250
    )
    config.evaluate.metrics = ("mse", "psnr", "ssim", "l1")
    config.evaluate.update(limit=200, batch_size=8)
    config.evaluate.editing = True  # compare edits with true ones; records must be portraits
    # Measure edits too that move codes before they are compensated; published: after [C].
    config.evaluate.move_before = False
    config.evaluate.shares = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the wanted change, of the curve
    config.stages = _stages(small)
    return config


def _stages(small: ConfigDict) -> tuple:
    """Returns the stages of `chain`, of which the first is the generator of `small`."""
    generator = (
        ("generator:ema/generator", "frozen/generator/params"),
        ("generator:stats/generator", "frozen/generator/noise"),
    )
    inverting = (*generator, ("generator:extra/average", "frozen/average"))
    judged = ("judge:params/judge", "frozen/judge/params")
    start = (
        *inverting, judged,
        ("encoder:params/encoder", "frozen/encoder/params"),
        ("encoder:stats/encoder", "frozen/encoder/batch_stats"),
        ("artifact:directions:directions.safetensors:edits", "frozen/directions"),
    )
    plain = {"editing": False, "compare": ()}
    optim = ("lr", "betas", "eps")
    variants = {
        "raw-residual": {"discrepancy": "residual"}, "codes-only": {"parts": "codes"},
        "feature-only": {"parts": "feature"},
    }
    return (
        {"name": "generator", "overrides": {
            "part": "generator", "optim": {key: small.optim[key] for key in optim},
            "train": {"steps": small.train.steps, "batch_size": small.train.batch_size},
            "evaluate": {**plain, "metrics": small.evaluate.metrics},
        }},
        {"name": "encoder", "start": inverting, "overrides": {
            "part": "encoder", "train": {"steps": 6_000, "batch_size": 8}, "evaluate": plain,
        }},
        {"name": "judge", "overrides": {
            "part": "judge", "optim": {"lr": 2e-3}, "train": {"steps": 3_000, "batch_size": 32},
            "evaluate": plain,
        }},
        {"name": "directions", "build": True, "start": (*generator, judged), "overrides": {
            "part": "directions",
        }},
        *({"name": name, "start": start, "overrides": {"network": changed}}
          for name, changed in variants.items()),
        {"name": "inversion", "start": start, "overrides": {
            "evaluate": {"compare": tuple(variants)},
        }},
    )


# Stages of `chain` whose results come with jaxedit.
_OURS = {name: f"portraits-{name}" for name in ("generator", "encoder", "judge")}


def encoder() -> ConfigDict:
    """Returns the encoder's stage of `chain`, for the generator that comes with jaxedit."""
    return common.one_stage(chain(), "encoder", {"generator": _OURS["generator"]})


def compensation() -> ConfigDict:
    """Returns directions and DIPN with DICN, from nothing, on parts that come with jaxedit [R].

    What `portraits-inversion` comes from, and what experiments/sdic_ablation.py varies.
    """
    config = chain()
    first, *_, last = common.with_weights(config.stages, _OURS)
    config.stages = (first, {**last, "overrides": {}})
    config.train.update(
        steps=1_200, batch_size=2, log_every=10, evaluate_every=0, checkpoint_every=100
    )
    config.directions.update(codes=4_000, components=8, closed=5)
    config.evaluate.update(limit=32, shares=(0.5, 1.0), move_before=True)
    return config


# What of the trained networks the stages of `demo` begin with: DICN's paths are apart.
_CODES = ("aff1d", "condition_shift3_0", "condition_shift3_2")
_FEATURE = ("att_0", "att_1", "conv_layer1_0", "conv_layer1_1", "conv_layer1_2", "semantic_0",
            "semantic_1", "semantic_2", "semantic_3")
_AVERAGING = ("aff1d", "att_0", "conv_layer1_1", "semantic_0", "semantic_2")  # have statistics


def _trained(dipn: bool, dicn: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Returns the starting values of a stage that goes on from `portraits-inversion`."""
    places = [f"{field}/dipn" for field in ("params", "stats") if dipn]
    places += [f"params/dicn/{name}" for name in dicn]
    places += [f"stats/dicn/{name}" for name in dicn if name in _AVERAGING]
    return tuple((f"weights:portraits-inversion:{place}", place) for place in places)


def demo() -> ConfigDict:
    """Returns the end of `chain` on parts that come with jaxedit, in minutes; lengths are ours [R].

    DIPN and DICN are trained on, and what they are compared with goes on from the same: the raw
    residual in DIPN's place, and each path of DICN alone.
    """
    config, stages = compensation(), chain().stages
    begun = {
        "raw-residual": _trained(False, _CODES + _FEATURE), "codes-only": _trained(True, _CODES),
        "feature-only": _trained(True, _FEATURE), "inversion": _trained(True, _CODES + _FEATURE),
    }
    config.stages = tuple(
        {**stage, "start": stage["start"] + begun.get(stage["name"], ())}
        for stage in common.with_weights(stages, _OURS)
    )
    config.train.update(steps=80, checkpoint_every=40)
    config.evaluate.move_before = False
    config.layers.convolution = "xla"  # compiled in half the time, which is most of it here
    return config


PRESETS = {
    "paper_faces": paper_faces, "paper_cars": paper_cars, "paper_generator": paper_generator,
    "paper_encoder": paper_encoder, "generator": generator, "judge": judge, "chain": chain,
    "encoder": encoder, "demo": demo, "compensation": compensation,
}


def get_config(preset: str = "paper_faces") -> ConfigDict:
    """Returns the configuration of a preset: one of those above."""
    config = choose_preset(PRESETS, preset)()
    config.preset = preset
    return config.lock()
