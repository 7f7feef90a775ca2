"""SIMS: semi-parametric image synthesis (Qi, Chen, Jia and Koltun, CVPR 2018, arXiv 1804.10992).

Sources: [P] the paper, by its abstract and two independent reading notes, since its full text could
not be opened; [C] the released code for Cityscapes (github.com/xjqicuhk/SIMS); [R] ours; [?] not
verified. Sections are the paper's: 3.2 alignment, 3.3 ordering, 5 synthesis and its training. NYU
and ADE20K are trained on in the paper [P], but nothing was released for them: their numbers are
Cityscapes' unless marked [R].

Presets:
  demo        the embedded scenes of several subjects at 64 pixels, about a quarter of the width
  cityscapes  256 x 512, 512 x 1024 and 1024 x 2048, each grown from the one before [C]
  released256, released512, released1024  trains nothing: a bank for the published weights [C]
  nyu         indoor photographs with measured depth
  ade20k      outdoor photographs, depth predicted by a network of one's own choice
  camvid      320 photographs of roads at 192 x 256, without depth: for two cores [R]
"""

import functools

from ml_collections import ConfigDict

from configs import common
from jaxedit.config import choose_preset
from jaxedit.methods.sims.order import CITYSCAPES

# The picture itself and VGG-19's conv1_2 .. conv5_2 [C]; inverses of each term's mean at epoch 100,
# according to the authors of cascaded refinement networks.
WEIGHTS = (1.0, 1 / 2.6, 1 / 4.8, 1 / 3.7, 1 / 5.6, 10 / 1.5)
IMAGES = 2975  # of Cityscapes' training part: the steps of an epoch at batch 1 [C]


