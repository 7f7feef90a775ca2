"""iEdit: localised text-guided editing (Bodur et al., CVPR 2024 workshop, arXiv 2305.05947).

The paper's body could not be read: what is not in its abstract is marked. [B] the backbone's
published recipe (latent diffusion, Stable Diffusion); [R] ours.

Presets:
  autoencoder   pictures to latents and back, factor 4, on the embedded scenes [R]
  autoencoder_published  factor 8, the widths and the recipe of the published one [B]
"""

from ml_collections import ConfigDict

from configs import common
from jaxedit.config import choose_preset


def _base() -> ConfigDict:
    """Returns what the presets share."""
    config = common.base()
    config.method = "iedit"
    config.part = "autoencoder"  # what a stage trains: autoencoder
    config.image_size = 64  # side of a training picture
    config.data.source = "scenes:64"
    config.data.scale = (0.8, 1.0)  # side of a training part, as a share of the largest that fits
    config.data.flip = False  # mirror half of them: captions then say the wrong side

    config.autoencoder = ConfigDict()
    config.autoencoder.channels = (32, 64, 64)  # of each level; all but the last halve the size
    config.autoencoder.layers = 1  # resnets of a level; the decoder has one more
    config.autoencoder.latent_channels = 4
    config.autoencoder.groups = 8  # of the group norms
    config.autoencoder.attention = True  # in the middle

    config.discriminator = ConfigDict()
    config.discriminator.channels = 32  # of the first layer
    config.discriminator.layers = 2  # that halve the size

    config.loss = ConfigDict()
    config.loss.features = "random_features"  # lpips [B] | random_features (needs no weights)
    config.loss.feature_channels = 8  # width of the random features' first block
    config.loss.perceptual = 1.0  # [B]
    config.loss.kl = 1e-6  # of the sum over all latents [B]
    config.loss.adversarial = 0.5  # times the ratio of gradients in the last layer; 0: none [B]
    config.loss.adversarial_start = 50_000  # finished steps before the discriminator comes in [B]

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
    return config


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


PRESETS = {"autoencoder": autoencoder, "autoencoder_published": autoencoder_published}


def get_config(preset: str = "autoencoder") -> ConfigDict:
    """Returns the configuration of a preset."""
    config = choose_preset(PRESETS, preset)()
    config.preset = preset
    return config.lock()
