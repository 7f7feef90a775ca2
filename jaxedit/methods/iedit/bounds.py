"""What the values of iEdit's own configuration keys may be, see `jaxedit.bounds`."""

from jaxedit.bounds import flag, learning_rate, one_of, real, several, whole

_CHANNELS = whole(1, 2**14, example=64)
_WEIGHT = real(0, example=1.0)

BOUNDS = {
    "part": one_of("autoencoder"),
    "image_size": whole(8, 8192, example=64),
    "data.scale": several(real(above=0, most=1, example=1), 2, rising=True, example=(0.8, 1.0)),
    "data.flip": flag(),
    "autoencoder.channels": several(_CHANNELS, example=(128, 256, 512, 512)),
    "autoencoder.layers": whole(1, 64, example=2),
    "autoencoder.latent_channels": whole(1, 256, example=4),
    "autoencoder.groups": _CHANNELS,
    "autoencoder.attention": flag(),
    "discriminator.channels": _CHANNELS,
    "discriminator.layers": whole(1, 8, example=3),
    "loss.features": one_of("lpips", "random_features"),
    "loss.feature_channels": _CHANNELS,
    "loss.perceptual": _WEIGHT,
    "loss.kl": _WEIGHT,
    "loss.adversarial": _WEIGHT,
    "loss.adversarial_start": whole(0, example=50_000),
    "optim.lr": learning_rate(1e-4),
    "optim.schedule": one_of("constant", "cosine"),
    "optim.warmup": whole(0, example=500),
    "optim.betas": several(real(0, below=1, example=0.9), 2, example=(0.9, 0.999)),
    "optim.eps": real(0, example=1e-8),
    "optim.weight_decay": real(0, example=1e-2),
    "optim.clip": real(0, example=1.0),
    "optim.ema": real(0, below=1, example=0.9999),
}
