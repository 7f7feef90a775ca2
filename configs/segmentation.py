"""Semantic segmentation by a small U-Net of this project's own; all numbers are ours.

Presets: `demo` learns the embedded pictures of several subjects in a few minutes on two CPU cores;
`judge` learns the half of them that no memory bank is made of, for longer: it judges what SIMS'
demo synthesises; `camvid` road scenes (`data.source=held_out:0006R0:folder:PATH`).
"""

from ml_collections import ConfigDict

from configs import common
from jaxedit.config import choose_preset
from jaxedit.data.layouts import camvid as camvid_layout
from jaxedit.scenes.source import CLASS_COLOURS, CLASSES


def base() -> ConfigDict:
    """Returns what the presets share."""
    config = common.base()
    config.method = "segmentation"
    config.image_size = (64, 64)  # height and width
    config.data.scale = (0.7, 1.0)  # side of a training part, as a share of the largest that fits
    config.data.jitter = 0.2  # brightness, contrast and saturation; the hue a fifth of it

    config.classes = ConfigDict()
    config.classes.names = ()  # of the label maps, in the order of their numbers
    config.classes.colours = ()  # (red, green, blue) of each; () has them chosen

    config.network = ConfigDict()
    config.network.channels = (16, 32, 64, 96)  # of each level, multiples of 8

    config.loss = ConfigDict()
    config.loss.smoothing = 0.05  # share of the probability spread over all classes
    config.loss.balance = 0.5  # pixels weigh (share of their class) ** -balance: rare classes count

    config.optim = ConfigDict()
    config.optim.lr = 4e-3
    config.optim.warmup = 50  # steps
    config.optim.weight_decay = 1e-2
    config.optim.ema = 0.98  # decay of the average that predicts
    return config


def demo() -> ConfigDict:
    """Returns the embedded pictures of several subjects at 64 pixels."""
    config = base()
    config.data.source = "scenes:several:64"
    config.classes.names, config.classes.colours = CLASSES, CLASS_COLOURS
    config.train.update(
        steps=600, batch_size=16, log_every=50, evaluate_every=200, checkpoint_every=100
    )
    config.evaluate.update(limit_in_training=64, batch_size=16)
    return config


def judge() -> ConfigDict:
    """Returns the segmenter that comes with the package as `scenes-judge`."""
    config = demo()
    config.data.source = "half:second:scenes:several:64"
    config.train.update(steps=2_000, evaluate_every=500, checkpoint_every=250)
    config.optim.ema = 0.99
    return config


def camvid() -> ConfigDict:
    """Returns CamVid's eleven classes at 192 x 256 pixels; say where it lies in data.source."""
    config = base()
    config.image_size = (192, 256)
    config.data.scale = (0.5, 1.0)
    config.data.source = "held_out:0006R0:folder:camvid"
    config.classes.names = camvid_layout.CLASSES.names
    config.classes.colours = camvid_layout.CLASSES.colours
    config.network.channels = (16, 32, 64, 96, 128)
    config.train.update(
        steps=3_000, batch_size=4, log_every=50, evaluate_every=500, checkpoint_every=250
    )
    config.evaluate.update(limit_in_training=24, batch_size=4)
    return config


PRESETS = {"demo": demo, "judge": judge, "camvid": camvid}


def get_config(preset: str = "demo") -> ConfigDict:
    """Returns the configuration of a preset: demo, judge or camvid."""
    config = choose_preset(PRESETS, preset)()
    config.preset = preset
    return config.lock()