def _base() -> ConfigDict:
    """Returns the networks of Cityscapes at 256 x 512, without stages."""
    config = common.base()
    config.method = "sims"
    # what a stage trains: synthesis | align | order; builds: bank | canvases | compose; measures
    # without a network: pasted
    config.part = "synthesis"
    config.image_size = (256, 512)  # height and width; records of other sizes are scaled

    config.train.batch_size = 1  # [C]
    config.train.log_every = 100  # [R]
    config.train.evaluate_every = 10 * IMAGES  # [R]
    config.train.checkpoint_every = IMAGES  # [R]

    # synthesis: record: canvases of the records (canvas, canvas_label) | none: purely parametric
    config.data.canvas = "record"
    config.data.thin = ()  # classes that do not split others in two, such as poles [C]
    config.data.area_share = 1000 / (256 * 512)  # of the frame; smaller segments are left out [C]
    config.data.segments = 10  # align: of a picture in a sample, at most [C]
    config.data.rotation = 0.0  # align: degrees of jitter; [C] draws 2.5 and never applies it
    config.data.pairs = 10  # order: of a picture in a step, drawn at random; [C] takes the first
    config.data.depth = "distance"  # order: distance (small is near) | disparity (large is near)
    config.data.flat = ()  # order: classes that are behind all of `objects`, whatever the depth [C]
    config.data.objects = ()

    config.network = ConfigDict()
    config.network.classes = 19  # without "unlabelled", which is one more channel [C]
    config.network.width = 64  # channels of the first level [C]
    config.network.stages = 1  # synthesis: 1 at 256 x 512 | 2 at 512 x 1024 | 3 at 1024 x 2048 [C]

    config.bank = ConfigDict()
    config.bank.scale = 1  # colours are so much finer than the frame of the search, 256 x 512 [C]
    config.bank.area_share = 0.0  # segments must cover more of the frame; the bank keeps all [C]
    config.bank.share = 1.0  # of the pictures, drawn by train.seed [R]
    config.bank.licence = ""  # of pictures that do not say theirs
    config.bank.licences = ()  # pictures under others are left out; (): none is

    config.canvases = ConfigDict()  # to train on, section 5
    config.canvases.bank = "bank"  # the stage that built it, or the folder of a bank
    config.canvases.sets = 5  # of each picture [C]; 2 at 1024 x 2048 [C]
    config.canvases.donors = 100  # other pictures whose segments are compared [C]
    config.canvases.stencil = True  # cut segments by the donor's outline [P]
    config.canvases.transfer = 0.2  # probability of the donor's colours, per segment [C]
    config.canvases.whole_donor = False  # cut those by the donor's outline alone, as [C]
    config.canvases.elision = "released"  # released: 0.025 h, 50 % [C] | paper: 0.05 h, 80 % | none
    config.canvases.label_noise = True  # unlabelled where donor and segment differ [C]
    config.canvases.rotation = 2.5  # degrees of the ring of unlabelled pixels [C]
    config.canvases.holdout = 0.05  # share of the pictures that is kept to measure on [R]

    config.align = ConfigDict()
    config.align.shrink = 1  # the network reads 256 x 512: 2 at 512 x 1024, 4 at 1024 x 2048 [C]
    config.align.rule = "zero_padded"  # zero_padded [R] | released (blanks last row and column)
    # affine [P] | shift | off: what is made of the network's map; moments: no network, the middles
    # and the spreads of both masks agree [R]
    config.align.kind = "affine"
    config.align.rounded = False  # only whole-pixel shifts in use, as [C] has it on Cityscapes
    config.align.discard = True  # drop a map that does not raise the overlap with the place [C]

    config.order = ConfigDict()
    # of which classes the loss asks for the one in front: all [P] | pair: the two at hand [R]
    config.order.among = "all"
    config.order.pool = "whole"  # whole [R] | released (an 8 x 12 window of 8 x 16)
    # hues [R] | cityscapes [C]: in which the ordering network is shown the classes
    config.order.colours = "hues"
    config.order.dropout = 0.5  # [C]

    config.compose = ConfigDict()  # canvases in use and to measure on, section 3
    config.compose.candidates = 10  # donors that are kept of each search [C]
    config.compose.vary = False  # draw one of these [P] for diversity, instead of the best [C]
    config.compose.context = True  # IoU of contexts beside that of masks [P]; [C] has masks alone
    config.compose.search = "pruned"  # pruned | brute | matrix (accelerators): equal answers [R]
    # network [P] (prior where there is none) | prior | depth (its rule) | none (by class) | random
    config.compose.order = "network"
    config.compose.erase = "paper"  # paper: 0.05 h, 80 % | released: 0.0175 h, 50 % | none
    config.compose.rewrite = True  # hand on the layout with the pasted shapes [C]
    config.compose.context_classes = ()  # come back where a layout is rewritten [C]
    config.compose.objects = ()  # around which is erased; (): data.objects [R]
    config.compose.erased_classes = ()  # what is erased around them; (): context_classes [R]
    config.compose.right_by_height = False  # to the right by a share of the height, as [C] has it
    config.compose.keep_unfilled = True  # what has no donor stays, black, before what is behind [C]
    # Pasted black, as [C] has it: `ground` within half of this share of the height of the donor
    # picture's `casters` (old shadows), and inside of the edges of `leaky` (sky between leaves).
    config.compose.shadows = 0.0  # [R]; 0.06 [C]
    config.compose.ground = ()
    config.compose.casters = ()
    config.compose.borders = 0.0  # [R]; 0.04 [C]
    config.compose.leaky = ()
    config.compose.prior = ()  # names, most often behind first; (): classes of large segments [R]

    config.loss = ConfigDict()
    config.loss.features = "vgg19"  # vgg19 [P] | random_features (a stand-in, needs no weights)
    config.loss.feature_channels = 16  # width of the random features' first block [R]
    config.loss.weights = WEIGHTS  # [C]; the paper's loss is features alone: 0 for the first [P]
    config.loss.semantic = 10.0  # cross-entropy of the semantic head [C]; not in the paper [P]

    config.optim = ConfigDict()
    config.optim.schedule = "epochs"  # epochs [C] | constant | cosine
    config.optim.lr = 1e-3  # the largest [C]
    config.optim.lr_start = 1e-6  # of epoch 1; growth times as much in each that follows [C]
    config.optim.growth = 1.1  # [C]
    config.optim.drop_epoch = 112  # after it the largest is lr_late; 0: never [C]
    config.optim.lr_late = 1e-4  # [C]
    config.optim.steps_per_epoch = IMAGES  # [C]
    config.optim.warmup = 0  # steps of linear warm-up, of constant and cosine [R]
    config.optim.betas = (0.9, 0.999)  # TensorFlow's [C]
    config.optim.eps = 1e-8
    config.optim.ema = 0.0  # decay of the averaged network; 0: none, as published

    config.evaluate.metrics = ("psnr", "l1", "lpips_alex", "fid", "kid")
    config.evaluate.batch_size = 1
    # A segmenter that says how results follow layouts, by name or path; "": nobody judges [R]
    config.evaluate.judge = ""
    config.evaluate.nearest = False  # beside the bank's picture of the likest layout (compose) [R]
    return config


