"""What the values of segmentation's own configuration keys may be, see `jaxedit.bounds`."""

from jaxedit.bounds import learning_rate, one_of, real, several, text, weight_decay, whole

_LEVEL = whole(0, 255, example=128)

BOUNDS = {
    "image_size": several(whole(1, 8192, example=64), 2, example=(64, 64)),
    "data.scale": several(real(above=0, most=1, example=1), 2, rising=True, example=(0.7, 1.0)),
    "data.jitter": real(0, 0.5, example=0.2),
    "classes.names": several(text("sky"), example=("sky", "road")),
    "classes.colours": several(several(_LEVEL, 3, example=(128, 64, 128)), example=()),
    "network.channels": several(whole(8, 2**14, example=16), example=(16, 32, 64, 96)),
    "loss.balance": real(0, 1, example=0.5),
    "loss.smoothing": real(0, below=1, example=0.05),
    "optim.lr": learning_rate(4e-3),
    "optim.warmup": whole(0, example=50),
    "optim.weight_decay": weight_decay(1e-2),
    "optim.ema": real(0, below=1, example=0.98),
    "remat": one_of(False),  # its blocks are too small to be worth computing twice
}
