"""What the values of SDIC's own configuration keys may be, see `jaxedit.bounds`."""

from jaxedit.bounds import (
    channels,
    epsilon,
    flag,
    learning_rate,
    loss_weight,
    one_of,
    real,
    several,
    text,
    weight_decay,
    whole,
)
from jaxedit.methods.sdic import dicn, dipn, inversion, losses

_CHANNELS = channels(64)
_WEIGHT = loss_weight()
_POWERS = tuple(2**power for power in range(3, 11))

BOUNDS = {
    "image_size": several(whole(8, 256, example=256), 2, example=(256, 256)),
    "data.flip": flag(),
    "data.fit": one_of("scale", "crop"),
    "network.weights": text("e4e-ffhq"),
    "network.size": one_of(*_POWERS),
    "network.style_width": whole(8, 2**12, example=512),
    "network.mapping_layers": whole(1, 64, example=8),
    "network.channel_multiplier": real(above=0, most=64, example=2.0),
    "network.most_channels": _CHANNELS,
    "network.tap": one_of(*_POWERS[:-1]),
    "network.encoder_blocks": several(whole(1, 64, example=3), 4, example=(3, 4, 14, 3)),
    "network.encoder_width": _CHANNELS,
    "network.encoder_norm": one_of("running", "batch"),
    "network.noise": one_of("random", "stored"),
    "network.discrepancy": one_of(*inversion.SOURCES),
    "network.attention": one_of(*dipn.GUIDES),
    "network.shared_down": flag(),
    "network.parts": one_of(*dicn.PARTS),
    "network.gate": flag(),
    "judge.channels": several(whole(8, 2**10, example=16), example=(16, 32, 64, 64)),
    "directions.codes": whole(200, 10_000_000, example=10_000),
    "directions.components": whole(0, 512, example=20),
    "directions.closed": whole(0, 512, example=10),
    "loss.l2": _WEIGHT,
    "loss.perceptual": _WEIGHT,
    "loss.identity": _WEIGHT,
    "loss.compensation": _WEIGHT,
    "loss.feature_share": real(0, 1, example=0.8),
    "loss.residual": _WEIGHT,
    "loss.features": one_of(*losses.FEATURES),
    "loss.feature_channels": _CHANNELS,
    "loss.identity_network": one_of(*losses.IDENTITIES),
    "optim.lr": learning_rate(1e-3),
    "optim.betas": several(real(0, below=1, example=0.9), 2, example=(0.95, 0.999)),
    "optim.eps": epsilon(1e-5),
    "optim.weight_decay": weight_decay(0.0),
    "optim.lookahead": whole(0, 2**20, example=6),
    # The corrections are small: half precision loses them.
    "precision.compute": one_of("float32"),
}