def _align(epochs: int = 100, images: int = IMAGES) -> dict:
    """Returns the stage of section 3.2: min(1e-4 * 1.1^(e - 1), 1e-5), so 1e-5, 100 epochs [C]."""
    return {"name": "align", "overrides": {
        "part": "align",
        "train": {"steps": epochs * images},
        "optim": {"lr": 1e-5, "lr_start": 1e-4, "drop_epoch": 0, "steps_per_epoch": images},
    }}


def _order(epochs: int = 100, images: int = IMAGES) -> dict:
    """Returns the stage of section 3.3: min(1e-6 * 1.1^(e - 1), 1e-5), 100 epochs [C]."""
    return {"name": "order", "overrides": {
        "part": "order",
        "train": {"steps": epochs * images},
        "optim": {"lr": 1e-5, "lr_start": 1e-6, "drop_epoch": 0, "steps_per_epoch": images},
    }}


def _canvases(name: str = "canvases", **overrides) -> dict:
    """Returns the host stage that simulates training canvases, section 5."""
    return {"name": name, "build": True, "overrides": {"part": "canvases", **overrides}}


def _bank(**overrides) -> dict:
    """Returns the host stage that builds the memory bank, section 3.1."""
    return {"name": "bank", "build": True, "overrides": {"part": "bank", **overrides}}


def _synthesis(name: str, canvases: str = "canvases", **overrides) -> dict:
    """Returns a stage of section 5 on the canvases of a stage."""
    source = {"data": {"source": f"artifact:{canvases}"}}
    return {"name": name, "overrides": {"part": "synthesis", **source, **overrides}}


def _finer(
    name: str, before: str, canvases: str, stages: int, size: tuple[int, int]
) -> dict:
    """Returns a stage of section 5 at a larger size: 1e-4 for 100 epochs, from the one before [C].
    """
    return {
        "name": name,
        "overrides": {
            "image_size": size,
            "data": {"source": f"artifact:{canvases}"},
            "network": {"stages": stages},
            "train": {"steps": 100 * IMAGES},
            "optim": {"schedule": "constant", "lr": 1e-4},
        },
        "start": ((f"{before}:params/synthesis", "params/synthesis"),),
    }


def cityscapes() -> ConfigDict:
    """Returns the released recipe, all parts and sizes.

    Numbers of classes are Cityscapes' train ids: road 0, sidewalk 1, building 2, wall 3, fence 4,
    pole 5, light 6, sign 7, vegetation 8, terrain 9, sky 10, person 11, rider 12, car 13, truck 14,
    bus 15, train 16, motorcycle 17, bicycle 18. The folder holds images/, labels/ and depths/ (the
    disparities).
    """
    config = _base()
    config.data.source = "folder:data/cityscapes"
    config.data.workers = 4  # [R]
    config.data.thin = (5, 6, 7)  # [C]
    config.data.depth = "disparity"  # [C]
    config.data.flat = (0, 1, 9)  # [C]
    config.data.objects = (5, 6, 7, 11, 12, 13, 14, 15, 16, 17, 18)  # [C]
    config.align.rounded = True  # [C], to keep pixels crisp
    config.compose.context_classes = (0, 1, 3, 4, 8, 9, 10)  # [C]
    config.compose.objects = (2, *config.data.objects)  # [C] counts building as one
    config.compose.erased_classes = (0, 1)  # [C]
    config.compose.right_by_height = True  # [C]
    config.compose.update(shadows=0.06, ground=(0, 1), casters=(13, 14, 15, 16))  # [C]
    config.compose.update(borders=0.04, leaky=(8,))  # [C]
    config.compose.prior = CITYSCAPES
    config.train.steps = 800 * IMAGES  # of the coarse network [C]
    whole = (1024, 2048)
    config.stages = (
        _bank(image_size=whole, bank={"scale": 4}),
        _align(),
        _order(),
        _canvases("canvases256"),
        _synthesis("coarse", "canvases256"),
        _canvases("canvases512", image_size=(512, 1024)),
        _finer("middle", "coarse", "canvases512", 2, (512, 1024)),
        _canvases("canvases1024", image_size=whole, canvases={"sets": 2}),
        _finer("fine", "middle", "canvases1024", 3, whole),
    )
    return config


