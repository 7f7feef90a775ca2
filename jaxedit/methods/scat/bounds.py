"""What the values of SCAT's own configuration keys may be, see `jaxedit.bounds`."""

from jaxedit.bounds import flag, learning_rate, one_of, real, several, text, whole
from jaxedit.data import mask_files
from jaxedit.losses import adversarial

CROPS = ("random_resized", "centre", "resize_and_crop")
_CHANNELS = whole(1, 2**14, example=64)
_WEIGHT = real(0, example=1.0)
_GAN = one_of(*adversarial.KINDS)

BOUNDS = {
    "data.crop": one_of(*CROPS),
    "data.centre_crop": whole(1, example=178),
    "data.flip": real(0, 1, example=0.5),
    "data.jitter": real(0, 0.5, example=0.05),
    "data.mask": one_of(*mask_files.MASK_TYPES),
    "data.mask_folder": text("data/masks"),
    "data.mask_invert": flag(),
    "data.hole_range": several(real(0, 1, example=0), 2, rising=True, example=(0.0, 1.0)),
    "data.brush_width": several(real(above=0, example=1), 2, rising=True, example=(12.0, 48.0)),
    "generator.channels": _CHANNELS,
    "generator.blocks": whole(0, 1024, example=8),
    "generator.rates": several(whole(1, example=1), example=(1, 2, 4, 8)),
    "generator.init": one_of("published", "he"),
    "generator.upsample": one_of("nearest", "bilinear_ac"),
    "discriminator.kind": one_of("unet", "resunet", "v1"),
    "discriminator.channels": _CHANNELS,
    "discriminator.attention": flag(),
    "discriminator.spectral_norm": flag(),
    "head.mlp": flag(),
    "head.channels": _CHANNELS,
    "loss.l1": _WEIGHT,
    "loss.global_adversarial": _WEIGHT,
    "loss.segmentation": _WEIGHT,
    "loss.textural": _WEIGHT,
    "loss.semantic": _WEIGHT,
    "loss.perceptual": _WEIGHT,
    "loss.style": _WEIGHT,
    "loss.patch": _WEIGHT,
    "loss.global_gan": _GAN,
    "loss.scat_gan": _GAN,
    "loss.scat_g_region": one_of(*adversarial.REGIONS),
    "loss.semantic_temperature": real(above=0, example=1.0),
    "loss.semantic_negatives": one_of("batch", "own"),
    "loss.semantic_group": whole(0, example=8),
    "loss.textural_levels": several(whole(0, 5, example=1), example=(1, 2, 3, 4)),
    "loss.patch_gan": one_of("smgan", *adversarial.KINDS),
    "loss.smgan_target": real(0, 1, example=1.0),
    "loss.smgan_masked": flag(),
    "loss.simultaneous": flag(),
    "loss.features": one_of("vgg19", "random_features"),
    "loss.feature_channels": _CHANNELS,
    "optim.lr": learning_rate(1e-4),
    "optim.lr_discriminator": learning_rate(1e-4),
    "optim.betas": several(real(0, below=1, example=0), 2, example=(0.0, 0.99)),
    "optim.eps": real(0, example=1e-8),
    "optim.schedule": one_of("constant", "cosine"),
    "optim.warmup": whole(0, example=100),
    "optim.ema": real(0, below=1, example=0.995),
    "precision.compute": one_of("float32", "bfloat16"),
    "remat": flag(),
    "evaluate.crop": one_of("whole", *CROPS[1:]),
    "evaluate.mask": one_of(*mask_files.EVALUATION_KINDS, "files", "record"),
}