def released(height: int) -> ConfigDict:
    """Returns what applies the published weights as they are, at a height of 256, 512 or 1024 [C].

    It builds a bank; `jaxedit weights list` says what `sims-align` and the others are.
    """
    config = cityscapes()
    config.image_size = (height, 2 * height)
    config.network.stages = (height // 256).bit_length()
    config.train.steps, config.loss.features = 0, "random_features"  # nothing is trained
    config.align.update(shrink=height // 256, rule="released")
    config.order.update(pool="released", colours="cityscapes")
    config.compose.update(context=False, erase="released")
    parts = (("align", "sims-align", "alignment", {"part": "align"}),
             ("order", "sims-order", "ordering", {"part": "order", "image_size": (256, 512)}),
             ("synthesis", f"sims-{height}", "synthesis", {}))
    config.stages = (_bank(bank={"scale": height // 256}), *(
        {"name": name, "overrides": overrides,
         "start": ((f"weights:{weights}:params", f"params/{network}"),)}
        for name, weights, network, overrides in parts
    ))
    return config


def nyu() -> ConfigDict:
    """Returns the indoor recipe: measured depth, and alignment, which matters most here [P]."""
    config = _base()
    config.image_size = (384, 512)  # [R] 480 x 640, scaled to sides that 64 divides
    config.network.classes = 40  # [?] the 40-class labels
    config.data.source = "folder:data/nyu"
    config.data.workers = 4  # [R]
    config.optim.steps_per_epoch = 1200  # [?] 1,449 labelled pictures, fewer for training
    config.train.steps = 800 * 1200
    config.stages = (
        _bank(), _align(images=1200), _order(images=1200), _canvases(), _synthesis("synthesis"),
    )
    return config


def ade20k() -> ConfigDict:
    """Returns the recipe for the outdoor part [P]; depths/ hold predicted distances [P]."""
    config = _base()
    config.image_size = (256, 256)  # [R]
    config.network.classes = 150
    config.data.source = "folder:data/ade20k_outdoor"
    config.data.workers = 4  # [R]
    config.optim.steps_per_epoch = 5000  # [?] pictures of outdoor scenes
    config.train.steps = 800 * 5000
    config.stages = (
        _bank(), _align(images=5000), _order(images=5000), _canvases(), _synthesis("synthesis"),
    )
    return config


def camvid() -> ConfigDict:
    """Returns a small road data set for two cores [R]: no depth, so order is the classes' prior.

    Drive 0006R0 is for testing; half of the others' frames are for a segmenter that judges. Labels:
    sky 0, building 1, pole 2, road 3, pavement 4, tree 5, sign 6, fence 7, car 8, pedestrian 9,
    bicyclist 10.
    """
    config = _base()
    config.image_size = (192, 256)
    config.network.update(classes=11, width=16)
    config.data.source = "half:first:held_out:0006R0:folder:data/layouts_camvid"
    config.data.thin = (2, 6)
    config.data.objects = (2, 6, 8, 9, 10)
    config.compose.update(context_classes=(0, 3, 4, 5, 7), erase="released")  # paper: 46 % is left
    config.compose.prior = ("sky", "building", "pavement", "road", "fence", "tree", "car")
    _quick(config, steps=6_000)
    config.train.batch_size = 1
    # After 100 steps of the alignment network segments were further from their places than before.
    config.align.kind = "moments"
    config.stages = (_bank(), _canvases(), _composed(), *_compared())
    return config


def demo() -> ConfigDict:
    """Returns a small instance that learns something in minutes on two cores [R].

    Classes are those of the scenes: sky 0, hills 1, water 2, grass 3, sand 4, road 5, brick wall 6,
    wood 7, foliage 8, person 9, animal 10, plant 11, glass 12, smoke 13, object 14.
    """
    config = _base()
    config.image_size = (64, 64)
    config.network.update(classes=15, width=15)  # of 16, what comes with jaxedit is over 8 MB
    config.evaluate.judge = "scenes-judge"  # it has learned from the other half
    config.data.source = "half:first:scenes:several:64"
    config.data.update(
        segments=4, pairs=4, flat=(2, 3, 4, 5), objects=(9, 10, 11, 12, 13, 14)
    )
    config.compose.context_classes = (0, 1, 2, 3, 4, 5, 6, 7, 8)
    config.compose.erase = "released"  # of 64 pixels the paper's bands leave little
    # By how often each class is behind, of the pairs of the training half: 91 % of held-out pairs;
    # by the sizes of segments it would be 75 %.
    config.compose.prior = (
        "sky", "brick wall", "foliage", "water", "hills", "road", "wood", "sand", "grass",
        "person", "plant", "animal", "smoke", "glass", "object",
    )
    # In 400 steps 94.5 % of held-out pairs, where the loss over all classes brings 88.3 %.
    config.order.among = "pair"
    _quick(config, steps=1_500)
    config.evaluate.stages = ("order", "synthesis")
    # In so few steps, at so few pixels, the network learns no map: after 1,200 its segments were as
    # far from their places as those left alone.
    config.align.kind = "moments"
    config.stages = (
        _bank(), _canvases(), _quick_order(400, width=8), _composed("ordering", width=8),
        *_compared(),
    )
    return config


def _quick(config: ConfigDict, steps: int) -> None:
    """Sets what lets a narrow network learn in few steps, without weights to fetch [R]."""
    config.train.update(
        steps=steps, batch_size=4, log_every=50, evaluate_every=500, checkpoint_every=500
    )
    config.loss.update(features="random_features")
    config.optim.update(schedule="cosine", lr=1e-3, warmup=50, ema=0.99)
    config.canvases.holdout = 0.1
    config.evaluate.metrics = ("psnr", "l1", "spectrum_distance", "fid_random_features")
    config.evaluate.batch_size = 8
    config.evaluate.stages = ("synthesis",)


def _compared() -> tuple[dict, dict]:
    """Returns two stages, without canvas and with it, both measured on the composed layouts."""
    none = {"source": "artifact:canvases", "canvas": "none"}
    layouts = {"source": "artifact:composed", "split": "eval", "nearest": True}
    return _synthesis("parametric", data=none, evaluate=layouts), _synthesis(
        "synthesis", evaluate={**layouts, "compare": ("parametric",)}
    )


def _composed(*networks: str, **network) -> dict:
    """Returns the host stage that makes canvases for the evaluation part's layouts, section 3."""
    stage = {"alignment": "align", "ordering": "order"}
    start = tuple((f"{stage[name]}:ema/{name}", f"params/{name}") for name in networks)
    overrides = {"part": "compose", "network": network}
    return {"name": "composed", "build": True, "overrides": overrides, "start": start}


def _quick_order(steps: int, **network) -> dict:
    return {"name": "order", "overrides": {
        "part": "order", "network": network,
        "train": {"steps": steps, "evaluate_every": 0},
        "optim": {"lr": 3e-4}, "evaluate": {"batch_size": 8},
    }}


PRESETS = {
    "demo": demo, "cityscapes": cityscapes, "nyu": nyu, "ade20k": ade20k, "camvid": camvid,
    **{f"released{side}": functools.partial(released, side) for side in (256, 512, 1024)},
}


def get_config(preset: str = "demo") -> ConfigDict:
    """Returns the configuration of a preset; see the module."""
    config = choose_preset(PRESETS, preset)()
    config.preset = preset
    return config.lock()
